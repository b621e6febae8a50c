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
from harness import controls
from harness.capabilities import Identified, Identity, Telemetry
from harness.connection import Candidate, Connection, Driver, Option
from harness.each import each
from harness.errors import DefinitionError, DeviceError, Refused, Unreachable
from harness.quantities import Channel, Quality, Sample
from harness.registry import build_driver, recogniser, tier_of

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

    `capabilities` are the names of the protocols in `harness.capabilities` and `harness.controls`; `samples` one a
    channel; `options` those that the driver needs.
    """

    target: Target
    driver: str = ""
    profile: str = ""
    tier: str = ""
    options: Mapping[str, Option] = field(default_factory=dict)
    identity: Identified | None = None
    capabilities: tuple[str, ...] = ()
    samples: tuple[Sample, ...] = ()
    problems: tuple[str, ...] = ()


Probe = Callable[[], Awaitable[Found]]


def probe(targets: Iterable[Target]) -> tuple[Found, ...]:
    """Probe all targets side by side; raises DefinitionError before the first contact, and only then."""
    return asyncio.run(_probe_all([_prepared(target) for target in targets]))


def _prepared(target: Target) -> tuple[Target, Probe]:
    if target.driver:
        known = Candidate(target.driver, target.connection.profile, target.connection.options)
        return target, partial(_study, target, known, build_driver(target.driver, target.connection))
    return target, partial(_find_out, target, recogniser(target.connection))


async def _probe_all(works: Sequence[tuple[Target, Probe]]) -> tuple[Found, ...]:
    results = await each(works, lambda work: work[1]())
    return tuple(result.value or Found(result.device[0], problems=(str(result.error),)) for result in results)


async def _find_out(target: Target, recognise: Callable[[], Awaitable[Sequence[Candidate]]]) -> Found:
    """Ask the device what it is, then study it with the first driver that opens; raises Refused and Unreachable."""
    problems: list[str] = []
    for candidate in await recognise():
        connection = replace(target.connection, profile=candidate.profile, options=candidate.options)
        try:
            return await _study(target, candidate, build_driver(candidate.driver, connection))
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
        if not any(isinstance(problem, Refused) for problem in problems):
            samples, more = await _asked(driver, Telemetry, lambda it: it.sample())
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
        (*texts, *_doubts(driver.device, samples or ())),
    )


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
    some = ", ".join(_named(channel) for channel in doubtful[:3]) + (" …" if len(doubtful) > 3 else "")
    return [f"{device}: {len(doubtful)} of {len(samples)} channels are bad or stale: {some}. Look at these sensors"]


def _is_doubtful(sample: Sample) -> bool:
    return not sample.reading.usable and sample.reading.quality is not Quality.ABSENT


def _named(channel: Channel) -> str:
    """A channel without its device: `outlet.power[outlet-3]`."""
    return f"{channel.quantity}[{channel.part}]" if channel.part else channel.quantity


def _capabilities(driver: Driver) -> tuple[str, ...]:
    """The capability protocols that the driver satisfies, by name; `Telemetry` and its like before controls."""
    protocols = [
        kind
        for module in (abilities, controls)
        for kind in vars(module).values()
        if isinstance(kind, type) and kind.__module__ == module.__name__ and getattr(kind, "_is_protocol", False)
    ]
    return tuple(kind.__name__ for kind in protocols if isinstance(driver, kind))


def described(found: Found) -> dict[str, object]:
    """One device as plain data for JSON; the value of a reading that cannot be judged is null, never zero."""
    return {
        "device": found.target.connection.device,
        "address": found.target.connection.address,
        "driver": found.driver or None,
        "profile": found.profile or None,
        "tier": found.tier or None,
        "identity": asdict(found.identity) if found.identity else None,
        "capabilities": list(found.capabilities),
        "readings": [
            {
                "name": _named(sample.channel),
                "value": sample.reading.value if sample.reading.usable else None,
                "unit": sample.channel.unit.value,
                "at": sample.reading.at.isoformat(),
            }
            for sample in found.samples
        ],
        "problems": list(found.problems),
    }
