"""Every marked example of the documentation is loaded, collected, parsed or run by what it is an example for."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import subprocess
import sys
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml

from drivers.profile import ModbusProfile, SnmpProfile, parse_profile
from harness.clock import Clock
from harness.plugin.collection import Collection
from harness.quiet import run_plan
from harness.rack.definition import RackDefinition, offline_definition
from harness.rack.load import load_definition, load_model, model_path
from harness.registry import build_drivers
from harness.secrets import resolve

ROOT = Path(__file__).parents[2]
HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"


@pytest.fixture
def models(pages: Any, tmp_path: Path) -> Path:
    """A folder with every complete model of the documentation."""
    folder = tmp_path / "models"
    folder.mkdir()
    for example in pages.examples("model"):
        (folder / example.words[1]).write_text(example.text, "utf-8")
    return folder


def model_of(name: str, models: Path) -> Path:
    """A model that a page names: one of its own, or a shipped one."""
    own = models / f"{name.removesuffix('.yaml')}.yaml"
    return own if own.exists() else model_path(name)


def merged(whole: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
    """A document with a part of it replaced, entry by entry of each section."""
    result = deepcopy(whole)
    for section, entries in part.items():
        result[section] = {**result.get(section, {}), **entries}
    return result


def test_models_load(models: Path) -> None:
    for path in models.iterdir():
        assert load_model(path).name == path.stem


def test_a_models_error_reads_as_the_readme_says(pages: Any, models: Path) -> None:
    from harness.errors import DefinitionError

    path = models / "bench1.yaml"
    path.write_text(path.read_text("utf-8").replace("thermal.flow:", "thermal.flw:"), "utf-8")
    with pytest.raises(DefinitionError) as raised:
        load_model(path)
    told = " ".join(pages.texts["README.md"].split())
    assert f"`{raised.value}`" in told


def test_parts_of_models_fit_into_the_model_they_name(pages: Any, models: Path, tmp_path: Path) -> None:
    for number, example in enumerate(pages.examples("model-part")):
        whole = yaml.safe_load(model_of(example.words[2], models).read_text("utf-8"))
        path = tmp_path / f"{number}.yaml"
        path.write_text(yaml.safe_dump(merged(whole, yaml.safe_load(example.text))), "utf-8")
        load_model(path)


def connected(model: Path, bay: Path, monkeypatch: pytest.MonkeyPatch) -> RackDefinition:
    """Load a bay against its model with secrets of our own, and build every driver without touching the network."""
    for name, source in yaml.safe_load(bay.read_text("utf-8"))["secrets"].items():
        if "file" in source:
            path = bay.parent / source["file"]
            path.parent.mkdir(exist_ok=True)
            path.write_text(f"a secret for {name}\n", "utf-8")
            path.chmod(0o600)
        else:
            monkeypatch.setenv(source["env"], f"a secret for {name}")
    definition = load_definition(model, bay, "RK-2026-0117")
    assert build_drivers(definition, resolve(definition.bay, bay), Clock.real()).keys() == definition.bay.devices.keys()
    return definition


def test_bays_load_and_their_drivers_can_be_built(
    pages: Any, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for example in pages.examples("bay"):
        bay = tmp_path / example.words[1]
        bay.write_text(example.text, "utf-8")
        connected(model_of(example.words[3], models), bay, monkeypatch)


def test_parts_of_bays_fit_into_a_bay_of_bench4(pages: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = yaml.safe_load((ROOT / "tests" / "harness" / "data" / "bay.yaml").read_text("utf-8"))
    for name, endpoint in whole["devices"].items():
        if name.endswith("-host"):
            endpoint["options"]["host_key"] = HOST_KEY
    for example in pages.examples("bay-part"):
        (tmp_path / "secrets").mkdir()
        (tmp_path / "secrets" / "known_hosts").write_text(f"10.20.1.11 {HOST_KEY}\n", "utf-8")
        bay = tmp_path / "bay.yaml"
        bay.write_text(yaml.safe_dump(merged(whole, yaml.safe_load(example.text))), "utf-8")
        monkeypatch.chdir(tmp_path)
        connected(model_path("bench4"), bay, monkeypatch)


def test_plan_steps_are_collected(pages: Any, models: Path, tmp_path: Path) -> None:
    for number, example in enumerate(pages.examples("plan-step")):
        path = model_of(example.words[2], models)
        plan = tmp_path / f"plan-{number}"
        plan.mkdir()
        (plan / "test_step.py").write_text(example.text, "utf-8")
        collection = Collection(offline_definition(load_model(path), path.name), plan)
        said = run_plan(plan, {"rackproof-collection": collection}, "--collect-only")
        assert collection.problems == [], said
        assert len(collection.steps) == 1
        assert collection.steps[0].measures


def test_the_readmes_step_passes_on_a_simulated_rack_of_the_readmes_model(
    pages: Any, models: Path, tmp_path: Path
) -> None:
    (example,) = (each for each in pages.examples("plan-step") if each.page == "README.md")
    plan = tmp_path / "plan"
    plan.mkdir()
    (plan / "test_step.py").write_text(example.text, "utf-8")
    model = model_of(example.words[2], models)
    command = [sys.executable, "-m", "harness", "run", "--simulate", str(model), "--plan", str(plan), "--json"]
    command += ["--runs", str(tmp_path / "runs"), "--pace", "10"]
    environment = os.environ | {"XDG_DATA_HOME": str(tmp_path / "data")}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    # One step is not the whole plan of that model, and the verdict says so; the step itself passes.
    result = json.loads(done.stdout)
    assert (done.returncode, result["verdict"]) == (3, "INCONCLUSIVE"), done.stderr[-2000:]
    assert [reason for reason in result["reasons"] if "unjudged" not in reason] == []


def test_profiles_are_whole(pages: Any) -> None:
    for example in pages.examples("profile"):
        module = {"cdu": "cdu.registers", "power_shelf": "power_shelf.registers"}.get(
            example.words[1], example.words[1]
        )
        driver: Any = importlib.import_module(f"drivers.{module}")
        kind: Any = SnmpProfile if "transport: snmp" in example.text else ModbusProfile
        names = {"required": driver._REQUIRED, "optional": driver._OPTIONAL}
        parse_profile(example.text, "example.yaml", kind, driver=example.words[1], **names)


def test_prometheus_scrapes_the_port_that_the_command_opens(pages: Any) -> None:
    for example in pages.examples("prometheus"):
        (job,) = yaml.safe_load(example.text)["scrape_configs"]
        (target,) = job["static_configs"][0]["targets"]
        assert f"--metrics-port {target.rpartition(':')[2]}\n" in pages.texts[example.page]


@pytest.mark.parametrize("damaged", [False, True])
def test_openssl_checks_a_statement(pages: Any, damaged: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from reports.certificate.envelope import seal
    from reports.certificate.signing import load_or_make_keys

    if not shutil.which("openssl"):
        pytest.skip("openssl is not installed")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    keys = load_or_make_keys(None)
    folder = tmp_path / "run"
    (folder / "keys").mkdir(parents=True)
    for name, content in keys.public_files().items():
        (folder / "keys" / name).write_bytes(content)
    shutil.copy(folder / "keys" / "root.pem", folder)
    lines = seal({"n": 1}, keys) + seal({"verdict": "FAIL"}, keys)
    if damaged:
        other = seal({"verdict": "PASS"}, keys).split(b'"signatures"')[0]
        lines = seal({"n": 1}, keys) + other + b'"signatures"' + lines.splitlines()[1].split(b'"signatures"')[1] + b"\n"
    (folder / "certificate.intoto.jsonl").write_bytes(lines)
    (example,) = pages.examples("openssl")
    script = example.text.replace("/tmp/", f"{tmp_path}/")
    done = subprocess.run(["sh", "-e", "-c", script], cwd=folder, capture_output=True, text=True, check=False)
    assert (done.returncode == 0) is not damaged, done.stdout + done.stderr
