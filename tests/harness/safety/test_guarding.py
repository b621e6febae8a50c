"""The guard by itself: who is told what and when, what is recorded in which order, and what if nothing ends."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from harness.journal import events as e
from harness.safety import guard as room
from harness.safety.guard import Guard
from harness.safety.interlocks import STATION, Trip
from tests.failopen.bench import FLOW, Bench
from tests.harness.safety.scene import OWN, SAMPLER, STALL, Scene


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    own = {"disk": OWN, "stall": STALL, "sampler": SAMPLER}
    return Scene(Bench(tmp_path).rack(FLOW, interlocks=own), run_dir=tmp_path)


@pytest.fixture
def plain(tmp_path: Path) -> Scene:
    """Of a rack that watches nothing."""
    return Scene(Bench(tmp_path).rack(FLOW), run_dir=tmp_path)


def wet(cut: str = "at_once") -> Trip:
    return Trip(e.Tripped("leak", "cdu-1", 1.0, "count", "≤ 0 count", "rack", "wet", "dry it"), cut)


def test_who_arms_is_told_by_the_watchdog_why_the_run_must_end(scene: Scene) -> None:
    guard = scene.guard()
    guard.arm()
    assert scene.dog is not None
    scene.dog.gone("it has ended")
    assert scene.said == [("the watchdog", "it has ended; a run must not go on unwatched")]
    assert len(scene.loop.watched) == 1


def test_a_loop_that_no_interlock_watches_is_not_watched(plain: Scene) -> None:
    plain.dog = None
    guard = plain.guard()
    guard.arm()
    assert plain.loop.watched == []
    assert guard.beats() == {}


def test_the_heartbeat_is_the_watchdogs(scene: Scene) -> None:
    async def beat(guard: Guard) -> None:
        for work in guard.beats().values():
            await work

    scene.do(beat)
    assert scene.dog is not None
    assert scene.dog.told == ["beat"]


def test_the_works_are_named(scene: Scene) -> None:
    works = scene.guard().works(dict)
    assert set(works) == {"interlocks", "station"}
    for work in works.values():
        work.close()


def test_a_stalled_loop_is_the_watchdogs_and_the_journal_has_it(scene: Scene) -> None:
    guard = scene.guard()
    guard.arm()
    scene.loop.here = False
    (stalled,) = scene.loop.watched
    stalled(0.5)
    assert scene.said == []
    stalled(1.5)
    assert scene.dog is not None
    why = "interlock stall: station.loop.stall is 1.5 s"
    assert scene.dog.told == [f"relieve: {why}"]
    (tripped, halted) = scene.said
    assert isinstance(tripped, e.Tripped)
    assert (tripped.subject, tripped.value, tripped.unit) == (STATION, 1.5, "s")
    assert halted == f"halt: {why}"
    assert scene.loop.later == [(guard.make_safe, "interlock stall", "never")]


def test_a_stalled_loop_without_a_watchdog_is_told_all_the_same(scene: Scene) -> None:
    scene.dog, scene.loop.here = None, False
    guard = scene.guard()
    guard._on_trip(wet())
    assert [type(each) for each in scene.said] == [e.Tripped, str]


def test_a_trip_acts_first_and_is_recorded_before_what_came_of_it(plain: Scene) -> None:
    async def trip(guard: Guard) -> None:
        guard._on_trip(wet())
        assert plain.said == ["halt: interlock leak: wet"], "the disk has not taken a line yet"
        await asyncio.sleep(0)
        await asyncio.gather(*guard._safings)

    said = plain.do(trip)
    assert [type(each) for each in said] == [str, e.Tripped, e.MadeSafe]
    made = said[-1]
    assert isinstance(made, e.MadeSafe)
    assert made.reason == "interlock leak"
    assert plain.dog is not None
    assert plain.dog.told == ["at_once"]


def test_a_trip_is_recorded_soon_where_nothing_else_is(plain: Scene) -> None:
    async def trip(guard: Guard) -> None:
        guard._given_up = "lost"
        guard._on_trip(wet())
        for _ in range(3):
            await asyncio.sleep(0.01)

    assert [type(each) for each in plain.do(trip)] == [str, e.Tripped]


def test_a_station_that_lost_the_rack_sends_nothing_more(plain: Scene) -> None:
    async def lose(guard: Guard) -> None:
        guard.make_safe("stopped", "never")
        guard.give_up("station-2 holds it")
        guard.give_up("again")
        guard.make_safe("leak", "at_once")
        await guard.finish()
        assert all(task.cancelled() for task in guard._safings)
        assert len(guard._safings) == 1

    said = plain.do(lose)
    left = ("rack: left to the station that holds it now",)
    assert said == [e.MadeSafe("station-2 holds it", confirmed=False, unconfirmed=left)]
    assert plain.dog is not None
    assert plain.dog.told == ["never", "dismissed", "dismissed"]


def test_one_without_a_watchdog_loses_the_rack_and_ends_likewise(plain: Scene) -> None:
    plain.dog = None

    async def lose(guard: Guard) -> None:
        guard.make_safe("stopped", "never")
        await guard.finish()
        guard.give_up("station-2 holds it")

    assert [type(each) for each in plain.do(lose)] == [e.MadeSafe, e.MadeSafe]


def test_one_making_safe_that_does_not_end_is_said_and_left(plain: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "SAFING_TIME", 0.01)

    async def hang(guard: Guard) -> None:
        async def forever() -> e.MadeSafe:
            await asyncio.Event().wait()
            raise AssertionError

        guard._safings.append(asyncio.get_running_loop().create_task(forever()))
        guard._cut = "at_once"
        await guard.finish()
        guard._safings[0].cancel()

    made = e.MadeSafe("end of run", confirmed=False, unconfirmed=("it did not end",))
    assert plain.do(hang) == [made]
    assert plain.dog is not None
    assert plain.dog.told == ["dismissed"]


def test_a_making_safe_that_breaks_is_said(plain: Scene) -> None:
    async def breaks(guard: Guard) -> None:
        async def broken() -> e.MadeSafe:
            raise RuntimeError("odd")

        guard._safings.append(asyncio.get_running_loop().create_task(broken()))
        await asyncio.wait(guard._safings)
        await guard.finish()

    said = plain.do(breaks)
    assert said[-1] == e.MadeSafe("end of run", confirmed=False, unconfirmed=("it broke: odd",))
    assert len(said) == 2


def test_what_tripped_is_recorded_before_it_broke(plain: Scene) -> None:
    async def trip(guard: Guard) -> None:
        guard._given_up = "lost"
        guard._untold.append(wet().event)
        await guard.finish()

    assert plain.do(trip) == [wet().event]


@pytest.mark.parametrize(
    ("first", "second", "began"),
    [
        ("never", "never", 1), ("never", "when_cool", 2), ("when_cool", "never", 1), ("at_once", "at_once", 1),
    ],
)  # fmt: skip
def test_only_a_more_drastic_way_is_begun_beside_another(plain: Scene, first: str, second: str, began: int) -> None:
    async def twice(guard: Guard) -> None:
        guard.make_safe("one", first)
        guard.make_safe("two", second)
        assert len(guard._safings) == began
        await asyncio.gather(*guard._safings, return_exceptions=True)
        guard.make_safe("three", first)
        # What was cut needs no second cut; where nothing was, a load may have been started meanwhile.
        assert len(guard._safings) == began + ((first, second) == ("never", "never"))
        await guard.finish()

    plain.do(twice)
    assert plain.dog is not None
    assert plain.dog.told[0] == first


def test_what_is_not_confirmed_is_named_until_it_is(plain: Scene) -> None:
    async def act(guard: Guard) -> None:
        assert guard.unconfirmed() == ["tray-01-host: stop loads"]
        guard._record(e.SafetyAction("tray-01-host", "stop loads", False, "silent", 0.1))
        guard._record(e.SafetyAction("pdu-a", "switch outlet 1 off", True, "", 0.1))
        guard._record(e.SafetyAction("pdu-a", "switch outlet 2 off", False, "", 0.1))
        assert guard.unconfirmed() == ["tray-01-host: stop loads", "pdu-a: switch outlet 2 off"]
        guard._record(e.SafetyAction("pdu-a", "switch outlet 2 off", True, "", 0.1))
        guard._record(e.SafetyAction("tray-01-host", "stop loads", True, "", 0.1))
        guard.dark.add("pdu-a/3")
        guard._record(e.Noted("no action"))
        assert guard.unconfirmed() == ["pdu-a/3: switch back on"]

    plain.do(act)
    assert plain.dog is not None
    assert plain.dog.told == [("pdu-a/3",)]


def test_a_dark_rack_has_no_load(plain: Scene) -> None:
    async def act(guard: Guard) -> None:
        guard._record(e.SafetyAction("rack", "stop loads", True, "every outlet reads back as off", 0.0))
        assert guard.unconfirmed() == []

    plain.do(act)


def test_a_host_that_was_told_in_another_way_is_named_once(plain: Scene) -> None:
    async def act(guard: Guard) -> None:
        guard._record(e.SafetyAction("tray-01-host", "stop loads", False, "silent", 0.1))
        guard._record(e.SafetyAction("tray-01-host", "stop loads", False, "silent", 0.1))
        assert guard.unconfirmed() == ["tray-01-host: stop loads"]

    plain.do(act)


def test_what_was_not_opened_is_opened_to_be_made_safe(plain: Scene) -> None:
    plain.drivers = {"a": object(), "b": object()}
    guard = plain.guard()
    object.__setattr__(guard.run, "opened", {"a"})
    seen: list[Any] = []

    class Spied:
        def __init__(self, **given: Any) -> None:
            seen.append(given)

        async def run(self, reason: str, cut: str) -> e.MadeSafe:
            return e.MadeSafe(reason, True, (cut,))

    async def make() -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(room, "Safing", Spied)
            guard.make_safe("why", "when_cool")
            (task,) = guard._safings
            assert await task == e.MadeSafe("why", True, ("when_cool",))

    asyncio.run(make())
    (given,) = seen
    assert given["unopened"] == {"b"}
    assert given["dark"] is guard.dark
