"""Drivers, observers and report writers, found by entry point and loaded when needed.

The harness names no driver and no report: this is the only door to them.
"""

from __future__ import annotations

import functools
import importlib.resources
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

import yaml

from harness.clock import Clock
from harness.connection import Candidate, Connection, Driver, DriverFactory, Recogniser, Secret
from harness.errors import DefinitionError, Problem
from harness.observing import LiveOptions, Observer, Verifier, Writer
from harness.rack.bay import Endpoint
from harness.rack.definition import RackDefinition
from harness.rack.suggest import did_you_mean

DRIVERS = "rackproof.drivers"
RECOGNITION = "rackproof.recognition"
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
            drivers[entry.name] = factory(connection_to(entry.name, entry.endpoint, secrets, clock))
        except DefinitionError as error:
            problems += [Problem(where, path, problem.text) for problem in error.problems]
    if problems:
        raise DefinitionError(problems)
    return drivers


def connection_to(device: str, endpoint: Endpoint, secrets: Mapping[str, Secret], clock: Clock) -> Connection:
    """How a device is reached, as its endpoint in a bay file says."""
    return Connection(
        device=device,
        address=endpoint.address,
        profile=endpoint.profile,
        user=endpoint.user,
        secrets={purpose: secrets[name] for purpose, name in endpoint.secrets.items()},
        options=endpoint.options,
        now=clock.now,
        pace=clock.pace,
    )


def build_driver(name: str, connection: Connection) -> Driver:
    """The driver of this name for one connection, unopened; raises DefinitionError."""
    found = {point.name: point for point in entry_points(group=DRIVERS)}
    if name not in found:
        raise DefinitionError(f"{connection.device}: there is no driver {name!r}{did_you_mean(name, found)}")
    factory: DriverFactory = found[name].load()
    return factory(connection)


def recogniser(connection: Connection) -> Callable[[], Awaitable[Sequence[Candidate]]]:
    """What asks the device of a connection which drivers and profiles fit it; raises DefinitionError."""
    recognise: Recogniser = _sorted(RECOGNITION)[0].load()
    return recognise(connection)


def driver_tiers(definition: RackDefinition) -> dict[str, str]:
    """Device to `driver/profile (tier)`, from the `quality.yaml` beside the drivers; unlisted ones are unrated."""
    tiers: dict[str, str] = {}
    for entry in definition.devices:
        driver, profile = entry.endpoint.driver, entry.endpoint.profile
        tiers[entry.name] = f"{driver}/{profile or '-'} ({tier_of(driver, profile)})"
    return tiers


def tier_of(driver: str, profile: str) -> str:
    """How far a driver, or a profile of it, has been proven: `bronze` … `platinum`, or `unrated`."""
    points = [point for point in entry_points(group=DRIVERS) if point.name == driver]
    section, key = ("profiles", profile) if profile else ("drivers", driver)
    row = _quality(points[0].module.partition(".")[0]).get(section, {}).get(key, {}) if points else {}
    return str(row.get("tier", "unrated"))


@functools.cache
def _quality(package: str) -> Mapping[str, Any]:
    """The table `quality.yaml` of a package of drivers; empty where it ships none."""
    table = importlib.resources.files(package) / "quality.yaml"
    found: Mapping[str, Any] = yaml.safe_load(table.read_text("utf-8")) if table.is_file() else {}
    return found


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
