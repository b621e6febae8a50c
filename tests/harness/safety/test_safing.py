"""Making safe to the letter: the order of what is asked, what each record says, boxes, and being called off."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from harness.capabilities import Outlet
from harness.errors import Unreachable
from harness.journal.events import Event, MadeSafe, SafetyAction
from harness.rack.definition import RackDefinition
from harness.rack.model import PowerFeed
from harness.safety import make_safe as room
from harness.safety.make_safe import Safing, stronger
from harness.workload import Job, JobState
from tests.failopen.bench import FLOW, Bench, Tiny

SLOTS = {"pdu-a": ["pdu"], "pdu-b": ["pdu"], "tray-01": ["compute_tray", "host"]}
HOST = "tray-01-host"


@dataclass
class Pace:
    """Rack time that passes at once; it says how long was waited."""

    pace: float = 20.0
    slept: list[float] = field(default_factory=list)

    def now(self) -> datetime:
        return datetime(2026, 11, 23, tzinfo=UTC)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await asyncio.sleep(0)


@dataclass
class Scene:
    """A host, two PDUs, and what is asked of them in order."""

    rack: RackDefinition
    asked: list[str] = field(default_factory=list)
    seen: list[Event] = field(default_factory=list)
    temperatures: list[float | None] = field(default_factory=lambda: [20.0])
    clock: Pace = field(default_factory=Pace)
    stopped: Callable[[], Awaitable[list[Job]]] | None = None
    stays: str = ""
    """The outlet that stays as it is."""
    opening: Callable[[], Awaitable[None]] | None = None
    boxes: list[float] = field(default_factory=list)

    def drivers(self) -> dict[str, Any]:
        async def stop_all() -> list[Job]:
            self.asked.append("stop all")
            return await self.stopped() if self.stopped else [job(JobState.STOPPED)]

        rest = dict.fromkeys(("start", "job", "stop", "renew"))
        found: dict[str, Any] = {"tray-01": Tiny("tray-01")}
        found[HOST] = Tiny(HOST, open=self._open(HOST), lease=30.0, stop_all=stop_all, **rest)
        for name in ("pdu-a", "pdu-b"):
            found[name] = Tiny(name, open=self._open(name), outlets=[], switch=self._switch(name))
        return found

    def _open(self, name: str) -> Callable[[], Awaitable[None]]:
        async def opened() -> None:
            self.asked.append(f"open {name}")
            if self.opening is not None:
                await self.opening()

        return opened

    def _switch(self, name: str) -> Callable[..., Outlet]:
        def switch(outlet: str, *, on: bool) -> Outlet:
            self.asked.append(f"{name}/{outlet} {'on' if on else 'off'}")
            return Outlet(outlet, on is (f"{name}/{outlet}" != self.stays), None, None)

        return switch

    def safing(self, **words: Any) -> Safing:
        given: dict[str, Any] = {
            "definition": self.rack, "drivers": self.drivers(), "clock": self.clock, "record": self.seen.append,
            "hottest": lambda: self.temperatures.pop(0) if len(self.temperatures) > 1 else self.temperatures[0],
        }  # fmt: skip
        return Safing(**given | words)

    def make(self, cut: str, **words: Any) -> MadeSafe:
        return asyncio.run(self.safing(**words).run("why", cut))

    @property
    def told(self) -> list[tuple[str, str, bool, str]]:
        return [(a.device, a.action, a.confirmed, a.text) for a in self.seen if isinstance(a, SafetyAction)]


def job(state: JobState, name: str = "burn") -> Job:
    return Job(name, state, None, (), "")


def rack_of(folder: Path, **make_safe: float) -> RackDefinition:
    made = Bench(folder).rack(FLOW, SLOTS)
    feeds = tuple(PowerFeed(outlet=place, feeds="tray-01/psu-1") for place in ("pdu-a/1", "pdu-b/2", "pdu-c/3"))
    limits = made.model.make_safe.model_copy(update={"action_time": 30.0, "cooling_time": 600.0} | make_safe)
    return type(made)(
        made.model.model_copy(update={"power_map": feeds, "make_safe": limits}), made.bay, made.unit, "", "", ""
    )


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    monkeypatch.setattr(room, "DARK_HOST", 60.0)
    return Scene(rack_of(tmp_path))


def test_its_times() -> None:
    assert (room.DARK_HOST, room.LETTING_GO, room.CUTS) == (0.2, 0.5, ("never", "when_cool", "at_once"))


def test_loads_alone(scene: Scene) -> None:
    assert scene.make("never") == MadeSafe("why", True, ())
    assert scene.asked == ["stop all"]
    assert scene.told == [(HOST, "stop loads", True, "no load is running")]
    assert scene.seen[-1] == MadeSafe("why", True, ())


def test_loads_then_cool_then_outlets(scene: Scene) -> None:
    scene.temperatures = [90.0, None, 50.0, 49.6]
    assert scene.make("when_cool").confirmed
    assert scene.asked == ["stop all", "pdu-a/1 off", "pdu-b/2 off"]
    assert scene.told == [
        (HOST, "stop loads", True, "no load is running"),
        ("rack", "keep coolant until cool", True, "hottest accelerator 50 degC"),
        ("pdu-a", "switch outlet 1 off", True, "reads back as off"),
        ("pdu-b", "switch outlet 2 off", True, "reads back as off"),
    ]
    assert scene.clock.slept == [1.0, 1.0, 1.0]


def test_at_once_needs_no_temperature_and_tells_hosts_all_the_same(scene: Scene) -> None:
    assert scene.make("at_once") == MadeSafe("why", True, ())
    assert sorted(scene.asked) == ["pdu-a/1 off", "pdu-b/2 off", "stop all"]
    assert sorted(scene.told) == [
        ("pdu-a", "switch outlet 1 off", True, "reads back as off"),
        ("pdu-b", "switch outlet 2 off", True, "reads back as off"),
        (HOST, "stop loads", True, "no load is running"),
    ]


def test_a_dark_host_is_let_go_of_before_it_is_said(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "DARK_HOST", 1.0)
    order: list[str] = []

    async def hang() -> list[Job]:
        try:
            return await never()
        finally:
            order.append("let go")

    def record(event: Event) -> None:
        if isinstance(event, SafetyAction) and event.device == "rack":
            order.append(f"said after {event.took} s")

    scene.stopped = hang
    assert scene.make("at_once", record=record).confirmed
    assert order == ["let go", "said after 0.0 s"]


async def never() -> list[Job]:
    await asyncio.Event().wait()
    return []


@pytest.mark.parametrize("stubborn", [False, True])
def test_a_dark_host_is_not_waited_for(scene: Scene, monkeypatch: pytest.MonkeyPatch, stubborn: bool) -> None:
    monkeypatch.setattr(room, "DARK_HOST", 0.01)
    monkeypatch.setattr(room, "LETTING_GO", 0.05)
    let_go: list[str] = []

    async def hang() -> list[Job]:
        try:
            return await never()
        except asyncio.CancelledError:
            let_go.append("cancelled")
            if stubborn:
                await asyncio.sleep(0.2)
            raise

    scene.stopped = hang
    assert scene.make("at_once").confirmed
    assert scene.told[-1] == ("rack", "stop loads", True, "every outlet reads back as off")
    assert let_go == ["cancelled"]


def test_where_an_outlet_stays_on_the_hosts_are_waited_for(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "DARK_HOST", 0.0)

    async def late() -> list[Job]:
        await asyncio.sleep(0.05)
        return [job(JobState.STOPPED)]

    scene.stopped, scene.stays = late, "pdu-b/2"
    assert scene.make("at_once").unconfirmed == ("pdu-b: switch outlet 2 off",)
    assert (HOST, "stop loads", True, "no load is running") in scene.told
    assert ("pdu-b", "switch outlet 2 off", False, "it does not read back as off") in scene.told


def test_a_rack_without_outlets_is_never_dark(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "DARK_HOST", 0.0)

    async def late() -> list[Job]:
        await asyncio.sleep(0.05)
        return [job(JobState.RUNNING)]

    scene.stopped = late
    drivers = {HOST: scene.drivers()[HOST]}
    assert scene.make("at_once", drivers=drivers).unconfirmed == (f"{HOST}: stop loads",)


def test_loads_that_still_run_are_named(scene: Scene) -> None:
    async def some() -> list[Job]:
        return [job(JobState.RUNNING, "one"), job(JobState.STOPPED, "two"), job(JobState.RUNNING, "three")]

    scene.stopped = some
    assert scene.make("never") == MadeSafe("why", False, (f"{HOST}: stop loads",))
    assert scene.told == [(HOST, "stop loads", False, "still running: one, three")]


@pytest.mark.parametrize(
    ("error", "text"),
    [(Unreachable("h", "log in", "no answer"), "no answer"), (KeyError(), "KeyError"), (ValueError("odd"), "odd")],
)
def test_whatever_an_action_raises_becomes_its_text(scene: Scene, error: Exception, text: str) -> None:
    async def breaks() -> list[Job]:
        raise error

    scene.stopped = breaks
    assert not scene.make("never").confirmed
    ((_, _, confirmed, said),) = scene.told
    assert not confirmed
    assert text in said


def test_an_action_that_was_cancelled_from_within_is_not_confirmed(scene: Scene) -> None:
    async def cancels() -> list[Job]:
        raise asyncio.CancelledError

    scene.stopped = cancels
    assert scene.make("never").unconfirmed == (f"{HOST}: stop loads",)
    assert scene.told == [(HOST, "stop loads", False, "CancelledError")]


def test_what_does_not_end_in_its_box_is_said(tmp_path: Path) -> None:
    scene = Scene(rack_of(tmp_path, action_time=0.05), stopped=never)
    assert scene.make("never").unconfirmed == (f"{HOST}: stop loads",)
    assert scene.told == [(HOST, "stop loads", False, "not confirmed within 0.1 s: go and look")]
    (action,) = [event for event in scene.seen if isinstance(event, SafetyAction)]
    assert 0.05 <= action.took < 60.0
    assert action.took == round(action.took, 3)


def test_cooling_has_a_box_of_its_own_in_rack_time(tmp_path: Path) -> None:
    scene = Scene(rack_of(tmp_path, cooling_time=2.0), temperatures=[60.0])
    assert scene.make("when_cool").unconfirmed == ("rack: keep coolant until cool",)
    assert ("rack", "keep coolant until cool", False, "not confirmed within 0.1 s: go and look") in scene.told
    assert "pdu-a/1 off" in scene.asked, "what stays hot is cut all the same"


def test_one_that_swallows_its_cancellation_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "LETTING_GO", 0.01)
    scene, released = Scene(rack_of(tmp_path, action_time=0.01)), asyncio.Event()

    async def swallows() -> list[Job]:
        while not released.is_set():
            try:
                await released.wait()
            except asyncio.CancelledError:
                continue
        raise RuntimeError("nobody hears this")

    async def main() -> MadeSafe:
        made = await scene.safing().run("why", "never")
        released.set()
        await asyncio.sleep(0.01)
        return made

    scene.stopped = swallows
    assert asyncio.run(main()).unconfirmed == (f"{HOST}: stop loads",)


def test_called_off_as_a_whole_it_ends_and_records_nothing_more(scene: Scene) -> None:
    let_go: list[str] = []

    async def hang() -> list[Job]:
        try:
            return await never()
        finally:
            let_go.append("let go")

    async def main() -> None:
        task = asyncio.create_task(scene.safing().run("why", "never"))
        while not scene.asked:  # noqa: ASYNC110 - it gets there by itself
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    scene.stopped = hang
    asyncio.run(main())
    assert (scene.seen, let_go) == ([], ["let go"])


@pytest.mark.parametrize(("cut", "restored"), [("never", True), ("when_cool", False), ("at_once", False)])
def test_what_is_dark_comes_back_only_where_nothing_is_cut(scene: Scene, cut: str, restored: bool) -> None:
    dark = {"pdu-b/7", "pdu-a/9", "pdu-z/1"}
    scene.make(cut, dark=dark)
    back = [place for place in scene.asked if place.endswith("on")]
    assert back == (["pdu-a/9 on", "pdu-b/7 on"] if restored else [])
    assert dark == ({"pdu-z/1"} if restored else {"pdu-b/7", "pdu-a/9", "pdu-z/1"})
    if restored:
        assert scene.told[1] == ("pdu-a", "switch outlet 9 back on", True, "reads back as on")


def test_what_does_not_come_back_on_stays_dark(scene: Scene) -> None:
    dark, scene.stays = {"pdu-a/9"}, "pdu-a/9"
    assert scene.make("never", dark=dark).unconfirmed == ("pdu-a: switch outlet 9 back on",)
    assert scene.told[1] == ("pdu-a", "switch outlet 9 back on", False, "it does not read back as on")
    assert dark == {"pdu-a/9"}


def test_what_is_not_open_is_opened_once_and_only_where_it_is_asked(scene: Scene) -> None:
    dark = {"pdu-a/8", "pdu-a/9"}
    scene.make("never", dark=dark, unopened={"pdu-a", "pdu-b", HOST})
    assert scene.asked == [f"open {HOST}", "stop all", "open pdu-a", "pdu-a/8 on", "pdu-a/9 on"]


def test_what_cannot_be_opened_is_named(scene: Scene) -> None:
    async def silent() -> None:
        raise Unreachable("h", "log in", "no answer")

    scene.opening = silent
    assert scene.make("never", unopened={HOST}).unconfirmed == (f"{HOST}: stop loads",)
    assert scene.asked == [f"open {HOST}"]


def test_the_order_of_cuts() -> None:
    assert [stronger(one, other) for one in room.CUTS for other in room.CUTS] == [
        "never", "when_cool", "at_once", "when_cool", "when_cool", "at_once", "at_once", "at_once", "at_once",
    ]  # fmt: skip
