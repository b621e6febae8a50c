"""The documentation's tables say what the code says: faults, limit keys, channels, exit codes, options, metrics."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.rack.vocabulary import CHANNELS, LIMIT_KEYS
from harness.verdict import EXIT_CODES, GRAVITY

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


def row(*cells: object) -> str:
    """One row of a table."""
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def limit_keys() -> list[str]:
    """Every limit key with its unit."""
    return [row("key", "unit"), "|---|---|", *(row(f"`{key}`", f"`{unit}`") for key, unit in LIMIT_KEYS.items())]


def channels() -> list[str]:
    """Every quantity that telemetry has, by role."""
    rows = [
        row(f"`{role}`", f"`{quantity}`", f"`{unit}`")
        for role, quantities in CHANNELS.items()
        for quantity, unit in quantities.items()
    ]
    return [row("role", "quantity", "unit"), "|---|---|---|", *rows]


def faults() -> list[str]:
    """Every fault that a simulated bench4 can have."""
    command = [sys.executable, "-m", "fixtures", "bench4", "--list-faults", "--json"]
    told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60, cwd=ROOT).stdout
    rows = []
    for fault in json.loads(told):
        size = fault["size"] or ""
        if fault["smallest"] is not None:
            size += f"; smallest {fault['smallest']:g}"
        elif fault["default"]:
            size += f" `{fault['default']}`"
        caught = fault["caught_by"]
        kind = "limit" if "limit" in caught else "interlock"
        check = f"{kind} `{caught[kind]}`" + (", not judged" if caught["verdict"] == "INCONCLUSIVE" else "")
        what = (f"`{fault['example']}`", fault["domain"], fault["text"], fault["signature"].replace("|", "/"))
        rows.append(row(*what, size, f"`@{fault['onset']}`", check, f"`{caught['subject']}`"))
    heads = ("example", "domain", "what is wrong", "what it looks like", "size", "onset", "caught by", "at")
    return [row(*heads), "|---|---|---|---|---|---|---|---|", *rows]


TABLES: dict[tuple[str, str], Callable[[], list[str]]] = {
    ("models.md", "limit keys"): limit_keys,
    ("models.md", "channels"): channels,
    ("simulation.md", "faults"): faults,
}


@pytest.mark.parametrize(("file", "name"), TABLES, ids=lambda word: word)
def test_a_generated_table_is_current(file: str, name: str) -> None:
    text = (DOCS / file).read_text("utf-8")
    _, _, rest = text.partition(f"<!-- table: {name} -->\n")
    table, end, _ = rest.partition("<!-- end of table -->\n")
    assert end
    assert table.splitlines() == TABLES[file, name]()


@pytest.mark.parametrize("path", [ROOT / "README.md", DOCS / "operations.md"], ids=lambda path: path.name)
def test_verdicts_have_the_exit_codes_of_the_code(path: Path) -> None:
    told = dict(re.findall(r"^\| ([A-Z_]+) \| (\d) \|", path.read_text("utf-8"), re.MULTILINE))
    wanted = {verdict.value: str(code) for verdict, code in EXIT_CODES.items()}
    if path.name == "README.md":
        del wanted["NOT_RUN"]
    assert told == wanted


def test_verdicts_stand_in_order_of_gravity() -> None:
    text = (DOCS / "operations.md").read_text("utf-8")
    assert re.findall(r"^\| ([A-Z_]+) \| \d \|", text, re.MULTILINE) == [verdict.value for verdict in GRAVITY]


def test_every_option_of_a_driver_is_told() -> None:
    from drivers import bmc, host, switch
    from drivers.transports import modbus, snmp

    told = set(re.findall(r"`([a-z_.]+)`", (DOCS / "bays.md").read_text("utf-8")))
    known = {*bmc.OPTIONS, *host.OPTIONS, *snmp.OPTIONS, *switch.OPTIONS, *modbus.OPTIONS, "unit", "units", "pumps"}
    assert known <= told


def test_every_metric_is_told() -> None:
    source = (ROOT / "reports" / "metrics.py").read_text("utf-8")
    families = re.findall(r'(Counter|Gauge|Info)MetricFamily\(\s*"(rackproof_[a-z_]+)"', source)
    suffix = {"Counter": "_total", "Gauge": "", "Info": "_info"}
    told = set(re.findall(r"^\| `(rackproof_[a-z_]+)`", (DOCS / "operations.md").read_text("utf-8"), re.MULTILINE))
    assert told == {name + suffix[kind] for kind, name in families}


def test_every_profile_that_ships_is_told() -> None:
    text = (DOCS / "devices.md").read_text("utf-8")
    assert [p.stem for p in (ROOT / "drivers" / "profiles").glob("*.yaml") if f"`{p.stem}`" not in text] == []
