"""From run directories to a baseline: what is read of a journal, what is refused, and the command as it is used."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from harness import cli
from harness.baselines.runs import is_learnable, number, read_runs
from harness.clock import Clock
from harness.journal import events as e
from harness.journal.events import LimitUsed, Measured
from harness.journal.writer import JournalWriter
from harness.limits import judge
from harness.quantities import Reading, Value
from harness.rack.definition import RackDefinition
from harness.rack.load import load_definition
from harness.registry import run_verifier
from harness.running import write_reports

DATA = Path(__file__).parent / "data"
COLLECTIVE, POWER, ERRORS = "performance.collective.bandwidth", "burn_in.power", "burn_in.errors"
STEP = "test_40_burn_in.py::test_burn_in"
LIMITS = {
    COLLECTIVE: {"unit": "GB/s", "baseline": 937, "tolerance": 7, "warn": 3.5, "source": "guide"},
    POWER: {"unit": "kW", "min": 0.7, "max": 1, "source": "data sheet"},
    ERRORS: {"unit": "count", "max": 0, "source": "computation is exact"},
}


def measured(value: Value | None, **other: Any) -> Measured:
    limit = LimitUsed("burn_in.power", "W", "≤ 900 W", "data sheet", maximum=900.0, **other.pop("limit", {}))
    wanted = {"unit": "W", "judgement": "pass", "key": "burn_in.power"} | other
    return Measured(step="s", subject="x", value=value, at="", quality="good", limit=limit, **wanted)


def test_only_numbers_that_a_bound_judges_are_learned() -> None:
    assert is_learnable(measured(850.0))
    assert is_learnable(measured(None)), "a missing value must be seen, so that it is refused"
    assert not is_learnable(measured(850.0, limit={"allowed": (850,)}))
    for key in ("leak.state", "link.up", "accelerator.temperature.max", "thermal.heat_balance", "of.another.release"):
        assert not is_learnable(measured(1.0, key=key))


def test_values_are_counted_in_one_unit_and_unusable_ones_are_no_number() -> None:
    assert number(measured(0.85, unit="kW")) == number(measured(850)) == 850.0
    for spoilt in (None, True, "850", math.nan, math.inf, 1e300, 10**400):
        assert math.isnan(number(measured(spoilt)))
    assert math.isnan(number(measured(850.0, judgement="unjudged")))
    assert math.isnan(number(measured(850.0, judgement="fail")))
    assert math.isnan(number(measured(850.0, unit="V")))


@given(st.integers(1, 10**6))
def test_a_unit_of_the_same_quantity_changes_nothing(milliwatts: int) -> None:
    plain = number(measured(milliwatts / 1000, unit="W"))
    assert number(measured(milliwatts / 1e6, unit="kW")) == pytest.approx(plain, rel=1e-12)


# ------------------------------------------------------------------------------------------- run directories


def definition(folder: Path, serial: str, limits: dict[str, Any]) -> RackDefinition:
    """A definition of a docked rack whose model holds these limits only."""
    model = yaml.safe_load((DATA / "rack.yaml").read_text("utf-8"))
    model["limits"] = limits
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "rack.yaml").write_text(yaml.safe_dump(model), "utf-8")
    return load_definition(folder / "rack.yaml", DATA / "bay.yaml", serial)


def record(folder: Path, serial: str, bandwidth: float, *, limits: dict[str, Any] | None = None) -> Path:
    """A finished, certified run of a rack: four trays with a bandwidth each, a power and no error."""
    limits = LIMITS if limits is None else limits
    used = definition(folder / "models", serial, limits)
    run = folder / "runs" / f"run-{serial}"
    run.mkdir(parents=True)
    writer = JournalWriter(run / "journal.jsonl", Clock.real())
    writer.append(
        e.RunStarted(run.name, used.as_json(), used.digest, {"rackproof": "0"}, {"x": "a/b (gold)"}, False, "", "s")
    )
    writer.append(e.Planned("plan", "c" * 64, (e.PlannedStep(STEP, "Burn-in", "burn_in", "", tuple(limits)),)))
    writer.append(e.StepStarted(STEP))
    values: dict[str, list[float]] = {COLLECTIVE: [bandwidth + n for n in (-1, 0, 0, 1)], POWER: [0.85], ERRORS: [0]}
    for key in limits:
        for tray, value in enumerate(values[key], 1):
            limit = used.limit(key)
            reading = Reading(value, limit.unit, Clock.real().now())
            bound = e.LimitUsed(
                key, str(limit.unit), limit.describe(), limit.source, limit.minimum, limit.maximum, None, limit.guard
            )
            at, judgement = reading.at.isoformat(), str(judge(reading, limit))
            writer.append(
                e.Measured(STEP, key, f"tray-{tray:02}", value, str(limit.unit), at, "good", judgement, bound)
            )
    writer.append(e.StepFinished(STEP, "completed"))
    writer.append(e.RunFinished("PASS"))
    writer.close()
    assert write_reports(run, None)[1] == []
    return run


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with six certified racks: five alike, and one that failed."""
    folder = tmp_path_factory.mktemp("line")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_DATA_HOME", str(folder / "keys"))
        for serial, bandwidth in {"A": 936, "B": 940, "C": 938, "D": 935, "E": 939, "F": 700}.items():
            record(folder, serial, bandwidth)
    return folder


def told(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, Any]:
    """Exit code and JSON of `rackproof baseline`; None where it printed none."""
    code = cli.run(["baseline", *map(str, arguments), "--json"])
    out = capsys.readouterr().out
    return code, json.loads(out) if out else None


def of_line(line: Path, *serials: str) -> list[Path]:
    return [line / "runs" / f"run-{serial}" for serial in serials or "ABCDEF"]


def test_learn_use_and_check(line: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    learned = tmp_path / "learned.yaml"
    code, lesson = told(capsys, *of_line(line), "--out", learned)
    assert code == 0
    assert lesson["keys"][COLLECTIVE] == {"unit": "GB/s", "median": 938.0, "sigma": 2.9652, "racks": 5, "values": 20}
    assert lesson["keys"][POWER] == {"unit": "W", "median": 850.0, "sigma": 0.0, "racks": 5, "values": 5}
    assert lesson["unlearned"] == {ERRORS: "its median is 0: there is no percentage of it"}
    assert [origin["serial"] for origin in lesson["runs"]] == list("ABCDE")
    assert lesson["not_counted"] == ["run-F: the latest verdict on F is FAIL, only PASS counts"]
    assert any("DEMO KEYS" in remark for remark in lesson["remarks"])
    first = learned.read_bytes()
    mixed = [*reversed(of_line(line)), *of_line(line, "C", "A")]
    assert told(capsys, *mixed, "--out", learned) == (0, lesson)
    assert learned.read_bytes() == first

    limits = {COLLECTIVE: LIMITS[COLLECTIVE] | {"baseline": "learned"}}
    model = yaml.safe_load((line / "models" / "rack.yaml").read_text("utf-8"))
    (tmp_path / "rack.yaml").write_text(
        yaml.safe_dump(model | {"limits": limits, "baselines": "learned.yaml"}), "utf-8"
    )
    used = load_definition(tmp_path / "rack.yaml", DATA / "bay.yaml", "N").limit(COLLECTIVE)
    assert used.minimum == 872.34
    assert f"learned from 5 racks, learned.yaml sha256 {lesson['sha256']}" in used.source

    code, watched = told(capsys, *of_line(line), "--check", learned)
    assert (code, watched["ok"], watched["findings"], watched["racks"]) == (0, True, [], list("ABCDE"))
    assert told(capsys, *mixed, "--check", learned, "--model", tmp_path / "rack.yaml") == (code, watched)
    assert learned.read_bytes() == first


def test_a_run_judged_by_a_baseline_verifies_and_its_certificate_names_the_source(line: Path) -> None:
    run = line / "runs" / "run-A"
    assert run_verifier()(run, None).findings == ()
    source = "guide; at most 7 % below 937 GB/s"
    assert source in (run / "report.html").read_text("utf-8")


def test_findings_are_exit_code_1(line: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    learned = tmp_path / "learned.yaml"
    assert told(capsys, *of_line(line), "--out", learned)[0] == 0
    learned.write_text(learned.read_text("utf-8").replace("median: 938.0", "median: 1100.0"), "utf-8")
    code, watched = told(capsys, *of_line(line), "--check", learned)
    assert code == 1
    assert [finding["kind"] for finding in watched["findings"]] == ["outlier"] * 5 + ["drift"]
    assert cli.run(["baseline", *map(str, of_line(line)), "--check", str(learned)]) == 1
    said = capsys.readouterr().out
    assert "outlier: A: performance.collective.bandwidth is 936 GB/s" in said
    assert said.endswith(f"6 findings: 5 racks held against {learned}\n")


def test_a_run_that_does_not_verify_is_never_learned_from_and_never_passes_a_check(
    line: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import shutil

    learned, altered = tmp_path / "learned.yaml", tmp_path / "run-E"
    assert told(capsys, *of_line(line), "--out", learned)[0] == 0
    shutil.copytree(line / "runs" / "run-E", altered)
    text = (altered / "report.html").read_text("utf-8")
    (altered / "report.html").write_text(text + " ", "utf-8")
    code = cli.run(["baseline", *map(str, [*of_line(line, *"ABCD"), altered]), "--out", str(tmp_path / "no.yaml")])
    said = capsys.readouterr().err
    assert code == 2
    assert "needs 5 accepted racks, these runs hold 4" in said
    assert "left out: run-E does not verify: report.html: was changed after signing" in said
    assert not (tmp_path / "no.yaml").exists()
    code, watched = told(capsys, *of_line(line, *"ABCD"), altered, "--check", learned)
    assert (code, watched["ok"], watched["findings"]) == (1, False, [])
    assert "run-E does not verify" in watched["distrusted"][0]


WRONG: dict[str, tuple[Callable[[Path], list[object]], str]] = {
    "no such run": (lambda line: [line / "none", "--out", "x.yaml"], "there is no run in "),
    "no such file": (lambda line: [line / "runs" / "run-A", "--check", line / "none.yaml"], "there is no such file"),
    "no root": (lambda line: [line / "runs" / "run-A", "--out", "x.yaml", "--root", line / "none"], "no root cert"),
    "least of a check": (lambda line: [line, "--check", "x.yaml", "--least", 5], "--least says how many"),
    "last of learning": (lambda line: [line, "--out", "x.yaml", "--last", 5], "--last says of how many"),
    "no such model": (lambda line: [line / "runs" / "run-A", "--out", "x", "--model", "bench5"], "no model 'bench5'"),
}


@pytest.mark.parametrize("fault", WRONG)
def test_wrong_usage_is_exit_code_2(fault: str, line: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments, text = WRONG[fault]
    assert cli.run(["baseline", *map(str, arguments(line))]) == 2
    said = capsys.readouterr().err
    assert said.startswith("rackproof baseline: ")
    assert text in said


def test_a_folder_named_twice_is_read_once(line: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Path] = []
    verify = run_verifier()

    def counting(folder: Path, root: Path | None) -> Any:
        seen.append(folder)
        return verify(folder, root)

    monkeypatch.chdir(line)
    found = read_runs([line / "runs" / "run-A", Path("runs/run-A"), Path("runs/../runs/run-A")], counting, None)
    assert len(seen) == len(found.runs) == 1
    assert found.runs[0].tolerances == {COLLECTIVE: 7.0}
