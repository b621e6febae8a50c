"""Monitors: a watch that died, fell silent, lost a sensor or was never there, and a rack that nobody saw made safe."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from harness.capabilities import Leak, LeakState
from harness.errors import Unreachable
from harness.quantities import Unit, Value
from harness.rack.definition import RackDefinition
from harness.verdict import Verdict
from tests.failopen.bench import FLOW, Bench, Tiny

WORK = """
import pathlib
def told(word):
    journals = pathlib.Path({folder!r}).glob("*/journal.jsonl")
    return word in max(journals, key=lambda file: file.stat().st_mtime_ns).read_text("utf-8")
for _ in range(1200):
    if {until}:
        break
    await rack.wait_seconds(1, 'working')
measure('thermal.flow', 12.0, 'rack')
"""
"""A step that lasts until what it is about has happened, or a minute: a machine that stands still ends none."""
NEVER = "False"
"""Until the run is stopped."""
CDU = {"cdu-1": ["cdu"]}
TRAYS = {"tray-01": ["compute_tray"], "tray-02": ["compute_tray"]}
WATCH = {
    "role": "cdu", "quantity": "leak.wet", "unit": "count", "max": 0, "blames": "rack", "max_silence": 1.5,
    "when_silent": "trip", "cut_power": "never", "advice": "Go and look.", "source": "test",
}  # fmt: skip
ERRORS: tuple[Exception, ...] = (Unreachable("cdu-1", "read it", "no answer"), KeyError("register"))
"""What a sensor can raise: what its driver means to raise, and what it does not."""
WET, FLOWING = ("leak.wet", ""), ("coolant.flow", "")
Sweep = Mapping[tuple[str, str], Value | None]


def watched(bench: Bench, **watch: Any) -> RackDefinition:
    """A rack with a CDU whose leak detectors an interlock watches."""
    return bench.rack(FLOW, CDU, interlocks={"coolant-leak": WATCH | watch})


def run(bench: Bench, rack: RackDefinition, *drivers: Tiny, until: str = "") -> Any:
    """Run a step that lasts until this holds; unless said, until eight sweeps of every driver were seen."""
    names = [driver.device for driver in drivers]
    seen = f"all(len(rack.window.history(name, 'leak.wet')) >= 8 for name in {names})"
    work = WORK.format(folder=str(bench.folder), until=until or seen)
    return bench.run(rack, bench.step(work, takes="rack, measure"), *drivers)


def cdu(bench: Bench, sweep: Any, name: str = "cdu-1") -> Tiny:
    """A CDU; `sweep` gives a sample by number, or raises."""
    return Tiny(name, **bench.telemetry(name, Unit.COUNT, sweep))


def dry(_number: int) -> Sweep:
    return {WET: 0}


def dying(error: Exception) -> Any:
    """Two sweeps, and then this error for ever."""

    def sweep(number: int) -> Sweep:
        if number >= 2:
            raise error
        return {WET: 0}

    return sweep


@pytest.mark.peer(
    "OpenHTF 1.6.3 #901",
    "a monitor whose sensor raises after two samples: PASS, a traceback on stderr only",
    "executed",
)
def test_a_monitor_that_dies(bench: Bench) -> None:
    """ABORTED: without a good reading the interlock trips and blames the rig, whatever the driver raised."""
    rack = watched(bench)
    bench.passes(run(bench, rack, cdu(bench, dry)))
    for error in ERRORS:
        found = run(bench, rack, cdu(bench, dying(error)), until=NEVER)
        bench.ends(found, Verdict.ABORTED, "interlock coolant-leak: no good reading")


@pytest.mark.peer("OpenHTF 1.6.3 #901", "the same, with nothing that would trip", "executed")
def test_telemetry_that_dies_and_stays_away(bench: Bench) -> None:
    """INCONCLUSIVE: a device that is gone until the end has not been watched."""
    rack = bench.rack(FLOW, CDU)
    bench.passes(run(bench, rack, cdu(bench, dry)))
    for error in ERRORS:
        found = run(bench, rack, cdu(bench, dying(error)), until="told('DeviceLost')")
        bench.ends(found, Verdict.INCONCLUSIVE, "gone until the end: cdu-1")


@pytest.mark.peer("OpenHTF 1.6.3 #766", "a monitor sees the temperature rise, and no limit can be put on it", "issue")
def test_a_sensor_that_goes_bad_alone(bench: Bench) -> None:
    """INCONCLUSIVE: a watched quantity that says nothing any more is told, also where its silence is only recorded."""
    rack = watched(bench, when_silent="record")
    both = cdu(bench, lambda number: {WET: 0, FLOWING: 1})
    bench.passes(run(bench, rack, both))
    half = cdu(bench, lambda number: {WET: 0 if number < 2 else None, FLOWING: 1})
    found = run(bench, rack, half, until="told('no good reading')")
    bench.ends(found, Verdict.INCONCLUSIVE, "cdu-1: watch leak.wet: no good reading")


@pytest.mark.peer("NVIDIA Infra Controller", "a collector that is removed clears its leak (rack_leak.rs:89)", "read")
def test_a_sensor_that_is_removed(bench: Bench) -> None:
    """ABORTED or INCONCLUSIVE: a channel that is left out of a sweep is absent, and absence is silence."""
    for when, verdict in (("trip", Verdict.ABORTED), ("record", Verdict.INCONCLUSIVE)):
        rack = watched(bench, when_silent=when)
        bench.passes(run(bench, rack, cdu(bench, lambda number: {WET: 0, FLOWING: 1})))
        removed = cdu(bench, lambda number: {WET: 0, FLOWING: 1} if number < 2 else {FLOWING: 1})
        until = NEVER if when == "trip" else "told('no good reading')"
        bench.ends(run(bench, rack, removed, until=until), verdict, "no good reading")


@pytest.mark.peer("NVIDIA Infra Controller", "an alarm is gone with the sensor that raised it", "read")
def test_an_alarm_whose_sensor_is_removed(bench: Bench) -> None:
    """FAIL: what tripped stays in the journal, whatever is read afterwards."""
    rack = watched(bench)
    bench.passes(run(bench, rack, cdu(bench, dry)))
    wet_once = cdu(bench, lambda number: {WET: int(number == 2)})
    bench.ends(
        run(bench, rack, wet_once, until=NEVER), Verdict.FAIL, "interlock coolant-leak: cdu-1.leak.wet is 1 count"
    )


@pytest.mark.peer("NVIDIA Infra Controller", "the rack's alarm needs two leaking trays (config.rs:514)", "read")
def test_one_leaking_tray_of_two(bench: Bench) -> None:
    """FAIL: one wet detector is a leak."""
    rack = bench.rack(FLOW, TRAYS, interlocks={"tray-leak": WATCH | {"role": "compute_tray"}})
    trays = (cdu(bench, dry, "tray-01"), cdu(bench, dry, "tray-02"))
    bench.passes(run(bench, rack, *trays))
    leaking = cdu(bench, lambda number: {WET: int(number > 2)}, "tray-02")
    found = run(bench, rack, cdu(bench, dry, "tray-01"), leaking, until=NEVER)
    bench.ends(found, Verdict.FAIL, "tray-02.leak.wet is 1")


@pytest.mark.peer("NVIDIA Infra Controller", "the leak job logs an error of its API and returns", "read")
def test_a_leak_check_that_gets_no_answer(bench: Bench) -> None:
    """INCONCLUSIVE: the tray that did not answer is named."""
    limits = {"leak.state": {"unit": "text", "equals": "dry", "source": "test"}}
    rack = bench.rack(limits, TRAYS)
    plan = bench.shipped("test_10_intake", "test_leak_detectors")
    fine = {"leaks": [Leak("front", LeakState.DRY)]}
    bench.passes(bench.run(rack, plan, Tiny("tray-01", **fine), Tiny("tray-02", **fine)))
    error = Unreachable("tray-02", "read its detectors", "500 Internal Server Error")
    found = bench.run(rack, plan, Tiny("tray-01", **fine), Tiny("tray-02", leaks=error))
    bench.ends(found, Verdict.INCONCLUSIVE, "tray-02: read its detectors: 500")


@pytest.mark.peer("CVS", "preflight with 1 of 18 trays down: the tray is pruned, 17 are tested, PASS", "executed")
def test_a_device_that_cannot_be_opened(bench: Bench) -> None:
    """INCONCLUSIVE: the set of devices is the model's, and none is dropped from it."""
    rack = bench.rack(FLOW, TRAYS)
    bench.passes(run(bench, rack, until="True"))
    down = Tiny("tray-02")

    async def refuse() -> None:
        raise Unreachable("tray-02", "connect", "no answer")

    down.open = refuse  # type: ignore[method-assign]
    found = run(bench, rack, Tiny("tray-01"), down, until="True")
    bench.ends(found, Verdict.INCONCLUSIVE, "tray-02: connect: no answer")


@pytest.mark.peer(
    "OpenHTF 1.6.3", "what a teardown raises is swallowed, and one that hangs is waited for, for ever", "read"
)
def test_a_load_that_nobody_could_stop(bench: Bench) -> None:
    """INCONCLUSIVE: a rack of which nobody knows that it was left safe is no accepted one."""
    quick = {"cool_below": 50, "cooling_time": 2, "action_time": 0.2}
    rack = bench.rack(FLOW, {"tray-01": ["compute_tray", "host"]}, make_safe=quick)
    plan = bench.step("measure('thermal.flow', 12.0, 'rack')")

    def host(stop_all: object) -> Tiny:
        return Tiny("tray-01-host", start=None, job=None, stop=None, stop_all=stop_all, renew=None, lease=30.0)

    bench.passes(bench.run(rack, plan, host(())))
    for stuck in (Unreachable("tray-01-host", "stop all loads", "no answer"), lambda: asyncio.sleep(3600)):
        found = bench.run(rack, plan, host(stuck))
        bench.ends(found, Verdict.INCONCLUSIVE, "not confirmed safe (end of run): tray-01-host: stop loads")


@pytest.mark.peer("OpenTAP #35", "after a stop the power-off steps at the end are skipped", "issue")
def test_a_run_that_is_stopped_is_made_safe(bench: Bench) -> None:
    """FAIL: making safe is no step: it follows a trip at once, and is in the journal."""
    rack = watched(bench)
    bench.passes(run(bench, rack, cdu(bench, dry)))
    found = run(bench, rack, cdu(bench, lambda number: {WET: int(number > 2)}), until=NEVER)
    bench.ends(found, Verdict.FAIL, "interlock coolant-leak")
    assert found.made_safe[0].reason == "interlock coolant-leak"


@pytest.mark.peer(
    "our own list",
    "an interlock of a device that the rack has not, or of a quantity that nothing reports",
    "–",
)
def test_a_watch_over_nothing(bench: Bench) -> None:
    """REFUSED or ABORTED: a model that watches nothing is wrong; a device without that channel is silent."""
    bench.passes(run(bench, watched(bench), cdu(bench, dry)))
    bench.refuses(lambda: watched(bench, role="pdu", quantity="input.power", unit="W"), "the rack has no pdu")
    bench.ends(
        run(bench, watched(bench), cdu(bench, lambda number: {FLOWING: 1}), until=NEVER),
        Verdict.ABORTED,
        "no good reading of cdu-1.leak.wet",
    )
