"""The watchdog's process, against hosts with a real shell: it takes over, it stays away, and it never stays behind."""

from __future__ import annotations

import asyncio
import json
import os
import queue
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.clock import Clock
from harness.connection import Secret
from harness.errors import RackproofError
from harness.rack.bay import Bay, Endpoint, SecretSource
from harness.rack.definition import RackDefinition
from harness.registry import build_driver, connection_to
from harness.safety.takeover import FILE
from harness.safety.watchdog import Charge, DarkOutlets, Watchdog
from harness.workload import Job, Load
from tests.acceptance.hosts import PASSWORD, USER
from tests.failopen.bench import FLOW, Bench

PATIENCE = 60.0
SLOTS = {"tray-01": ["compute_tray", "host"], "tray-02": ["compute_tray", "host"]}


def definition_of(folder: Path, hosts: list[dict[str, Any]], **options: Any) -> RackDefinition:
    """A rack of the hosts; their trays are nowhere, and nobody needs them."""
    # A login and a stop take a second, and more where the machine is busy.
    patient = {"cool_below": 50, "cooling_time": 2, "action_time": PATIENCE}
    offline = Bench(folder).rack(FLOW, SLOTS, make_safe=patient)
    ways = {
        f"tray-0{number}-host": Endpoint(
            driver="host",
            address=f"ssh://127.0.0.1:{host['port']}",
            user=USER,
            secrets={"password": "host"},
            options={"host_key": host["host_key"], "lease": 300.0, **options},
        )
        for number, host in enumerate(hosts, 1)
    }
    devices = {**offline.bay.devices, **ways}
    bay = Bay(name="b", site="s", station="s", devices=devices, secrets={"host": SecretSource(env="HOST_PASSWORD")})
    return replace(offline, bay=bay)


@pytest.fixture
def rack(tmp_path: Path, hosts: list[dict[str, Any]]) -> RackDefinition:
    return definition_of(tmp_path, hosts)


@pytest.fixture
def watchdogs(tmp_path: Path) -> Iterator[Callable[[RackDefinition], Watchdog]]:
    """Starts watchdogs; none may be left at the end."""
    started: list[Watchdog] = []

    def start(rack: RackDefinition) -> Watchdog:
        started.append(Watchdog(Charge(rack, {"host": Secret("host", PASSWORD)}, tmp_path)))
        return started[-1]

    yield start
    for each in started:
        each.dismiss()
        ends(each)
        each._close()


def ends(watchdog: Watchdog) -> None:
    """Wait for its process to end by itself."""
    watchdog._process.wait(PATIENCE)


def burn(rack: RackDefinition, work: str = "start") -> list[Job]:
    """Start a load on every host, as a station does, or look at it."""

    async def one(name: str) -> Job:
        endpoint = rack.device(name).endpoint
        host: Any = build_driver(
            "host", connection_to(name, endpoint, {"host": Secret("host", PASSWORD)}, Clock.real())
        )
        await host.open()
        try:
            load = Load("burn-endless", "accelerator", "gpu-burn", 2.0, 600.0)
            job: Job = await (host.start(load) if work == "start" else host.job(load.name))
            return job
        finally:
            await host.close()

    async def every() -> list[Job]:
        return await asyncio.gather(*(one(entry.name) for entry in rack.role("host")))

    return asyncio.run(every())


def recorded(folder: Path) -> list[dict[str, Any]]:
    """What the watchdog wrote down; every line has the same fields."""
    lines = [json.loads(line) for line in (folder / FILE).read_text("utf-8").splitlines()]
    assert all(list(line) == ["wall", "reason", "device", "action", "confirmed", "text"] for line in lines)
    return lines


def leave(watchdog: Watchdog) -> None:
    """What is left of a station that was killed: a pipe without a writer, and no farewell."""
    watchdog._over = True
    assert watchdog._process.stdin is not None
    watchdog._process.stdin.close()


Start = Callable[[RackDefinition], Watchdog]


def test_a_station_that_is_gone_leaves_no_load(rack: RackDefinition, watchdogs: Start, tmp_path: Path) -> None:
    assert {job.state for job in burn(rack)} == {"running"}
    watchdog = watchdogs(rack)
    leave(watchdog)
    ends(watchdog)
    assert {job.state for job in burn(rack, "look")} == {"stopped"}
    lines = recorded(tmp_path)
    assert (lines[0]["device"], lines[0]["action"]) == ("station", "take over")
    assert {(line["device"], line["confirmed"]) for line in lines if line["action"] == "stop loads"} == {
        ("tray-01-host", True),
        ("tray-02-host", True),
    }
    assert (lines[-1]["action"], lines[-1]["confirmed"]) == ("make safe", True)
    assert all("did not say farewell" in line["reason"] for line in lines)


def test_after_a_farewell_nothing_is_done(rack: RackDefinition, watchdogs: Start, tmp_path: Path) -> None:
    watchdog = watchdogs(rack)
    watchdog.dismiss()
    ends(watchdog)
    assert not (tmp_path / FILE).exists()
    watchdog.dismiss()
    watchdog.darkened(["pdu-a/1"])


def test_a_station_that_asks_is_relieved_and_told(rack: RackDefinition, watchdogs: Start, tmp_path: Path) -> None:
    watchdog, told = watchdogs(rack), queue.SimpleQueue[str]()
    watchdog.call(told.put)
    watchdog.relieve("the loop stands still")
    assert told.get(timeout=PATIENCE) == "the watchdog has taken over: the loop stands still"
    watchdog.dismiss()
    ends(watchdog)
    assert recorded(tmp_path)[-1]["confirmed"] is True


@pytest.mark.long
def test_a_station_that_hangs_is_relieved(rack: RackDefinition, watchdogs: Start, tmp_path: Path) -> None:
    watchdog, told = watchdogs(rack), queue.SimpleQueue[str]()
    watchdog.call(told.put)
    assert "the station hangs: no heartbeat for 15 s" in told.get(timeout=PATIENCE)
    watchdog.dismiss()
    ends(watchdog)
    assert "hangs" in recorded(tmp_path)[0]["reason"]


def test_heartbeats_keep_it_away(rack: RackDefinition, watchdogs: Start) -> None:
    watchdog = watchdogs(rack)

    async def beat_until_heard() -> None:
        task = asyncio.create_task(watchdog.beat())
        async with asyncio.timeout(PATIENCE):
            await asyncio.sleep(0.1)
            while watchdog._unheard:  # noqa: ASYNC110 - what answers is a process
                await asyncio.sleep(0.01)
        task.cancel()

    asyncio.run(beat_until_heard())


def test_what_a_terminal_or_a_service_manager_sends_does_not_end_it(rack: RackDefinition, watchdogs: Start) -> None:
    watchdog, told = watchdogs(rack), queue.SimpleQueue[str]()
    watchdog.call(told.put)
    assert os.getsid(watchdog.pid) == watchdog.pid, "it is in no session of ours"
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGQUIT, signal.SIGTSTP):
        os.kill(watchdog.pid, number)
    watchdog.relieve("still there?")
    assert "still there?" in told.get(timeout=PATIENCE)


def test_a_watchdog_that_is_killed_is_missed(rack: RackDefinition, watchdogs: Start) -> None:
    watchdog, told = watchdogs(rack), queue.SimpleQueue[str]()
    watchdog.call(told.put)
    os.kill(watchdog.pid, signal.SIGKILL)
    assert told.get(timeout=PATIENCE) == "the watchdog's process has ended"
    late = queue.SimpleQueue[str]()
    watchdog.call(late.put)
    assert late.get(timeout=PATIENCE), "who asks late is told at once"


def test_a_watchdog_that_stands_still_is_missed(
    rack: RackDefinition, watchdogs: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.safety.watchdog.BEAT", 0.01)
    watchdog, told = watchdogs(rack), queue.SimpleQueue[str]()
    watchdog.call(told.put)
    os.kill(watchdog.pid, signal.SIGSTOP)

    async def beat() -> None:
        task = asyncio.create_task(watchdog.beat())
        assert await asyncio.to_thread(told.get, timeout=PATIENCE) == "the watchdog answers no more"
        task.cancel()

    try:
        asyncio.run(beat())
    finally:
        os.kill(watchdog.pid, signal.SIGCONT)


def test_its_secrets_come_by_the_pipe_alone(
    rack: RackDefinition, watchdogs: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOST_PASSWORD", PASSWORD)
    watchdog = watchdogs(rack)
    for name in ("cmdline", "environ"):
        assert PASSWORD.encode() not in Path(f"/proc/{watchdog.pid}/{name}").read_bytes()
    limits = Path(f"/proc/{watchdog.pid}/limits").read_text()
    assert next(line for line in limits.splitlines() if "core" in line).split()[4] == "0"
    leave(watchdog)
    ends(watchdog)
    assert all(PASSWORD.encode() not in file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    assert PASSWORD not in repr(Charge(rack, {"host": Secret("host", PASSWORD)}, tmp_path))


@pytest.mark.parametrize(
    ("secrets", "folder", "why"),
    [({}, ".", "it was not given the secrets host"), ({"host": Secret("host", PASSWORD)}, "gone", "no directory")],
)
def test_one_that_could_not_take_over_is_refused_at_once(
    rack: RackDefinition, tmp_path: Path, secrets: Mapping[str, Secret], folder: str, why: str
) -> None:
    with pytest.raises(RackproofError, match=why):
        Watchdog(Charge(rack, secrets, tmp_path / folder))


def test_hosts_that_do_not_answer_are_named_and_it_ends(
    tmp_path: Path, hosts: list[dict[str, Any]], watchdogs: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    nowhere = [hosts[0], {"port": 9, "host_key": hosts[1]["host_key"]}]
    rack = definition_of(tmp_path, nowhere)
    simulated = {"pace": 1.0, "epoch": "2026-11-23T00:00:00Z", "started": time.monotonic(), "seed": 1}
    bay = Bay.model_validate(rack.bay.model_dump() | {"simulated": simulated})
    watchdog = watchdogs(replace(rack, bay=bay))
    leave(watchdog)
    ends(watchdog)
    last = recorded(tmp_path)[-1]
    assert last["confirmed"] is False
    assert "tray-02-host: stop loads" in last["text"]
    assert "tray-01-host" not in last["text"]


def test_a_disk_that_takes_nothing_keeps_nobody_from_making_safe(
    rack: RackDefinition, watchdogs: Start, tmp_path: Path
) -> None:
    burn(rack)
    (tmp_path / FILE).mkdir()
    watchdog = watchdogs(rack)
    leave(watchdog)
    ends(watchdog)
    assert {job.state for job in burn(rack, "look")} == {"stopped"}


def test_dark_outlets_are_told_before_they_are_dark() -> None:
    told: list[tuple[str, ...]] = []
    dark = DarkOutlets(told.append)
    dark.add("pdu-a/2")
    dark.add("pdu-a/1")
    dark.discard("pdu-a/2")
    assert told == [("pdu-a/2",), ("pdu-a/1", "pdu-a/2"), ("pdu-a/1",)]
    assert (sorted(dark), len(dark), "pdu-a/1" in dark) == (["pdu-a/1"], 1, True)
