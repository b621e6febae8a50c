"""A simulated host after hand-over is as it was before, and the end of the session puts nothing back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from drivers.host import connect
from drivers.host.node import Host
from fixtures.clock import RackClock, SteppedClock, start
from fixtures.devices import data_addresses
from fixtures.views.host import serve_host
from fixtures.views.iperf import Exchange
from fixtures.world import RackWorld
from harness.clock import Clock
from harness.connection import Connection, Secret
from harness.errors import Unreachable
from harness.journal.events import Event, SafetyAction
from harness.rack.definition import RackDefinition, offline_definition
from harness.rack.load import load_model, model_path
from harness.safety.make_safe import Safing
from harness.workload import JobState
from tests.drivers.host_machine import burn, until

USER, PASSWORD = "bench", "correct horse"
MODEL = load_model(model_path("bench4"))


@pytest.fixture(scope="module")
def definition() -> RackDefinition:
    return offline_definition(MODEL, model_path("bench4").name)


@asynccontextmanager
async def simulated(home: Path, *faults: str, clock: RackClock | None = None) -> AsyncIterator[Host]:
    """Our driver on the host of a simulated tray, at a hundred times the wall's pace where no clock is given."""
    world = RackWorld(MODEL, clock or start(100.0), specs=faults)
    exchange = Exchange(data_addresses(MODEL))
    serving = await serve_host(world, "tray-01", user=USER, password=PASSWORD, home=home, exchange=exchange)
    secrets = {"password": Secret("host", PASSWORD)}
    host = connect(
        Connection(
            "tray-01-host",
            serving.address,
            user=USER,
            secrets=secrets,
            options=serving.options,
            now=lambda: datetime.now(UTC),
        )
    )

    async def go_on() -> None:
        while True:
            world.advance()
            await asyncio.sleep(0.05)

    going = asyncio.create_task(go_on())
    try:
        await host.open()
        yield host
    finally:
        going.cancel()
        await host.close()
        await serving.close()


def listing(folder: Path) -> dict[str, int]:
    """Every file and folder of the host, with the time of a file's last change.

    Without what stands for the machine itself: its tools, and its kernel's files.
    """
    found = [path for path in sorted(folder.rglob("*")) if not {".tools", ".root"} & set(path.parts)]
    return {str(path): 0 if path.is_dir() else path.lstat().st_mtime_ns for path in found}


async def end_session(definition: RackDefinition, host: Host) -> list[Event]:
    """What a session still does with a host after the last step: a lease is due, the rack is made safe."""
    recorded: list[Event] = []
    await host.renew()
    safing = Safing(definition, {host.device: host}, Clock.real(), recorded.append, lambda: None)
    assert (await safing.run("end of run", "never")).confirmed
    return recorded


def test_hand_over_and_the_end_of_the_session(definition: RackDefinition, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with simulated(tmp_path / "host") as host:
            before = listing(tmp_path)
            assert (await host.start(burn(seconds=3600, limit=7200))).state is JobState.RUNNING
            assert listing(tmp_path) != before
            # As in test_plans/rack/test_90_handover.py.
            assert [job.state for job in await host.stop_all()] == [JobState.STOPPED]
            assert await host.clean_up() == ()
            assert listing(tmp_path) == before
            events = await end_session(definition, host)
            assert [event.text for event in events if isinstance(event, SafetyAction)] == ["no load is running"]
            assert listing(tmp_path) == before

    asyncio.run(scenario())


def test_a_session_that_started_nothing_leaves_nothing(definition: RackDefinition, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with simulated(tmp_path / "host") as host:
            before = listing(tmp_path)
            await end_session(definition, host)
            assert listing(tmp_path) == before

    asyncio.run(scenario())


def test_a_host_that_keeps_its_files_says_which(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with simulated(tmp_path / "host", "tray-01.files.immutable") as host:
            await host.start(burn(seconds=3600, limit=7200))
            left = await host.clean_up()
            assert str(tmp_path / "host" / ".rackproof" / "jobs" / "burn" / "out") in left
            assert [job.state for job in await host.stop_all()] == [JobState.STOPPED]

    asyncio.run(scenario())


def test_a_host_that_restarts_under_load(tmp_path: Path) -> None:
    """Its load is lost, and its record says that the host was booted again, whoever stops it afterwards."""

    async def scenario() -> None:
        clock = SteppedClock()  # it restarts when the load runs, however long it took to start that
        clock.pace = 100.0
        async with simulated(tmp_path / "host", "tray-01.host.restarts@+500", clock=clock) as host:
            assert not (await host.start(burn(seconds=3600, limit=7200))).restarted

            async def lost() -> bool:
                clock.advance(100)
                try:
                    return (await host.job("burn")).state is not JobState.RUNNING
                except Unreachable:
                    return False

            await until(lost)
            job = await host.job("burn")
            assert (job.state, job.restarted) == (JobState.LOST, True)
            assert [job.restarted for job in await host.stop_all()] == [True]

    asyncio.run(scenario())
