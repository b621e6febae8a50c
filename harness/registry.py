"""Drivers, observers and report writers, found by entry point and loaded when needed.

The harness names no driver and no report: this is the only door to them.
"""

from __future__ import annotations

import importlib.resources
from collections.abc import Iterator, Mapping
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

import yaml

from harness.clock import Clock
from harness.connection import Connection, Driver, DriverFactory, Secret
from harness.errors import DefinitionError, Problem
from harness.observing import LiveOptions, Observer, Verifier, Writer
from harness.rack.definition import DeviceEntry, RackDefinition
from harness.rack.suggest import did_you_mean

DRIVERS = "rackproof.drivers"
LIVE = "rackproof.live"
REPORTS = "rackproof.reports"
VERIFIER = "rackproof.verifier"
KEYS = "rackproof.keys"


def build_drivers(definition: RackDefinition, secrets: Mapping[str, Secret], clock: Clock) -> Mapping[str, Driver]:
    """A driver for every device, unopened; every unknown driver and bad option at once as DefinitionError."""
    found = {point.name: point for point in entry_points(group=DRIVERS)}
    problems: list[Problem] = []
    drivers: dict[str, Driver] = {}
    for entry in definition.devices:
        where, path = f"bay {definition.bay.name}", f"devices.{entry.name}"
        if entry.endpoint.driver not in found:
            hint = did_you_mean(entry.endpoint.driver, found)
            problems.append(Problem(where, f"{path}.driver", f"there is no driver {entry.endpoint.driver!r}{hint}"))
            continue
        factory: DriverFactory = found[entry.endpoint.driver].load()
        try:
            drivers[entry.name] = factory(_connection(entry, secrets, clock))
        except DefinitionError as error:
            problems += [Problem(where, path, problem.text) for problem in error.problems]
    if problems:
        raise DefinitionError(problems)
    return drivers


def _connection(entry: DeviceEntry, secrets: Mapping[str, Secret], clock: Clock) -> Connection:
    endpoint = entry.endpoint
    return Connection(
        device=entry.name,
        address=endpoint.address,
        profile=endpoint.profile,
        user=endpoint.user,
        secrets={purpose: secrets[name] for purpose, name in endpoint.secrets.items()},
        options=endpoint.options,
        now=clock.now,
        pace=clock.pace,
    )


def driver_tiers(definition: RackDefinition) -> dict[str, str]:
    """Device to `driver/profile (tier)`, from the `quality.yaml` beside the drivers; unlisted ones are unrated."""
    found = {point.name: point for point in entry_points(group=DRIVERS)}
    tables: dict[str, Mapping[str, Any]] = {}
    tiers: dict[str, str] = {}
    for entry in definition.devices:
        driver, profile = entry.endpoint.driver, entry.endpoint.profile
        package = found[driver].module.partition(".")[0]
        if package not in tables:
            table = importlib.resources.files(package) / "quality.yaml"
            tables[package] = yaml.safe_load(table.read_text("utf-8")) if table.is_file() else {}
        section, key = ("profiles", profile) if profile else ("drivers", driver)
        row = tables[package].get(section, {}).get(key, {})
        tiers[entry.name] = f"{driver}/{profile or '-'} ({row.get('tier', 'unrated')})"
    return tiers


def open_observers(options: LiveOptions) -> list[Observer]:
    """Every live observer that has something to do; those opened are closed again if one refuses."""
    observers: list[Observer] = []
    try:
        for point in _sorted(LIVE):
            observer = point.load()(options)
            if observer is not None:
                observers.append(observer)
    except BaseException:
        for observer in observers:
            observer.close()
        raise
    return observers


def report_writers() -> Iterator[tuple[str, Writer]]:
    """Name and writer of every report."""
    for point in _sorted(REPORTS):
        yield point.name, point.load()


def check_keys(directory: Path | None) -> None:
    """See now, rather than after hours of burn-in, that the signing keys can be used; raises DefinitionError."""
    for point in _sorted(KEYS):
        point.load()(directory)


def run_verifier() -> Verifier:
    """The verifier of run directories."""
    verifier: Verifier = _sorted(VERIFIER)[0].load()
    return verifier


def _sorted(group: str) -> list[EntryPoint]:
    return sorted(entry_points(group=group), key=lambda point: point.name)
