"""Traps of pysnmp that our source keeps out of by what it does not call, or always says; see test_pysnmp_traps.py."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from pysnmp.hlapi.v3arch import asyncio as api  # type: ignore[import-untyped]
from pysnmp.smi.error import MibNotFoundError  # type: ignore[import-untyped]
from pysnmp.smi.view import MibViewController  # type: ignore[import-untyped]

from drivers.profile import SnmpProfile, profiles
from tests.drivers.source_names import names_of

ROOT_FOLDER = Path(__file__).parents[3]
TRANSPORTS = ROOT_FOLDER / "drivers" / "transports"


def calls_of(folder: Path, pattern: str) -> Iterator[ast.Call]:
    """Every call of something that is called so, in the modules of a folder."""
    for path in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and re.fullmatch(pattern, ast.unparse(node.func)):
                yield node


def test_trap_t1_no_walk_of_the_library_is_called() -> None:
    """walk_cmd and bulk_walk_cmd never end on a dead device."""
    assert not [*calls_of(ROOT_FOLDER / "drivers", r".*\b(bulk_)?walk_cmd")]


def test_trap_default_timeout_is_always_overruled() -> None:
    """A target is made in one place, with a time-out and without the library's retries."""
    made = [*calls_of(TRANSPORTS, r"kind\.create")]
    assert [{keyword.arg for keyword in call.keywords} for call in made] == [{"timeout", "retries"}]


def test_trap_t8_mib_not_found() -> None:
    """Some 25 core MIBs ship with it and IF-MIB is none of them: we give numbers only, in profiles and in code."""
    engine = api.SnmpEngine()
    view = MibViewController(engine.get_mib_builder())
    with pytest.raises(MibNotFoundError):
        api.ObjectIdentity("IF-MIB", "ifHCInOctets", 1).resolve_with_mib(view)
    for call in calls_of(ROOT_FOLDER / "drivers", r".*\bObjectIdentity"):
        assert len(call.args) == 1
        assert isinstance(call.args[0], ast.Name)
    for profile in profiles().values():
        if isinstance(profile, SnmpProfile):
            for point in profile.points.values():
                assert all(arc.isdigit() or arc == "{part}" for arc in point.oid.split("."))


def test_trap_t9_warnings_at_import() -> None:
    """With pysmi installed it warns of itself, which ends a run under `-W error`: the transport needs no pysmi."""
    command = [sys.executable, "-W", "error", "-c", "import drivers.transports.snmp_engine"]
    assert subprocess.run(command, check=False, capture_output=True, cwd=ROOT_FOLDER).returncode == 0
    project = tomllib.loads((ROOT_FOLDER / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert not [each for each in project["dependencies"] if each.startswith("pysmi")]


def test_trap_lookup_mib_is_on_by_default() -> None:
    """It triples the cost and, #212, gives half-resolved values: every command of ours turns it off."""
    tree = ast.parse((TRANSPORTS / "snmp_engine.py").read_text(encoding="utf-8"))
    commands = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and ast.unparse(node.func) == "command"]
    assert len(commands) == 1
    assert "lookupMib=False" in ast.unparse(commands[0])
    direct = [*calls_of(TRANSPORTS, r"api\.\w+_cmd")]
    assert [ast.unparse(call.func) for call in direct] == ["api.bulk_cmd"]
    assert "**options" in ast.unparse(direct[0])


def test_trap_aes_needs_cryptography() -> None:
    """pysnmp does not declare it and fails at run time without: it is a dependency of ours."""
    project = tomllib.loads((ROOT_FOLDER / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert [each for each in project["dependencies"] if each.startswith("cryptography")]


def test_trap_synchronous_api_is_gone() -> None:
    """`pysnmp.hlapi` without asyncio and `oneliner` are gone since 7; much code on the net still imports them."""
    names = names_of(ROOT_FOLDER / "drivers")
    assert "pysnmp.hlapi.v3arch" in names
    assert not {"pysnmp.hlapi", "pysnmp.entity.rfc3413.oneliner", "cmdgen", "getCmd", "setCmd", "nextCmd"} & names


def test_trap_older_releases_never_time_out() -> None:
    """#218: before 7.1.23 a time-out was not raised everywhere; #225 came with 7.1.26."""
    project = tomllib.loads((ROOT_FOLDER / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (floor,) = [each.partition(">=")[2] for each in project["dependencies"] if each.startswith("pysnmp")]
    assert tuple(map(int, floor.split(".")[:3])) >= (7, 1, 26)


def test_trap_more_than_55_repetitions_skip_rows() -> None:
    """snmp_exporter #13: a switch skips rows without a word. No profile and no default of ours asks for as many."""
    asked = {profile.repetitions for profile in profiles().values() if isinstance(profile, SnmpProfile)}
    assert max(asked) <= 50
    assert SnmpProfile.model_json_schema()["properties"]["repetitions"]["maximum"] <= 55
    for call in calls_of(ROOT_FOLDER / "drivers", "connect_snmp"):
        given = [ast.unparse(keyword.value) for keyword in call.keywords if keyword.arg == "repetitions"]
        assert all(each.endswith(".repetitions") for each in given), "only what a profile says"
