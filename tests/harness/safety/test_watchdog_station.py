"""The watchdog's process by itself, on a pipe of a test's own: what it hears, when it takes over, and that it ends."""

from __future__ import annotations

import json
import os
import resource
import select
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.safety import takeover as taking
from harness.safety import watchdog_process as room
from harness.safety.watchdog_process import Station, stand_by


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What it tells the station."""
    told: list[dict[str, Any]] = []
    monkeypatch.setattr(room, "_tell", told.append)
    return told


def charge(folder: Path, **words: Any) -> dict[str, Any]:
    devices = {"a": {"secrets": {"password": "one"}}, "b": {"secrets": {"auth": "two", "privacy": "three"}}}
    secrets = {"one": "1", "two": "2", "three": "3"}
    return {"definition": {"bay": {"devices": devices}}, "secrets": secrets, "run_dir": str(folder)} | words


def lines(*said: dict[str, Any]) -> bytes:
    return b"".join(json.dumps(each).encode() + b"\n" for each in said)


def test_it_knows_nothing_before_it_is_told() -> None:
    station = Station()
    assert (station.charge, station.dark, station.cut, station.farewell) == ({}, (), "never", False)
    assert (station.wanted, station.rest) == ("", b"")


def test_the_first_line_is_its_charge_and_the_others_are_news(tmp_path: Path, said: list[dict[str, Any]]) -> None:
    station, first = Station(), charge(tmp_path)
    assert station.hear(lines(first)) == 1
    assert (station.charge, said) == (first, [{"ready": True}])
    assert station.hear(lines({"dark": ["pdu-a/1"]}, {"cut": "at_once"}, {"take_over": "stuck"})) == 3
    assert (station.dark, station.cut, station.wanted, station.farewell) == (("pdu-a/1",), "at_once", "stuck", False)
    assert station.hear(lines({})) == 1
    assert (station.dark, station.cut, station.wanted) == (("pdu-a/1",), "at_once", "stuck")
    assert station.hear(lines({"farewell": True})) == 1
    assert station.farewell
    assert (station.charge, said) == (first, [{"ready": True}])


def test_a_line_that_comes_in_parts_is_one_line(tmp_path: Path, said: list[dict[str, Any]]) -> None:
    station, whole = Station(), lines(charge(tmp_path), {"cut": "at_once"})
    assert [station.hear(whole[:10]), station.hear(whole[10:-3]), station.hear(whole[-3:])] == [0, 1, 1]
    assert (station.cut, station.rest, len(said)) == ("at_once", b"", 1)


@pytest.mark.parametrize(
    ("words", "refusal"),
    [
        ({"secrets": {"one": "1"}}, "it was not given the secrets three, two"),
        ({"secrets": {"one": "1", "two": "", "three": "3"}}, "it was not given the secrets two"),
        ({"run_dir": "/nowhere/at/all"}, "there is no directory /nowhere/at/all"),
    ],
)
def test_one_that_could_not_take_over_says_why(
    tmp_path: Path, said: list[dict[str, Any]], words: dict[str, Any], refusal: str
) -> None:
    Station().hear(lines(charge(tmp_path, **words)))
    assert said == [{"refused": refusal}]


class Piped:
    """`stand_by` in this process: a script of what comes, one entry a look; None is a look in which nothing came."""

    def __init__(self, patch: pytest.MonkeyPatch, folder: Path, *comes: bytes | None) -> None:
        self.taken: list[tuple[Any, ...]] = []
        self.ignored: list[tuple[int, Any]] = []
        self.limits: list[tuple[Any, ...]] = []
        script: Iterator[bytes | None] = iter(comes)
        coming: list[bytes] = []

        def look(
            read: list[int], write: list[int], odd: list[int], tick: float
        ) -> tuple[list[int], list[int], list[int]]:
            assert (read, write, odd, tick) == ([0], [], [], room.TICK)
            octets = next(script)
            if octets is None:
                return [], [], []
            coming.append(octets)
            return [0], [], []

        def read(file: int, size: int) -> bytes:
            assert (file, size) == (0, room.BLOCK)
            return coming.pop()

        class Takeover:
            def __init__(this, charge: object, dark: object, cut: object, reason: object) -> None:  # noqa: N805
                this.given = (charge, dark, cut, reason)

            def run(this) -> bool:  # noqa: N805
                self.taken.append(this.given)
                return True

        patch.setattr(select, "select", look)
        patch.setattr(os, "read", read)
        patch.setattr(signal, "signal", lambda number, how: self.ignored.append((number, how)))
        patch.setattr(resource, "setrlimit", lambda *given: self.limits.append(given))
        patch.setattr(taking, "Takeover", Takeover)
        self.charge = charge(folder)
        assert stand_by() == 0
        assert next(script, "over") == "over", "it ended early"


def test_it_waits_a_second_a_look_and_a_quarter_of_a_minute() -> None:
    assert (room.TICK, room.HANG, room.BLOCK) == (1.0, 15, 65536)


def test_after_a_farewell_it_ends(tmp_path: Path, said: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    piped = Piped(monkeypatch, tmp_path, lines(charge(tmp_path)), None, lines({}), lines({"farewell": True}))
    assert piped.taken == []
    assert said == [{"ready": True}, {"heard": True}, {"heard": True}, {"heard": True}]
    assert {number for number, how in piped.ignored if how is signal.SIG_IGN} == {
        signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGQUIT, signal.SIGTSTP,
    }  # fmt: skip
    assert piped.limits == [(resource.RLIMIT_CORE, (0, 0))]


def test_a_station_that_is_gone(tmp_path: Path, said: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    news = lines({"dark": ["pdu-a/1"]}, {"cut": "when_cool"})
    piped = Piped(monkeypatch, tmp_path, lines(charge(tmp_path)) + news, b"")
    reason = "the station's process is gone: it did not say farewell"
    assert piped.taken == [(piped.charge, ("pdu-a/1",), "when_cool", reason)]
    assert said == [{"ready": True}, {"heard": True}]


def test_one_that_was_never_given_a_charge_ends(
    tmp_path: Path, said: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing: list[bytes | None] = [None] * 20
    assert Piped(monkeypatch, tmp_path, *nothing, b"").taken == []
    assert said == []


def test_a_station_that_hangs_is_relieved_once_until_it_is_heard_again(
    tmp_path: Path, said: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    still: list[bytes | None] = [None] * 14
    first = lines(charge(tmp_path))
    piped = Piped(monkeypatch, tmp_path, first, *still, lines({}), *still, None, *still, None, lines({}), *still, b"")
    hangs = "the station hangs: no heartbeat for 15 s"
    assert [given[3] for given in piped.taken] == [hangs, "the station's process is gone: it did not say farewell"]
    assert said.count({"took_over": hangs}) == 1


def test_a_station_that_is_heard_again_and_hangs_again_is_relieved_again(
    tmp_path: Path, said: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    still: list[bytes | None] = [None] * 15
    end = lines({"farewell": True})
    piped = Piped(monkeypatch, tmp_path, lines(charge(tmp_path)), *still, lines({}), *still, end)
    assert len(piped.taken) == 2


def test_half_a_line_is_no_heartbeat(tmp_path: Path, said: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    halves: list[bytes | None] = [b" "] * 15
    piped = Piped(monkeypatch, tmp_path, lines(charge(tmp_path)), *halves, lines({"farewell": True}))
    assert len(piped.taken) == 1


def test_who_asks_is_relieved_at_once_and_once(
    tmp_path: Path, said: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    asks = lines({"take_over": "the loop stands still"})
    piped = Piped(monkeypatch, tmp_path, lines(charge(tmp_path)), asks, None, lines({}), lines({"farewell": True}))
    assert [given[3] for given in piped.taken] == ["the loop stands still"]
    assert said[-3] == {"took_over": "the loop stands still"}


def test_a_station_that_no_longer_listens_harms_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[tuple[int, bytes]] = []

    def write(file: int, octets: bytes) -> int:
        written.append((file, octets))
        raise BrokenPipeError

    monkeypatch.setattr(os, "write", write)
    room._tell({"heard": True})
    monkeypatch.undo()
    assert written == [(1, b'{"heard": true}\n')]
