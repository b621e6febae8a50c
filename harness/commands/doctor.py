"""`rackproof doctor`: is this station fit to accept a rack?"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import platform
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, entry_points, version
from pathlib import Path

from harness.errors import DefinitionError, RackproofError

PACKAGES = (
    "pytest",
    "pyserial",
    "pysnmp",
    "redfish",
    "paramiko",
    "prometheus-client",
    "rich",
    "pymodbus",
    "pydantic",
    "duckdb",
    "typst",
    "pyhanko",
    "securesystemslib",
    "cryptography",
)
ROOMS = ("harness", "drivers", "fixtures", "reports", "test_plans")


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at: `ok` None means that it is only a remark."""

    name: str
    ok: bool | None
    text: str


def execute(arguments: argparse.Namespace) -> int:
    """Print one line a check; 0 if all is well, 2 if something must be mended first."""
    checks = [*_python(), *_packages(), *_rooms(), *_entry_points(), *_runs()]
    if arguments.bay:
        checks += _bay(arguments)
    words = {True: "ok  ", False: "BAD ", None: "note"}
    for check in checks:
        sys.stdout.write(f"{words[check.ok]}  {check.name:<22} {check.text}\n")
    bad = [check for check in checks if check.ok is False]
    sys.stdout.write(f"{len(bad)} to mend\n" if bad else "this station is fit\n")
    return 2 if bad else 0


def _python() -> Iterator[Check]:
    yield Check("python", sys.version_info >= (3, 11), f"{platform.python_version()}, 3.11 or newer is needed")


def _packages() -> Iterator[Check]:
    for name in PACKAGES:
        try:
            yield Check(name, True, version(name))
        except PackageNotFoundError:
            yield Check(name, False, "not installed: run `make demo` once, or install requirements.txt")
    present = importlib.util.find_spec("gufo") is not None
    yield Check("gufo-snmp", None, "installed: fast SNMP reads" if present else "not installed: pysnmp reads")


def _rooms() -> Iterator[Check]:
    """`fixtures` is also the name of somebody else's distribution: make sure that ours is the one imported."""
    home = Path(__file__).resolve().parents[2]
    for room in ROOMS:
        try:
            module = importlib.import_module(room)
        except ImportError as error:
            yield Check(room, False, f"cannot be imported: {error}")
            continue
        place = Path(module.__file__ or "").resolve().parent
        ours = place.parent == home
        yield Check(room, ours, "ours" if ours else f"another package of that name is imported from {place}")


def _entry_points() -> Iterator[Check]:
    for group in (
        "rackproof.drivers",
        "rackproof.live",
        "rackproof.reports",
        "rackproof.keys",
        "rackproof.verifier",
        "rackproof.recognition",
    ):
        broken = []
        points = sorted(entry_points(group=group))
        for point in points:
            try:
                point.load()
            except (ImportError, AttributeError) as error:
                broken.append(f"{point.name} ({error})")
        text = f"cannot be loaded: {', '.join(broken)}" if broken else ", ".join(point.name for point in points)
        yield Check(group, bool(points) and not broken, text or "none registered: install the package again")


def _runs() -> Iterator[Check]:
    free = shutil.disk_usage(Path.cwd()).free
    yield Check("disk", free > 1 << 30, f"{free / 2**30:.1f} GiB free here, 1 GiB is wanted")


def _bay(arguments: argparse.Namespace) -> Iterator[Check]:
    from harness.clock import Clock
    from harness.rack.load import load_definition, model_path
    from harness.registry import build_drivers
    from harness.secrets import resolve

    if not arguments.model:
        raise DefinitionError("--bay needs --model MODEL: a bay is checked against the rack it is to take")
    bay = Path(arguments.bay)
    try:
        definition = load_definition(model_path(arguments.model), bay, "DOCTOR")
        build_drivers(definition, resolve(definition.bay, bay), Clock.real())
    except RackproofError as error:
        yield Check("bay", False, str(error))
        return
    yield Check(
        "bay",
        True,
        f"{definition.bay.name}: {len(definition.devices)} devices, every secret, option and profile is there",
    )
