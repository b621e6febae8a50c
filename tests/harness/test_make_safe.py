"""Making safe: every action in a box, none raising, each recorded with whether it was confirmed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

import pytest

from harness.capabilities import Outlet
from harness.clock import Clock
from harness.connection import Driver
from harness.errors import Misbehaved, Unreachable
from harness.journal.events import Event, MadeSafe, SafetyAction
from harness.rack.definition import RackDefinition, offline_definition
from harness.rack.load import load_model
from harness.safety.make_safe import Safing, stronger
from harness.workload import Job, JobState, Load


@dataclass
class Hosted:
    """A host with one load; `answer` is what stopping it comes to."""

    device: str
    answer: JobState | Exception | None
    lease: float = 30.0
    stopped: int = 0

    async def open(self) -> None:
        """Always open."""

    async def close(self) -> None:
        """Never closed."""

    async def start(self, load: Load) -> Job:
        raise NotImplementedError

    async def job(self, name: str) -> Job:
        raise NotImplementedError

    async def stop(self, name: str) -> Job:
        raise NotImplementedError

    async def stop_all(self) -> Sequence[Job]:
        self.stopped += 1
        if self.answer is None:
            await asyncio.sleep(3600)
        if isinstance(self.answer, Exception):
            raise self.answer
        assert isinstance(self.answer, JobState)
        return (Job("burn-in", self.answer, None, (), ""),)

    async def renew(self) -> None:
        """Nothing to renew."""


@dataclass
class Switched:
    """A PDU whose outlets obey, or do not."""

    device: str
    obeys: bool = True
    off: list[str] = field(default_factory=list)

    async def open(self) -> None:
        """Always open."""

    async def close(self) -> None:
        """Never closed."""

    async def outlets(self) -> Sequence[Outlet]:
        return ()

    async def switch(self, outlet: str, *, on: bool) -> Outlet:
        if not self.obeys:
            raise Misbehaved(self.device, f"switch outlet {outlet} off", "it reads back as on")
        self.off.append(outlet)
        return Outlet(outlet, on, None, None)


@pytest.fixture
def definition() -> RackDefinition:
    path = Path(str(files("test_plans"))) / "models" / "bench4.yaml"
    model = load_model(path)
    quick = model.make_safe.model_copy(update={"action_time": 1.0, "cooling_time": 0.2})
    return offline_definition(model.model_copy(update={"make_safe": quick}), path.name)


def make_safe(
    definition: RackDefinition,
    drivers: list[Driver],
    cut: str,
    hottest: float | None = 20.0,
    dark: set[str] | None = None,
) -> tuple[MadeSafe, list[SafetyAction]]:
    seen: list[Event] = []
    named = {driver.device: driver for driver in drivers}
    safing = Safing(definition, named, Clock.real(), seen.append, lambda: hottest, set() if dark is None else dark)
    made = asyncio.run(safing.run("test", cut))
    assert seen[-1] == made
    return made, [event for event in seen if isinstance(event, SafetyAction)]


def test_loads_stop_and_outlets_stay(definition: RackDefinition) -> None:
    host, pdu = Hosted("tray-01-host", JobState.STOPPED), Switched("pdu-a")
    made, actions = make_safe(definition, [host, pdu], "never")
    assert made.confirmed
    assert [action.device for action in actions] == ["tray-01-host"]
    assert pdu.off == []


def test_outlets_follow_once_it_is_cool(definition: RackDefinition) -> None:
    host, pdus = Hosted("tray-01-host", JobState.STOPPED), [Switched("pdu-a"), Switched("pdu-b")]
    made, actions = make_safe(definition, [host, *pdus], "when_cool")
    assert made.confirmed
    assert [action.action for action in actions][:2] == ["stop loads", "keep coolant until cool"]
    assert [pdu.off for pdu in pdus] == [["1", "2", "3", "4"], ["1", "2", "3", "4"]]


def test_what_stays_hot_is_cut_all_the_same_and_said(definition: RackDefinition) -> None:
    pdu = Switched("pdu-a")
    made, _ = make_safe(definition, [pdu], "when_cool", hottest=90.0)
    assert not made.confirmed
    assert made.unconfirmed == ("rack: keep coolant until cool",)
    assert pdu.off


def test_an_unknown_temperature_is_not_cool(definition: RackDefinition) -> None:
    made, _ = make_safe(definition, [Switched("pdu-a")], "when_cool", hottest=None)
    assert not made.confirmed


@pytest.mark.parametrize("answer", [JobState.RUNNING, Unreachable("h", "stop", "no answer"), ValueError("odd"), None])
def test_a_load_that_is_not_proven_gone_is_not_confirmed(definition: RackDefinition, answer: JobState) -> None:
    made, _ = make_safe(definition, [Hosted("tray-01-host", answer), Hosted("tray-02-host", JobState.DONE)], "never")
    assert made.unconfirmed == ("tray-01-host: stop loads",)


def test_an_outlet_that_does_not_obey_is_named_and_the_others_are_cut(definition: RackDefinition) -> None:
    good = Switched("pdu-b")
    made, _ = make_safe(definition, [Switched("pdu-a", obeys=False), good], "at_once")
    assert not made.confirmed
    assert len(made.unconfirmed) == 4
    assert len(good.off) == 4


def test_at_once_waits_for_no_host_whose_power_is_off(definition: RackDefinition) -> None:
    host = Hosted("tray-01-host", None)
    made, actions = make_safe(definition, [host, Switched("pdu-a"), Switched("pdu-b")], "at_once")
    assert made.confirmed
    assert host.stopped == 1
    assert [action.text for action in actions if action.action == "stop loads"] == ["every outlet reads back as off"]


def test_at_once_still_waits_for_hosts_where_an_outlet_stays_on(definition: RackDefinition) -> None:
    made, _ = make_safe(definition, [Hosted("tray-01-host", None), Switched("pdu-a", obeys=False)], "at_once")
    assert "tray-01-host: stop loads" in made.unconfirmed


def test_outlets_that_a_step_left_dark_come_back_on(definition: RackDefinition) -> None:
    pdu, dark = Switched("pdu-a"), {"pdu-a/2", "pdu-a/3"}
    made, actions = make_safe(definition, [pdu], "never", dark=dark)
    assert made.confirmed
    assert [action.action for action in actions] == ["switch outlet 2 back on", "switch outlet 3 back on"]
    assert dark == set()


def test_an_outlet_that_stays_dark_is_named(definition: RackDefinition) -> None:
    made, _ = make_safe(definition, [Switched("pdu-a", obeys=False)], "never", dark={"pdu-a/2"})
    assert made.unconfirmed == ("pdu-a: switch outlet 2 back on",)


def test_nothing_comes_back_on_where_the_power_is_cut(definition: RackDefinition) -> None:
    _, actions = make_safe(definition, [Switched("pdu-a")], "at_once", dark={"pdu-a/2"})
    assert not [action for action in actions if "back on" in action.action]


def test_the_more_drastic_cut_wins() -> None:
    assert stronger("never", "when_cool") == "when_cool"
    assert stronger("at_once", "when_cool") == "at_once"
