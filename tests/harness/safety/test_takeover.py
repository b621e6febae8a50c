"""Taking over, step by step: which drivers it needs, what it tries again, what it writes, and that it always ends."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from harness.capabilities import Outlet
from harness.errors import DefinitionError, Unreachable
from harness.rack.bay import Bay, Endpoint, SecretSource
from harness.rack.definition import RackDefinition
from harness.rack.model import PowerFeed
from harness.safety import takeover as room
from harness.safety.takeover import FILE, Takeover
from harness.workload import Job, JobState
from tests.failopen.bench import FLOW, Bench, Tiny

SLOTS = {"pdu-a": ["pdu"], "pdu-b": ["pdu"], "tray-01": ["compute_tray", "host"], "tray-02": ["compute_tray", "host"]}
HOSTS, PDUS = ["tray-01-host", "tray-02-host"], ["pdu-a", "pdu-b"]
Answers = Callable[[str], object]
PATIENT = 60.0
"""Wall seconds for the disk, which may be as busy as the machine."""


def rack_of(folder: Path, *, simulated: bool = False) -> RackDefinition:
    made = Bench(folder).rack(FLOW, SLOTS)
    feeds = (PowerFeed(outlet="pdu-a/1", feeds="tray-01/psu-1"), PowerFeed(outlet="pdu-b/2", feeds="tray-02/psu-1"))
    kinds = dict.fromkeys(PDUS, "pdu") | dict.fromkeys(HOSTS, "host")
    ways = {
        name: Endpoint(driver=kind, address="nowhere://", secrets={"password": "word"}) for name, kind in kinds.items()
    }
    bay: dict[str, Any] = {"name": "b", "site": "s", "station": "s", "secrets": {"word": SecretSource(env="WORD")}}
    if simulated:
        bay["simulated"] = {"pace": 1.0, "epoch": "2026-11-23T00:00:00Z", "started": 1.0, "seed": 1}
    devices = {**made.bay.devices, **ways}
    return replace(
        made,
        model=made.model.model_copy(update={"power_map": feeds}),
        bay=Bay(devices=devices, **bay),
        model_digest="m1",
        bay_digest="b1",
    )


class Station:
    """A rack that a takeover finds: each device's driver, and what it was asked."""

    def __init__(self, patch: pytest.MonkeyPatch, folder: Path, **answers: Any) -> None:
        self.folder = folder
        self.asked: list[str] = []
        self.built: list[tuple[str, str, str]] = []
        self.slept: list[float] = []
        self.closed: set[str] = set()
        self.answers = answers
        self.moments = [0.0]
        patch.setattr(room, "CLOSING", PATIENT)
        patch.setattr(room, "build_driver", self._build)
        patch.setattr(room, "connection_to", self._connect)
        patch.setattr(time, "monotonic", lambda: self.moments[-1])
        sleep = asyncio.sleep

        async def pause(seconds: float) -> None:
            if seconds == room.PAUSE:
                self.slept.append(seconds)
                self.moments.append(self.moments[-1] + seconds)
            await sleep(0)

        patch.setattr(asyncio, "sleep", pause)

    def _connect(self, name: str, endpoint: Endpoint, secrets: dict[str, Any], clock: object) -> tuple[str, Any]:
        return name, secrets["word"].reveal()

    def _build(self, kind: str, connection: tuple[str, str]) -> Tiny:
        name, word = connection
        self.built.append((kind, name, word))
        if isinstance(error := self.answers.get("build", {}).get(name), Exception):
            raise error

        async def close() -> None:
            self.closed.add(name)

        def stop_all() -> object:
            self.asked.append(f"{name}: stop all")
            answer = self.answers.get("stop", {}).get(name)
            if isinstance(answer, list):
                answer = answer.pop(0) if len(answer) > 1 else answer[0]
            return answer if isinstance(answer, Exception) else [Job("burn", JobState.STOPPED, None, (), "")]

        def switch(outlet: str, *, on: bool) -> Outlet:
            self.asked.append(f"{name}/{outlet} {'on' if on else 'off'}")
            return Outlet(outlet, on, None, None)

        def opened() -> None:
            self.asked.append(f"{name}: open")

        if kind == "pdu":
            return Tiny(name, open=opened, close=close, outlets=[], switch=switch)
        rest = dict.fromkeys(("start", "job", "stop", "renew"))
        return Tiny(name, open=opened, close=close, lease=30.0, stop_all=stop_all, **rest)

    def take_over(self, cut: str = "never", dark: tuple[str, ...] = (), *, simulated: bool = False) -> bool:
        whole = rack_of(self.folder, simulated=simulated).as_json()
        charge = {"definition": whole, "secrets": {"word": "swordfish"}, "run_dir": str(self.folder)}
        return Takeover(json.loads(json.dumps(charge)), dark, cut, "the station died").run()

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.folder / FILE).read_text("utf-8").splitlines()]

    @property
    def told(self) -> list[tuple[str, str, bool, str]]:
        return [(line["device"], line["action"], line["confirmed"], line["text"]) for line in self.lines]


def test_its_times() -> None:
    """The leases of the loads (30 s) have run out by the last try."""
    assert (room.FILE, room.PATIENCE, room.PAUSE, room.CLOSING) == ("watchdog.jsonl", 30.0, 2.0, 3.0)


def test_every_host_is_stopped_and_no_pdu_is_touched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    station = Station(monkeypatch, tmp_path)
    before = datetime.now(UTC)
    assert station.take_over() is True
    assert sorted(station.built) == [("host", name, "swordfish") for name in HOSTS]
    assert sorted(station.asked) == sorted(f"{name}: {what}" for name in HOSTS for what in ("open", "stop all"))
    assert station.closed == set(HOSTS)
    assert station.told[0] == ("station", "take over", True, "the station died")
    assert sorted(station.told[1:3]) == [(name, "stop loads", True, "no load is running") for name in HOSTS]
    assert station.told[3:] == [("rack", "make safe", True, "every action was confirmed")]
    assert list(station.lines[0]) == ["wall", "reason", "device", "action", "confirmed", "text"]
    assert {line["reason"] for line in station.lines} == {"the station died"}
    wall = station.lines[0]["wall"]
    assert wall.endswith("Z")
    assert len(wall) == len("2026-11-23T08:00:00.000000Z")
    assert before <= datetime.fromisoformat(wall) <= datetime.now(UTC)
    assert (station.slept, (tmp_path / FILE).stat().st_mode & 0o133) == ([], 0)


def test_what_a_step_left_dark_comes_back_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    station = Station(monkeypatch, tmp_path)
    assert station.take_over(dark=("pdu-a/1",)) is True
    assert sorted(name for _, name, _ in station.built) == ["pdu-a", *HOSTS]
    assert "pdu-a/1 on" in station.asked
    assert "pdu-a/1 off" not in station.asked


def test_where_the_power_is_cut_every_feed_goes_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    station = Station(monkeypatch, tmp_path)
    assert station.take_over("at_once", ("pdu-a/1",)) is True
    assert sorted(name for _, name, _ in station.built) == [*PDUS, *HOSTS]
    assert {"pdu-a/1 off", "pdu-b/2 off"} <= set(station.asked)
    assert "pdu-a/1 on" not in station.asked


def test_what_is_not_confirmed_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    silent = Unreachable("tray-01-host", "log in", "no answer")
    station = Station(monkeypatch, tmp_path, stop={"tray-01-host": [silent, silent, None]})
    assert station.take_over() is True
    assert station.slept == [2.0, 2.0]
    assert station.asked.count("tray-01-host: stop all") == 3
    assert station.told[-1] == ("rack", "make safe", True, "every action was confirmed")


def test_it_does_not_try_for_ever_and_names_what_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    station = Station(monkeypatch, tmp_path, stop={"tray-02-host": Unreachable("tray-02-host", "log in", "no answer")})
    assert station.take_over() is False
    assert station.slept == [2.0] * 15
    assert station.told[-1] == ("rack", "make safe", False, "not confirmed, go and look: tray-02-host: stop loads")


def test_a_simulated_rack_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    station = Station(monkeypatch, tmp_path, stop={"tray-02-host": Unreachable("tray-02-host", "log in", "no answer")})
    assert station.take_over(simulated=True) is False
    assert station.slept == []


@pytest.mark.parametrize(
    "error", [DefinitionError("no such driver"), ImportError("no such driver"), KeyError("no such driver")]
)
def test_a_device_whose_driver_cannot_be_made_is_named_and_the_others_are_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    station = Station(monkeypatch, tmp_path, build={"tray-01-host": error})
    assert station.take_over(simulated=True) is False
    assert ("tray-01-host", "build its driver", False, str(error)) in station.told
    assert ("tray-02-host", "stop loads", True, "no load is running") in station.told
    left = "not confirmed, go and look: tray-01-host: no driver could be made"
    assert station.told[-1] == ("rack", "make safe", False, left)


def test_whatever_it_breaks_of_is_written_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "CLOSING", PATIENT)
    charge = {"definition": {}, "secrets": {}, "run_dir": str(tmp_path)}
    assert Takeover(charge, (), "never", "the station died").run() is False
    last = json.loads((tmp_path / FILE).read_text("utf-8").splitlines()[-1])
    assert (last["device"], last["action"], last["confirmed"]) == ("rack", "make safe", False)
    assert last["text"] == "it broke: KeyError: 'model'"


def test_a_driver_that_breaks_while_it_closes_does_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    station = Station(monkeypatch, tmp_path)

    async def end_within(seconds: float, works: dict[str, Any]) -> None:
        assert (seconds, sorted(works)) == (PATIENT, HOSTS)
        for work in works.values():
            await work

    monkeypatch.setattr(room, "end_within", end_within)
    assert station.take_over() is True
    assert station.closed == set(HOSTS)


def test_each_line_is_on_disk_before_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda file: synced.append((tmp_path / FILE).stat().st_size))
    station = Station(monkeypatch, tmp_path)
    station.take_over()
    sizes = [len(line) for line in (tmp_path / FILE).read_bytes().splitlines(keepends=True)]
    assert synced == [sum(sizes[: number + 1]) for number in range(len(sizes))]


def test_the_rack_is_the_one_of_the_charge(tmp_path: Path) -> None:
    rack = rack_of(tmp_path)
    whole = json.loads(json.dumps(rack.as_json()))
    made = room._definition({"definition": whole})
    assert (made.model, made.bay, made.unit) == (rack.model, rack.bay, rack.unit)
    assert (made.model_file, made.model_digest, made.bay_digest) == ("", "m1", "b1")
