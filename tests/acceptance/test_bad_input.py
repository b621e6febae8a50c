"""What a user can get wrong: one clear message each, exit code 2, nothing contacted, nothing half-written."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.acceptance.runs import rackproof

SHIPPED = Path(str(files("test_plans"))) / "models" / "bench4.yaml"


class Bench:
    """A model and a bay of its own in a folder, with one listening port in place of every device."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.model = folder / "rack.yaml"
        self.bay = folder / "bay.yaml"
        self.runs = folder / "runs"
        self.model.write_text(SHIPPED.read_text("utf-8"), "utf-8")
        self.bay.write_text(_bay(port), "utf-8")

    def edit(self, file: Path, old: str, new: str) -> None:
        """Replace one text, which must be there."""
        text = file.read_text("utf-8")
        assert old in text
        file.write_text(text.replace(old, new, 1), "utf-8")

    def refuse(self, *extra: str) -> str:
        """Try to accept the rack; it must be refused as wrong, with nothing left behind. Returns what was said."""
        words = ["run", "--model", str(self.model), "--bay", str(self.bay), "--serial", "RK-1"]
        if "--runs" not in extra:
            words += ["--runs", str(self.runs)]
        done = rackproof(*words, *extra, timeout=60, variables={"BENCH_SECRET": "s3cret-word"})
        assert done.returncode == 2, done.stderr + done.stdout
        assert "Traceback" not in done.stderr
        assert "s3cret-word" not in done.stderr + done.stdout
        assert not self.runs.exists() or not list(self.runs.iterdir())
        return done.stderr


def _bay(port: int) -> str:
    public = Ed25519PrivateKey.generate().public_key()
    key = public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    lines = ["name: bench", "site: test", "station: test", "secrets: {all: {env: BENCH_SECRET}}", "devices:"]
    for number in range(1, 5):
        tray, login = f"tray-0{number}", "user: u, secrets: {password: all}"
        options = f"host_key: '{key}', data.nic-0: 10.0.{number}.1, data.nic-1: 10.0.{number}.2"
        lines += [
            f"  {tray}: {{driver: bmc, address: 'https://127.0.{number}.1:{port}', {login}}}",
            f"  {tray}-host: {{driver: host, address: 'ssh://127.0.{number}.2:{port}', {login},"
            f" options: {{{options}}}}}",
            f"  {tray}-console: {{driver: console, address: 'socket://127.0.{number}.3:{port}'}}",
        ]
    snmp = "secrets: {community: all}, options: {version: 2}"
    lines += [
        f"  switch-1: {{driver: switch, profile: standard-switch, address: 'snmp://127.0.5.1:{port}', {snmp}}}",
        f"  pdu-a: {{driver: pdu, profile: apc-rpdu2, address: 'snmp://127.0.5.2:{port}', {snmp}}}",
        f"  pdu-b: {{driver: pdu, profile: apc-rpdu2, address: 'snmp://127.0.5.3:{port}', {snmp}}}",
        "  shelf-1: {driver: power_shelf, profile: orv3-psu, address: 'modbus+rtu:///dev/ttyUSB9?baud=19200&parity=E',"
        " options: {units: '200,201,202,203,204,205'}}",
        f"  cdu-1: {{driver: cdu, profile: orv3-rpu, address: 'modbus+tcp://127.0.5.4:{port}', options: {{unit: 12}}}}",
    ]
    return "\n".join(lines) + "\n"


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """A bench whose port nobody may have touched in the end."""
    with socket.socket() as listening:
        listening.bind(("0.0.0.0", 0))
        listening.listen()
        listening.settimeout(0.2)
        yield Bench(tmp_path, listening.getsockname()[1])
        with pytest.raises(TimeoutError):
            listening.accept()


def test_an_unknown_limit_key(bench: Bench) -> None:
    bench.edit(bench.model, "  thermal.flow:", "  thermal.flw:")
    said = bench.refuse()
    assert "rack.yaml:" in said
    assert "thermal.flw" in said
    assert "did you mean 'thermal.flow'" in said


def test_a_wrong_unit(bench: Bench) -> None:
    bench.edit(bench.model, "thermal.flow: {unit: L/min", "thermal.flow: {unit: degC")
    assert "limits.thermal.flow" in bench.refuse()


def test_a_unit_that_does_not_exist(bench: Bench) -> None:
    bench.edit(bench.model, "thermal.flow: {unit: L/min", "thermal.flow: {unit: L/mn")
    assert "did you mean 'L/min'" in bench.refuse()


def test_a_duplicate_address(bench: Bench) -> None:
    bench.edit(bench.bay, "https://127.0.2.1:", "https://127.0.1.1:")
    said = bench.refuse()
    assert "bay.yaml:" in said
    assert "tray-01" in said
    assert "tray-02" in said


def test_every_error_at_once(bench: Bench) -> None:
    bench.edit(bench.model, "  thermal.flow:", "  thermal.flw:")
    bench.edit(bench.model, "{a: tray-01/nic-0", "{a: tray-09/nic-0")
    bench.edit(bench.bay, "driver: cdu", "driver: cdo")
    said = bench.refuse()
    assert "thermal.flw" in said
    assert "tray-09" in said
    assert "did you mean 'cdu'" in said


def test_an_unreadable_file(bench: Bench) -> None:
    bench.bay.unlink()
    assert "bay.yaml" in bench.refuse()
    bench.bay.mkdir()
    assert "bay.yaml" in bench.refuse()


def test_a_file_that_is_no_yaml(bench: Bench) -> None:
    bench.bay.write_text("devices: [unclosed\n", "utf-8")
    assert "bay.yaml:" in bench.refuse()


def test_a_missing_secret(bench: Bench) -> None:
    bench.edit(bench.bay, "{env: BENCH_SECRET}", "{env: BENCH_SECRET_THAT_IS_NOT_THERE}")
    assert "BENCH_SECRET_THAT_IS_NOT_THERE" in bench.refuse()


def test_a_secret_that_others_can_read(bench: Bench) -> None:
    (bench.folder / "word").write_text("s3cret-word\n", "utf-8")
    (bench.folder / "word").chmod(0o644)
    bench.edit(bench.bay, "{env: BENCH_SECRET}", "{file: word}")
    said = bench.refuse()
    assert "word" in said
    assert "chmod 600" in said


def test_a_model_that_nobody_ships(bench: Bench) -> None:
    done = rackproof("run", "--simulate", "bench5", "--runs", str(bench.runs), timeout=60)
    assert done.returncode == 2
    assert "did you mean 'bench4'" in done.stderr


def test_a_fault_that_does_not_exist(bench: Bench) -> None:
    done = rackproof(
        "run", "--simulate", "bench4", "--fault", "tray-03.cold_plate.cloged=2", "--runs", str(bench.runs), timeout=60
    )
    assert done.returncode == 2
    assert "clogged" in done.stderr
    assert "Traceback" not in done.stderr
    assert not bench.runs.exists()


def test_a_port_that_is_taken(bench: Bench) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert str(port) in bench.refuse("--metrics-port", str(port))


def test_a_runs_directory_that_cannot_be_made(bench: Bench) -> None:
    (bench.folder / "file").write_text("", "utf-8")
    assert "--runs" in bench.refuse("--runs", str(bench.folder / "file" / "runs"))


def test_a_full_disk(bench: Bench) -> None:
    small = bench.folder / "small"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(small)], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("a small file system cannot be mounted here (needs root)")
    try:
        said = bench.refuse("--runs", str(small))
        assert "free" in said
        assert not os.listdir(small)
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_a_plan_that_contradicts_the_model(bench: Bench) -> None:
    plan = bench.folder / "plan"
    plan.mkdir()
    (plan / "test_own.py").write_text(
        '"""Own."""\nimport pytest\npytestmark = pytest.mark.stage("own")\n\n'
        '@pytest.mark.measures("thermal.flw")\nasync def test_it(rack, measure):\n    """It flows."""\n\n'
        'def test_nothing(rack):\n    """It measures nothing."""\n',
        "utf-8",
    )
    said = bench.refuse("--plan", str(plan))
    assert "did you mean 'thermal.flow'" in said
    assert "measures nothing" in said


def test_a_plan_that_cannot_be_read(bench: Bench) -> None:
    plan = bench.folder / "plan"
    plan.mkdir()
    (plan / "test_own.py").write_text("import nothing_of_that_name\n", "utf-8")
    assert "nothing_of_that_name" in bench.refuse("--plan", str(plan))


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("run",),
        ("run", "--model", "bench4"),
        ("run", "--simulate", "bench4", "--bay", "x"),
        ("run", "--model", "bench4", "--bay", "x", "--serial", "y", "--fault", "z"),
        ("verify", "/nonexistent"),
        ("report", "/nonexistent"),
        ("plan", "--model", "/nonexistent"),
        ("simulate",),
        ("frobnicate",),
    ],
)
def test_wrong_usage_is_exit_code_2_and_one_message(words: tuple[str, ...]) -> None:
    done = rackproof(*words, timeout=60)
    assert done.returncode == 2
    assert done.stderr.strip()
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", ["run", "plan", "simulate", "verify", "report", "doctor"])
def test_help_shows_an_example(command: str) -> None:
    done = rackproof(command, "--help", timeout=60)
    assert done.returncode == 0
    assert f"example:\n  rackproof {command}" in done.stdout


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from harness.cli import run\n"
        "try: run(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'pydantic', 'pytest', 'rich', 'duckdb', 'aiohttp', 'yaml', 'paramiko'}\n"
        "sys.stderr.write(','.join(sorted(heavy & set(sys.modules))))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == ""
