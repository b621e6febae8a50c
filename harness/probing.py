"""Probing: what speaks at an address, what it can do, what it measures now. Reads only; a secret is tried once.

A refused secret, or silence, ends the probing of a device at once: no other driver is tried with the same secret.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import TypeVar

from harness import capabilities as abilities
from harness import checks, controls, physical, power, sensors, workload
from harness.capabilities import Identified, Identity, Telemetry
from harness.connection import Candidate, Connection, Driver, Option
from harness.each import each
from harness.errors import DefinitionError, DeviceError, Problem, Refused, Unreachable
from harness.quantities import Channel, Quality, Reading, Sample
from harness.registry import build_driver, recogniser, tier_of
from harness.sensors import Sensor, Sensors

NOTHING_FITS = (
    "it answers, and no driver and profile of Rackproof fit what it says of itself. "
    "Name them with --driver and --profile, or write a profile for its family"
)
C = TypeVar("C")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Target:
    """One device to be probed: how it is reached, and its driver; an empty `driver` is found out."""

    connection: Connection
    driver: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """What was found at one address. `driver` is empty where nothing was recognised; `problems` empty if all is well.

    `capabilities` are the names of the protocols in `harness.capabilities`, `checks`, `controls`, `physical`, `power`,
    `sensors` and `workload`; `samples` one a channel; `sensors` all that the device lists beside them; `options` those
    that the driver needs; `alternatives` the other drivers (`driver/profile`) that fit what the device says of itself.
    """

    target: Target
    driver: str = ""
    profile: str = ""
    tier: str = ""
    options: Mapping[str, Option] = field(default_factory=dict)
    identity: Identified | None = None
    capabilities: tuple[str, ...] = ()
    samples: tuple[Sample, ...] = ()
    sensors: tuple[Sensor, ...] = ()
    alternatives: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


Probe = Callable[[], Awaitable[Found]]
Recognise = Callable[[], Awaitable[Sequence[Candidate]]]


def probe(targets: Iterable[Target]) -> tuple[Found, ...]:
    """Probe all targets side by side; raises DefinitionError, with all that is wrong, before the first contact only."""
    prepared: list[tuple[Target, Probe]] = []
    problems: list[Problem] = []
    for target in targets:
        try:
            prepared.append(_prepared(target))
        except DefinitionError as error:
            problems += error.problems
    if problems:
        raise DefinitionError(problems)
    return asyncio.run(_probe_all(prepared))


def _prepared(target: Target) -> tuple[Target, Probe]:
    if target.driver:
        known = Candidate(target.driver, target.connection.profile, target.connection.options)
        driver = build_driver(target.driver, target.connection)
        try:
            recognise = recogniser(target.connection)
        except DefinitionError:  # a driver from elsewhere has addresses of its own
            return target, partial(_study, target, known, driver)
        return target, partial(_check, target, known, driver, recognise)
    return target, partial(_find_out, target, recogniser(target.connection))


async def _probe_all(works: Sequence[tuple[Target, Probe]]) -> tuple[Found, ...]:
    results = await each(works, lambda work: work[1]())
    return tuple(result.value or Found(result.device[0], problems=(str(result.error),)) for result in results)


async def _check(target: Target, known: Candidate, driver: Driver, recognise: Recognise) -> Found:
    """Study the driver that was named, unless the device refuses or keeps silent when it is asked what it is.

    That asking is built to try a secret once; what it finds is only held against the driver that was named.
    """
    try:
        fitting = {candidate.driver for candidate in await recognise()}
    except (Refused, Unreachable):
        raise
    except DeviceError:
        fitting = set()
    found = await _study(target, known, driver)
    if not fitting or known.driver in fitting:
        return found
    doubt = (
        f"{driver.device}: it is to be a {known.driver}, and calls itself a {' or '.join(sorted(fitting))}. "
        "Make sure that the address is the right one"
    )
    return replace(found, problems=(*found.problems, doubt))


async def _find_out(target: Target, recognise: Recognise) -> Found:
    """Ask the device what it is, then study it with the first driver that opens; raises Refused and Unreachable."""
    problems: list[str] = []
    fitting = await recognise()
    for number, candidate in enumerate(fitting):
        connection = replace(target.connection, profile=candidate.profile, options=candidate.options)
        try:
            found = await _study(target, candidate, build_driver(candidate.driver, connection))
            others = (f"{other.driver}/{other.profile or '-'}" for other in fitting[number + 1 :])
            return replace(found, alternatives=tuple(others))
        except (Refused, Unreachable):
            raise
        except (DefinitionError, DeviceError) as error:
            problems.append(str(error))
    return Found(target, problems=tuple(problems) or (f"{target.connection.device}: {NOTHING_FITS}",))


async def _study(target: Target, candidate: Candidate, driver: Driver) -> Found:
    """Open the driver and ask all that only reads; raises DeviceError where it does not open."""
    try:
        await driver.open()
        identity, problems = await _asked(driver, Identity, lambda it: it.identify())
        samples: Sequence[Sample] | None = None
        listed: Sequence[Sensor] | None = None
        if not _is_refused(problems):
            samples, more = await _asked(driver, Telemetry, lambda it: it.sample())
            problems += more
        if not _is_refused(problems):
            listed, more = await _asked(driver, Sensors, lambda it: it.sensors())
            problems += more
    finally:
        await driver.close()
    texts = [str(problem) for problem in problems]
    if identity is not None and not (identity.model or identity.serial):
        texts.append(
            f"{driver.device}: asked who it is, it names neither model nor serial. Make sure it is what it seems"
        )
    return Found(
        target,
        candidate.driver,
        candidate.profile,
        tier_of(candidate.driver, candidate.profile),
        candidate.options,
        identity,
        _capabilities(driver),
        tuple(samples or ()),
        tuple(listed or ()),
        problems=(*texts, *_doubts(driver.device, samples or ()), *_unhealthy(driver.device, listed or ())),
    )


def _is_refused(problems: Sequence[DeviceError]) -> bool:
    return any(isinstance(problem, Refused) for problem in problems)


async def _asked(
    driver: Driver, capability: type[C], question: Callable[[C], Awaitable[T]]
) -> tuple[T | None, list[DeviceError]]:
    """What the driver answers, where it has the capability; what it cannot do is no problem."""
    if not isinstance(driver, capability):
        return None, []
    try:
        return await question(driver), []
    except DeviceError as error:
        return None, [error]


def _doubts(device: str, samples: Sequence[Sample]) -> list[str]:
    """One line about all channels that should have a value and have none worth judging."""
    doubtful = [sample.channel for sample in samples if _is_doubtful(sample)]
    if not doubtful:
        return []
    some = _some([_named(channel) for channel in doubtful])
    return [f"{device}: {len(doubtful)} of {len(samples)} channels are bad or stale: {some}. Look at these sensors"]


def _unhealthy(device: str, listed: Sequence[Sensor]) -> list[str]:
    """One line about all fitted sensors that the device itself calls unhealthy."""
    names = [sensor.name for sensor in listed if sensor.present and sensor.healthy is False]
    if not names:
        return []
    return [f"{device}: it calls {len(names)} of {len(listed)} sensors unhealthy: {_some(names)}. Look at these parts"]


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (" …" if len(names) > 3 else "")


def _is_doubtful(sample: Sample) -> bool:
    return not sample.reading.usable and sample.reading.quality is not Quality.ABSENT


def _named(channel: Channel) -> str:
    """A channel without its device: `outlet.power[outlet-3]`."""
    return f"{channel.quantity}[{channel.part}]" if channel.part else channel.quantity


def _capabilities(driver: Driver) -> tuple[str, ...]:
    """The capability protocols that the driver satisfies, by name; `Telemetry` and its like before controls."""
    protocols = [
        kind
        for module in (abilities, checks, controls, physical, power, sensors, workload)
        for kind in vars(module).values()
        if isinstance(kind, type) and kind.__module__ == module.__name__ and getattr(kind, "_is_protocol", False)
    ]
    return tuple(kind.__name__ for kind in protocols if isinstance(driver, kind))


def described(found: Found) -> dict[str, object]:
    """One device as plain data for JSON: its channels, then its sensors as `sensor[NAME]`.

    The value of a reading that cannot be judged is null, never zero, and its quality says why.
    """
    readings = [(_named(sample.channel), sample.reading) for sample in found.samples]
    readings += [(f"sensor[{sensor.name}]", sensor.reading) for sensor in found.sensors]
    return {
        "device": found.target.connection.device,
        "address": found.target.connection.address,
        "driver": found.driver or None,
        "profile": found.profile or None,
        "tier": found.tier or None,
        "identity": asdict(found.identity) if found.identity else None,
        "capabilities": list(found.capabilities),
        "alternatives": list(found.alternatives),
        "readings": [_row(name, reading) for name, reading in readings],
        "problems": list(found.problems),
    }


def _row(name: str, reading: Reading) -> dict[str, object]:
    """One reading; one that calls itself good and is no finite number is bad."""
    quality = reading.quality if reading.usable or reading.quality is not Quality.GOOD else Quality.BAD
    return {
        "name": name,
        "value": reading.value if reading.usable else None,
        "unit": reading.unit.value,
        "at": reading.at.isoformat(),
        "quality": quality.value,
    }
