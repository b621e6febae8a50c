"""Burn-in: the whole step of the shipped plan, with accelerators that are hardly seen or count anew."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from drivers.host.record import job_of
from drivers.host.tools import Spec
from harness.capabilities import Accelerator
from harness.quantities import Channel, Quality, Reading, Sample, Unit
from harness.rack.definition import RackDefinition
from harness.verdict import RunSummary, Verdict
from harness.workload import Job, Load
from tests.failopen.bench import Bench, Tiny

COUNTS = ("errors", "ecc.uncorrected", "ecc.corrected", "kernel.critical", "console.problems")
LIMITS: dict[str, dict[str, Any]] = {
    **{f"burn_in.{name}": {"unit": "count", "max": 0, "source": "test"} for name in COUNTS},
    "burn_in.work": {"unit": "count", "min": 1, "source": "test"},
    "burn_in.throttled": {"unit": "ms", "max": 0, "source": "test"},
    "burn_in.power": {"unit": "W", "min": 700, "max": 900, "source": "test"},
    "accelerator.temperature.max": {"unit": "degC", "max": 83, "source": "test"},
    "burn_in.exit_code": {"unit": "count", "equals": 0, "source": "test"},
    "burn_in.telemetry.coverage": {"unit": "%", "min": 5, "source": "test"},
}
ENOUGH = 45
"""Sweeps under load, of which one good one is less than a twentieth, also where there happen to be two of them."""
LOADS = {"burn-in": {"kind": "accelerator", "tool": "gpu-burn", "seconds": 14, "limit": 60}}
BURNED = (
    "\r100.0%  proc'd: 50 (900 Gflop/s) - 51 (900 Gflop/s)   errors: 0 - 0   temps: 60 C - 61 C \n\n"
    "Tested 2 GPUs:\n\tGPU 0: OK\n\tGPU 1: OK\n"
)


def rack(bench: Bench) -> RackDefinition:
    """A tray with its host and its console."""
    return bench.rack(LIMITS, {"tray-01": ["compute_tray", "host", "console"]}, loads=LOADS)


def tray(bench: Bench, sweeps: list[int], good: Any = lambda number, part: True) -> Tiny:
    """A tray whose accelerators are read; the power of one is `good` for the number of a sweep, or it is not.

    `sweeps` holds how many there were.
    """
    channels = [
        Channel("tray-01", quantity, unit, f"accelerator-{number}")
        for quantity, unit in (("accelerator.power", Unit.WATT), ("accelerator.temperature", Unit.CELSIUS))
        for number in (0, 1)
    ]

    def sample() -> list[Sample]:
        number, now = sweeps[0], bench.clock.now()
        sweeps[0] += 1
        values = {Unit.WATT: 800.0, Unit.CELSIUS: 60.0}
        readings = [Reading(values[channel.unit], channel.unit, now) for channel in channels]
        return [
            Sample(channel, read if good(number, channel.part) else replace(read, quality=Quality.BAD))
            for channel, read in zip(channels, readings, strict=True)
        ]

    return Tiny("tray-01", polling_floor=0.01, channels=channels, sample=sample)


def host(bench: Bench, sweeps: list[int], corrected: tuple[int, ...] = (0, 0, 0)) -> Tiny:
    """A host that burns for as long as it was asked to; `corrected` is what accelerator-1 counts at each reading.

    It burns on until it was read under load and its tray was swept often enough since: a machine that stands still
    makes no burn-in shorter.
    """
    asked: list[tuple[float, Load]] = []
    counts = iter(corrected)
    read: list[int] = []
    told = [False]

    def job(name: str) -> Job:
        begun, load = asked[-1]
        # The station counts until it last saw the load run: it is told once more when there was enough to see.
        over = told[0] and bench.clock.elapsed() - begun >= load.seconds
        told[0] = len(read) >= 2 and sweeps[0] - read[1] >= ENOUGH
        facts = {"name": name, "known": "yes", "boot": "same"} | (
            {"rc": "0", "alive": "no"} if over else {"alive": "yes"}
        )
        return job_of(facts, BURNED, Spec.of(load))

    def start(load: Load) -> Job:
        asked.append((bench.clock.elapsed(), load))
        return job(load.name)

    def accelerators() -> list[Accelerator]:
        counted, now = next(counts), bench.clock.now()
        read.append(sweeps[0])
        heat, power, spent = (
            Reading(60.0, Unit.CELSIUS, now),
            Reading(800.0, Unit.WATT, now),
            Reading(0.0, Unit.MILLISECOND, now),
        )
        return [
            Accelerator(f"accelerator-{number}", f"S{number}", "P", heat, power, 0, counted * number, spent)
            for number in (0, 1)
        ]

    return Tiny(
        "tray-01-host", start=start, job=job, stop=job, stop_all=(), renew=None, lease=30.0,
        accelerators=accelerators, entries=(),
    )  # fmt: skip


def burn(bench: Bench, good: Any = lambda number, part: True, corrected: tuple[int, ...] = (0, 0, 0)) -> RunSummary:
    """Run the whole step."""
    sweeps = [0]
    drivers = (tray(bench, sweeps, good), host(bench, sweeps, corrected))
    console = Tiny("tray-01-console", captured=(), problems=())
    return bench.run(rack(bench), bench.shipped("test_40_burn_in", "test_burn_in"), console, *drivers)


@pytest.mark.peer("OpenHTF 1.6.3 #901", "two samples were taken and then none: what was seen was good", "executed")
def test_an_accelerator_that_was_hardly_seen(bench: Bench) -> None:
    """INCONCLUSIVE: what is left out of a mean as unusable is counted, channel by channel."""
    bench.passes(burn(bench))
    hardly = burn(bench, lambda number, part: part == "accelerator-0" or number % ENOUGH == 0)
    bench.ends(hardly, Verdict.INCONCLUSIVE, "accelerator-1")


@pytest.mark.peer("gpud #381", "after a restart a real fault reads Healthy", "issue")
def test_a_counter_that_began_anew(bench: Bench) -> None:
    """INCONCLUSIVE: a counter that ran backwards has counted nothing that can be judged."""
    bench.passes(burn(bench, corrected=(7, 7, 7)))
    bench.ends(burn(bench, corrected=(7, 7, 0)), Verdict.INCONCLUSIVE, "ecc.corrected could not be judged")
