"""The guard: the station watches itself, the milder of two ways never undoes the stronger, and twice is the same."""

from __future__ import annotations

import asyncio
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from harness.capabilities import Outlet
from harness.errors import RackproofError, Unreachable
from harness.evidence import Evidence
from harness.journal import events as e
from harness.journal.reader import Journal, read_journal
from harness.loop import RackLoop
from harness.quantities import Unit
from harness.rack.definition import RackDefinition
from harness.rack.model import PowerFeed
from harness.safety.guard import Guard, Run
from harness.telemetry.window import Window
from harness.verdict import RunSummary, Verdict
from harness.workload import Job, JobState
from tests.failopen.bench import FLOW, Bench, Tiny

SLOTS = {"pdu-a": ["pdu"], "tray-01": ["compute_tray", "host"]}
FEEDS = [{"outlet": f"pdu-a/{number}", "feeds": f"tray-01/psu-{number}"} for number in (1, 2)]
OWN = {
    "role": "station", "blames": "rig", "max_silence": 60, "when_silent": "trip", "cut_power": "never",
    "advice": "Go and look.", "source": "test",
}  # fmt: skip
WAIT = "await rack.wait_seconds(60, 'working')\nmeasure('thermal.flow', 12.0, 'rack')"


class Wired:
    """A PDU and a host, and everything that is asked of them in order."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.on: dict[str, bool] = {"1": False, "2": True}
        self.slow: set[str] = set()
        """What takes a while."""
        self.restoring = asyncio.Event()
        self.down: set[str] = set()
        """What cannot be opened."""
        self.drivers = {
            "pdu-a": Tiny("pdu-a", open=self.open_pdu, outlets=[], switch=self.switch),
            "tray-01-host": Tiny(
                "tray-01-host", open=self.open_host, lease=30.0, start=None, job=None, stop=None, renew=None,
                stop_all=self.stop_all,
            ),
            "tray-01": Tiny("tray-01"),
        }  # fmt: skip

    async def open_pdu(self) -> None:
        self.asked.append("open pdu")

    async def open_host(self) -> None:
        self.asked.append("open host")
        if "host" in self.down:
            raise Unreachable("tray-01-host", "log in", "no answer")

    async def switch(self, outlet: str, *, on: bool) -> Outlet:
        word = f"{outlet} {'on' if on else 'off'}"
        self.asked.append(word)
        if word in self.slow:
            self.restoring.set()
            await asyncio.sleep(0.3)
        self.on[outlet] = on
        return Outlet(outlet, on, None, None)

    async def stop_all(self) -> list[Job]:
        self.asked.append("stop all")
        if "stop all" in self.slow:
            await asyncio.sleep(0.3)
        return [Job("burn", JobState.STOPPED, None, (), "")]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.fixture
def rack(bench: Bench) -> RackDefinition:
    # The feed's far end is nobody's concern here.
    made = bench.rack(FLOW, SLOTS)
    model = made.model.model_copy(update={"power_map": tuple(PowerFeed(**feed) for feed in FEEDS)})
    return type(made)(model, made.bay, made.unit, made.model_file, "", "")


def guarded(rack: RackDefinition, wired: Wired, work: Any, opened: set[str] | None = None) -> list[e.Event]:
    """Do something with a guard, and then finish; what was recorded."""
    recorded: list[e.Event] = []

    async def main() -> None:
        loop = RackLoop()
        guard = Guard(
            Run(
                definition=rack, drivers=wired.drivers, clock=rack.bay.clock(), run_dir=Path(), window=Window(),
                loop=loop, opened=set(wired.drivers) if opened is None else opened, record=recorded.append,
                blind=lambda _: None, halt=lambda _: None, stop=lambda *_: None,
            )
        )  # fmt: skip
        try:
            await work(guard)
            await guard.finish()
        finally:
            loop.close()

    asyncio.run(main())
    return recorded


def made(recorded: list[e.Event]) -> list[e.MadeSafe]:
    return [event for event in recorded if isinstance(event, e.MadeSafe)]


def test_twice_at_the_same_time_is_once(rack: RackDefinition) -> None:
    wired = Wired()

    async def twice(guard: Guard) -> None:
        guard.make_safe("one", "never")
        guard.make_safe("two", "never")

    assert [each.confirmed for each in made(guarded(rack, wired, twice))] == [True]
    assert wired.asked == ["stop all"]


def test_after_the_other_it_is_done_again_and_comes_to_the_same(rack: RackDefinition) -> None:
    """A step that swallowed its cancellation may have started another load meanwhile."""
    wired = Wired()

    async def first(guard: Guard) -> None:
        guard.make_safe("one", "never")
        await asyncio.gather(*guard._safings)

    assert [each.reason for each in made(guarded(rack, wired, first))] == ["one", "end of run"]
    assert wired.asked == ["stop all", "stop all"]


def test_what_is_being_restored_goes_off_all_the_same(rack: RackDefinition) -> None:
    wired = Wired()
    wired.slow = {"1 on"}

    async def both(guard: Guard) -> None:
        guard.dark.add("pdu-a/1")
        guard.make_safe("stopped", "never")
        await wired.restoring.wait()
        guard.make_safe("leak", "at_once")
        await asyncio.sleep(0.5)

    recorded = guarded(rack, wired, both)
    assert wired.on == {"1": False, "2": False}
    assert made(recorded)[-1].confirmed
    assert [each.reason for each in made(recorded)] == ["leak"]


def test_the_milder_way_undoes_nothing(rack: RackDefinition) -> None:
    wired = Wired()

    async def both(guard: Guard) -> None:
        guard.dark.add("pdu-a/1")
        guard.make_safe("leak", "at_once")
        guard.make_safe("stopped", "never")

    guarded(rack, wired, both)
    assert wired.on == {"1": False, "2": False}


def test_a_host_that_is_not_open_yet_is_opened_to_be_stopped(rack: RackDefinition) -> None:
    wired = Wired()

    async def stop(guard: Guard) -> None:
        guard.dark.add("pdu-a/1")
        guard.dark.add("pdu-a/2")

    recorded = guarded(rack, wired, stop, opened=set())
    assert made(recorded)[-1].confirmed
    assert wired.asked == ["open host", "stop all", "open pdu", "1 on", "2 on"]


def test_a_host_that_cannot_be_opened_is_named(rack: RackDefinition) -> None:
    wired = Wired()
    wired.down = {"host"}

    async def nothing(guard: Guard) -> None:
        assert guard.unconfirmed() == ["tray-01-host: stop loads"]

    assert made(guarded(rack, wired, nothing, opened=set()))[-1].unconfirmed == ("tray-01-host: stop loads",)


def run(bench: Bench, interlock: dict[str, Any], *, waiting: int = 60) -> RunSummary:
    """Run a plan that works for so many rack seconds, twenty a second."""
    rack = bench.rack(FLOW, {"cdu-1": ["cdu"]}, interlocks={"own": OWN | interlock})
    return bench.run(rack, bench.step(WAIT.replace("60", str(waiting)), takes="rack, measure"))


def test_a_disk_that_is_nearly_full_ends_the_run_while_it_can_still_be_written(bench: Bench) -> None:
    more = 2 * shutil.disk_usage(bench.folder).total
    found = run(bench, {"quantity": "disk.free", "unit": "octet", "min": more}, waiting=1200)
    assert (found.verdict, found.complete) == (Verdict.ABORTED, True)
    assert "interlock own: station.disk.free is " in found.reasons[0]


def test_a_disk_that_has_room_does_not(bench: Bench) -> None:
    assert run(bench, {"quantity": "disk.free", "unit": "octet", "min": 1}).verdict is Verdict.PASS


def test_a_sampler_that_no_longer_turns_ends_the_run(bench: Bench) -> None:
    async def hang() -> None:
        await asyncio.sleep(3600)

    stuck = bench.telemetry("cdu-1", Unit.COUNT, lambda _: {("leak.wet", ""): 0}) | {"sample": hang}
    rack = bench.rack(FLOW, {"cdu-1": ["cdu"]}, interlocks={"own": OWN | {
        "quantity": "sampler.stall", "unit": "s", "max": 0.5}})  # fmt: skip
    body = WAIT.replace("60", "1200")
    found = bench.run(rack, bench.step(body, takes="rack, measure"), Tiny("cdu-1", **stuck))
    assert found.verdict is Verdict.ABORTED
    assert "interlock own: station/cdu-1.sampler.stall is " in found.reasons[0]


def test_a_trip_stands_in_the_journal_before_what_came_of_it(bench: Bench) -> None:
    more = 2 * shutil.disk_usage(bench.folder).total
    run(bench, {"quantity": "disk.free", "unit": "octet", "min": more}, waiting=1200)
    kinds = [type(entry.event) for entry in read_journal(bench.run_dir / "journal.jsonl").entries]
    assert kinds.index(e.Tripped) < kinds.index(e.MadeSafe) < kinds.index(e.RunFinished)


def test_a_stop_that_comes_when_all_is_over_changes_nothing(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between making safe and the last event the reports of a PASS must not be lost to an impatient Ctrl-C."""
    seal = Evidence.seal_last

    def sealing(evidence: Evidence) -> Journal:
        evidence._failed(RackproofError("stopped late"))
        time.sleep(0.2)
        return seal(evidence)

    monkeypatch.setattr(Evidence, "seal_last", sealing)
    found = run(bench, {"quantity": "disk.free", "unit": "octet", "min": 1})
    assert (found.verdict, found.complete, found.stops) == (Verdict.PASS, True, ())
