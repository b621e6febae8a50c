"""A rack that does not fit together is refused with file, line and advice, before anything is touched."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from harness.errors import DefinitionError
from harness.rack.addresses import normal
from harness.rack.load import load_definition

DATA = Path(__file__).parent / "data"
MODEL = (DATA / "rack.yaml").read_text("utf-8")
BAY = (DATA / "bay.yaml").read_text("utf-8")
TODAY = date(2026, 11, 22)


def load(folder: Path, model: str = MODEL, bay: str = BAY) -> tuple[str, ...]:
    """The problems of a model and a bay, as written for the technician."""
    (folder / "rack.yaml").write_text(model, "utf-8")
    (folder / "bay.yaml").write_text(bay, "utf-8")
    try:
        load_definition(folder / "rack.yaml", folder / "bay.yaml", "BENCH4-0001", today=TODAY)
    except DefinitionError as error:
        return tuple(str(problem) for problem in error.problems)
    return ()


def edit(text: str, old: str, new: str) -> tuple[str, int]:
    """The text with the first `old` replaced, and the line in which it stood."""
    assert old in text
    return text.replace(old, new, 1), text[: text.index(old)].count("\n") + 1


BURN_IN = "burn-in: {kind: accelerator, tool: gpu-burn, seconds: 240, limit: 3600, intensity: 1.0}"
BESIDE = "cpu-test: {kind: cpu, tool: stress-ng, seconds: 60, limit: 100, beside: burn-in}"

MODEL_FAULTS = {
    "tool of another kind": ("kind: accelerator, tool: gpu-burn", "kind: accelerator, tool: fio", "no tool for a load"),
    "load ended before its end": ("seconds: 240, limit: 3600", "seconds: 240, limit: 200", "before its 240 s are over"),
    "disk load without a place": (BURN_IN, f"{BURN_IN}\n  d: {{kind: disk, tool: fio, seconds: 9, limit: 9}}", "MiB"),
    "load that nothing judges": (BURN_IN, f"{BURN_IN}\n  {BESIDE}", "no limit burn_in.load.work"),
    "load beside nothing": (BURN_IN, f"{BURN_IN}\n  {BESIDE.replace('burn-in}', 'burnin}')}", "did you mean 'burn-in'"),
    "load beside a companion": (
        BURN_IN,
        f"{BURN_IN}\n  {BESIDE.replace('cpu-test', 'other').replace('burn-in}', 'cpu-test}')}\n  {BESIDE}",
        "runs beside burn-in itself",
    ),
    "unknown assembly": ("assembly: compute-tray}", "assembly: compute-trey}", "(did you mean 'compute-tray'?)"),
    "role twice": ("roles: [compute_tray, host, console]", "roles: [compute_tray, host, host]", "stands here twice"),
    "device name twice": (
        "switch-1: {roles: [switch]",
        "tray-01-host: {roles: [switch]",
        "slot tray-01 already has a device",
    ),
    "part kind twice": ("kind: cpu", "kind: accelerator", "already listed"),
    "unknown nic": ("tray-02/nic-1", "tray-02/nic-2", "no tray has a network adapter 'tray-02/nic-2'"),
    "nic of no tray": ("a: tray-03/nic-0", "a: tray-09/nic-0", "no tray has a network adapter"),
    "unknown switch": ("switch-1/swp6", "switch-2/swp6", "(did you mean 'switch-1'?)"),
    "port missing": ("switch-1/swp6", "switch-1", "names no port of a switch"),
    "port twice": ("switch-1/swp6", "switch-1/swp5", "switch-1/swp5 already has a cable, in line 61"),
    "nic twice": ("a: tray-03/nic-1", "a: tray-03/nic-0", "tray-03/nic-0 already has a cable"),
    "unknown pdu": ("pdu-a/2", "pdu-c/2", "names no outlet of a PDU"),
    "outlet twice": ("pdu-a/2", "pdu-a/1", "pdu-a/1 already has a cord"),
    "unknown supply": ("shelf-1/psu-6", "shelf-1/psu-7", "no shelf or switch has a supply"),
    "supply twice": ("shelf-1/psu-6", "shelf-1/psu-5", "shelf-1/psu-5 already has a cord"),
    "tray as supply": ("switch-1/psu-2", "tray-01/psu-1", "no shelf or switch has a supply"),
    "period missing": (", cdu: 1}", "}", "cdu has no period"),
    "unknown limit": ("thermal.flow:", "thermal.flaw:", "(did you mean 'thermal.flow'?)"),
    "wrong unit": ("thermal.flow: {unit: L/min", "thermal.flow: {unit: degC", "measured in L/min, not in degC"),
    "no bound": ("thermal.rise: {unit: K, min: 5, max: 15, guard: 0.5", "thermal.rise: {unit: K", "exactly one of"),
    "two kinds": (
        "{unit: bool, equals: true, source",
        "{unit: bool, equals: true, recorded_only: true, source",
        "exactly",
    ),
    "min above max": ("min: 33, max: 37", "min: 37, max: 33", "min 37 is above max 33"),
    "guard too wide": (
        "min: 48.0, max: 52.0, guard: 0.2",
        "min: 48.0, max: 52.0, guard: 2.0",
        "leaves nothing to pass",
    ),
    "guard of equals": ("{unit: count, equals: 0", "{unit: count, guard: 1, equals: 0", "belongs to min and max only"),
    "bounds of text": ("leak.state: {unit: text, equals: dry", "leak.state: {unit: text, max: 1", "use equals"),
    "text for yes": (
        "parts.healthy: {unit: bool, equals: true",
        'parts.healthy: {unit: bool, equals: "true"',
        "true or false",
    ),
    "yes for text": ("{unit: text, equals: dry", "{unit: text, equals: no", "text in quotes"),
    "text for number": ("{unit: count, equals: 0", "{unit: count, equals: none", "must be a number"),
    "blank source": ('"tool documentation"', '"  "', "must name the document"),
    "interlock quantity": ("quantity: coolant.flow", "quantity: coolant.flew", "(did you mean 'coolant.flow'?)"),
    "interlock unit": ("coolant.flow, unit: L/min", "coolant.flow, unit: kPa", "reported in L/min, not in kPa"),
    "interlock of another role": ("role: cdu, quantity: coolant.flow", "role: pdu, quantity: coolant.flow", "no pdu"),
    "interlock without bound": ("unit: L/min, min: 8, ", "unit: L/min, ", "without them it never trips"),
    "interlock that trips between samples": ("cdu: 1}", "cdu: 2}", "too seldom for interlock coolant-leak"),
    "interlock upside down": ("min: 8, blames", "min: 8, max: 2, blames", "min 8 is above max 2"),
}

BAY_FAULTS = {
    "unknown driver": ("driver: bmc", "driver: bcm", "(did you mean 'bmc'?)"),
    "driver of another role": ("{driver: host", "{driver: bmc", "it needs the driver host, not bmc"),
    "surplus": ("  pdu-b:", "  pdu-c:", "the model has no device of this name (did you mean 'pdu-b'?)"),
    "same address": ("10.0.0.2'", "10.0.0.1:443/'", "tray-01 has the same address"),
    "same terminal server port": ("10.0.2.1:4003", "10.0.2.1:4001", "tray-01-console has the same address"),
    "same data address": ("10.11.2.2", "10.11.1.1", "tray-01-host data.nic-0 has the same address"),
    "wrong scheme": ("'https://10.0.0.1'", "'http://10.0.0.1'", "needs an address that begins with https://"),
    "no scheme": ("'snmp://10.0.3.2'", "'10.0.3.2'", "begins with snmp://"),
    "no host": ("'snmp://10.0.3.2'", "'snmp://'", "the host is missing"),
    "no port": ("rfc2217://10.0.2.1:4001", "rfc2217://10.0.2.1", "the port is missing"),
    "bad port": ("https://10.0.0.1", "https://10.0.0.1:99999", "this is no URL"),
    "two slashes": ("modbus+rtu:///dev", "modbus+rtu://dev", "three slashes"),
    "pdu by serial line": ("'snmp://10.0.3.2'", "'modbus+tcp://10.0.3.2:502'", "begins with snmp:// or https://"),
    "gateway without port": ("modbus+rtu:///dev/ttyUSB0", "modbus+rtu+tcp://10.0.9.9", "the port is missing"),
    "undeclared secret": ("{password: tray}", "{password: trai}", "(did you mean 'tray'?)"),
    "secret without source": ("tray: {env: TRAY_PASSWORD}", "tray: {}", "env, file or keyring"),
    "keyring without user": ("tray: {env: TRAY_PASSWORD}", "tray: {keyring: rack}", "service/user"),
    "calibration over": ("2099-03-31", "2026-11-21", "the calibration of ultrasonic flow meter was due on 2026-11-21"),
    "instrument twice": ("RT-0007", "FM-0042", "FM-0042 is listed more than once"),
}


def test_sound_rack_loads(tmp_path: Path) -> None:
    assert load(tmp_path) == ()


@pytest.mark.parametrize("fault", MODEL_FAULTS)
def test_fault_of_model_is_named_with_its_line(fault: str, tmp_path: Path) -> None:
    old, new, expected = MODEL_FAULTS[fault]
    model, line = edit(MODEL, old, new)
    problems = load(tmp_path, model=model)
    assert any(expected in problem for problem in problems), problems
    lines = {int(problem.split(":")[1]) for problem in problems if expected in problem}
    assert min(abs(line - found) for found in lines) <= 1, problems


@pytest.mark.parametrize("fault", BAY_FAULTS)
def test_fault_of_bay_is_named_with_its_line(fault: str, tmp_path: Path) -> None:
    old, new, expected = BAY_FAULTS[fault]
    bay, line = edit(BAY, old, new)
    problems = load(tmp_path, bay=bay)
    assert [problem for problem in problems if expected in problem and problem.startswith(f"bay.yaml:{line}:")], (
        problems
    )


def test_calibration_holds_on_its_last_day(tmp_path: Path) -> None:
    bay, _ = edit(BAY, "2099-03-31", TODAY.isoformat())
    assert load(tmp_path, bay=bay) == ()


def test_supply_without_cord_is_named(tmp_path: Path) -> None:
    problems = load(tmp_path, model=MODEL.replace("  - {outlet: pdu-b/3, feeds: shelf-1/psu-6}\n", ""))
    assert [problem for problem in problems if "shelf-1/psu-6 is fed by no outlet" in problem]


def test_device_without_endpoint_is_named(tmp_path: Path) -> None:
    line = next(line for line in BAY.splitlines() if line.startswith("  cdu-1:"))
    problems = load(tmp_path, bay=BAY.replace(line + "\n", ""))
    assert problems == ("bay.yaml:5: devices: cdu-1 (cdu) is in the model but has no endpoint here",)


def test_interlock_that_would_watch_nothing_is_refused(tmp_path: Path) -> None:
    model = MODEL.replace("  cdu-1: {roles: [cdu], assembly: cdu}\n", "")
    assert [problem for problem in load(tmp_path, model=model) if "the rack has no cdu" in problem]


def test_modbus_line_is_shared_only_where_units_differ(tmp_path: Path) -> None:
    address = "'modbus+rtu:///dev//ttyUSB0?baud=9600'"
    shared, _ = edit(BAY, "'modbus+tcp://10.0.4.1:502'", address)
    assert load(tmp_path, bay=shared) == ()
    clash, _ = edit(shared, "{unit: 12}", "{unit: '0203'}")
    assert [problem for problem in load(tmp_path, bay=clash) if "shelf-1 has the same address" in problem]
    unnamed, _ = edit(shared, ", options: {unit: 12}", "")
    assert [problem for problem in load(tmp_path, bay=unnamed) if "shelf-1 has the same address" in problem]


def test_password_in_address_is_refused_and_not_repeated(tmp_path: Path) -> None:
    bay, _ = edit(BAY, "https://10.0.0.1", "https://root:hunter2@10.0.0.1")
    problems = load(tmp_path, bay=bay)
    assert any("holds no user and no password" in problem for problem in problems)
    assert "hunter2" not in "".join(problems)


def test_secret_written_instead_of_its_name_is_not_repeated(tmp_path: Path) -> None:
    for written in ("hunter2", "'Hunter 2!'", "{a: Hunter2}", "1234567"):
        bay, _ = edit(BAY, "{password: tray}", f"{{password: {written}}}")
        problems = load(tmp_path, bay=bay)
        assert problems
        assert "unter" not in "".join(problems)
        assert "1234567" not in "".join(problems)


def test_spellings_of_one_address_are_the_same() -> None:
    assert normal("https://HOST.example.") == normal("https://host.example:443/redfish")
    assert normal("ssh://[fd00::0:1]") == normal("ssh://[FD00::1]:22")
    assert normal("snmp://10.0.0.1:443") != normal("https://10.0.0.1:443")
    assert normal("serial:///dev/ttyUSB0?baud=9600") == normal("modbus+rtu:///dev/./ttyUSB0")
