"""Loads detached from the station: one start, one record, and nothing that outlives its lease, its limit or a stop."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import time
from pathlib import Path

import pytest

from drivers.host.node import Host
from harness.errors import Refused, Unsupported
from harness.workload import JobState
from tests.drivers.host_machine import ENDLESS_BURN, Machine, burn, ended, kill, run, until, until_started


def uptime() -> float:
    """Of this machine, whose kernel the test's host shares."""
    return float(Path("/proc/uptime").read_text().split()[0])


def restart(machine: Machine) -> None:
    """Another boot: nothing runs any more, and every record is of a boot that is over."""
    # Stopped first: nobody may live to see another one's end, and record it.
    for number in (signal.SIGSTOP, signal.SIGKILL):
        kill(machine, number)
    for name in ("boot", "stopped"):
        for file in machine.jobs.glob(f"*/{name}"):
            file.write_text("00000000-0000-0000-0000-000000000000\n")


def test_starting_twice_starts_once(machine: Machine) -> None:
    machine.tool("gpu_burn", f"echo x >>{machine.home}/starts; {ENDLESS_BURN}")

    async def scenario(host: Host) -> None:
        await asyncio.gather(*(host.start(burn()) for _ in range(3)))
        job = await host.start(burn())
        assert job.state is JobState.RUNNING
        await until_started(machine.home / "starts")
        with pytest.raises(Refused, match="another one"):
            await host.start(burn(seconds=61))
        assert (machine.home / "starts").read_text() == "x\n"

    run(machine, scenario)


def test_a_result_of_the_past_is_never_that_of_a_new_load(machine: Machine) -> None:
    async def scenario(host: Host) -> None:
        await host.start(burn())
        assert (await ended(host, "burn")).state is JobState.DONE
        machine.tool("gpu_burn", ENDLESS_BURN)
        assert (await host.start(burn(seconds=70))).state is JobState.RUNNING
        await host.stop("burn")
        assert (await host.start(burn())).state is JobState.RUNNING
        states = {job.name: job.state for job in await host.stop_all()}
        assert states == {"burn.1": JobState.DONE, "burn.2": JobState.STOPPED, "burn": JobState.STOPPED}

    run(machine, scenario)


def test_stopping_leaves_nothing_of_the_most_stubborn_load(machine: Machine) -> None:
    machine.tool(
        "gpu_burn",
        "trap '' TERM HUP\nsetsid sh -c 'trap \"\" TERM; while :; do sleep 1; done' &\nwhile :; do sleep 1; done",
    )

    async def scenario(host: Host) -> None:
        await host.start(burn())
        assert machine.processes()
        assert (await host.stop("burn")).state is JobState.STOPPED
        assert machine.processes() == []

    run(machine, scenario)


def test_stop_all_stops_what_any_session_started(machine: Machine) -> None:
    machine.tool("gpu_burn", ENDLESS_BURN)

    async def scenario(host: Host) -> None:
        assert await host.stop_all() == ()
        await host.start(burn("a"))
        await host.start(burn("b"))
        await host.close()
        await host.open()
        assert {job.name: job.state for job in await host.stop_all()} == {
            "a": JobState.STOPPED,
            "b": JobState.STOPPED,
        }
        assert machine.processes() == []

    run(machine, scenario)


def test_what_a_start_under_way_leaves_behind_is_stopped_too(machine: Machine) -> None:
    async def scenario(host: Host) -> None:
        await host.stop_all()
        prompt = False
        while not prompt:  # again where this test was held up for longer than a start is waited for
            starting = machine.jobs / ".starting"
            starting.mkdir(parents=True)
            (starting / "pid").write_text(f"{os.getpid()}\n")
            asked = machine.commands[:]
            stop = asyncio.create_task(host.stop_all())
            async with asyncio.timeout(60):
                while machine.commands == asked:  # noqa: ASYNC110 - no event tells
                    await asyncio.sleep(0.01)
            began = time.monotonic()
            late = await asyncio.create_subprocess_exec(
                "/bin/sleep", "600", env={"RACKPROOF_JOB": f"{machine.jobs}/late/"}, start_new_session=True
            )
            shutil.rmtree(starting)
            prompt = time.monotonic() - began < 1.5
            await stop
            if not prompt:
                late.kill()
            code = await late.wait()
        assert code == -signal.SIGTERM

    run(machine, scenario)


def test_a_load_dies_when_nobody_renews_its_lease(machine: Machine) -> None:
    machine.tool("gpu_burn", ENDLESS_BURN)

    async def scenario(host: Host) -> None:
        await host.start(burn())
        await host.close()

        async def gone() -> bool:
            return not machine.processes()

        await until(gone)
        await host.open()
        job = await host.job("burn")
        assert job.state is JobState.LOST
        assert "lease" in job.text

    run(machine, scenario, lease=1)


def test_a_renewed_lease_keeps_a_load(machine: Machine) -> None:
    machine.tool("gpu_burn", ENDLESS_BURN)

    async def scenario(host: Host) -> None:
        await host.start(burn())
        lease = machine.jobs / "burn" / "lease"
        for _ in range(2):
            aside = machine.home / "lease"
            aside.write_text("999999999")  # the host's uptime at the last renewal; its date may be set at any time
            aside.rename(lease)  # an empty one, seen while it is written, would be over
            await host.renew()
            assert 0 <= uptime() - float(lease.read_text()) < 60
        assert (await host.job("burn")).state is JobState.RUNNING

    run(machine, scenario, lease=60)


def test_a_stopped_load_has_no_lease_to_renew(machine: Machine) -> None:
    machine.tool("gpu_burn", ENDLESS_BURN)

    async def scenario(host: Host) -> None:
        await host.start(burn())
        await host.stop("burn")
        lease = machine.jobs / "burn" / "lease"
        lease.unlink()
        await host.renew()
        assert not lease.exists()

    run(machine, scenario)


def test_a_load_that_takes_no_hint_ends_at_its_limit_all_the_same(machine: Machine) -> None:
    machine.tool("gpu_burn", "trap '' TERM; while :; do sleep 0.1; done")
    machine.tool("timeout", 'shift 2; exec /usr/bin/timeout -k 0.5 "$@"')

    async def scenario(host: Host) -> None:
        await host.start(burn(seconds=0.5, limit=1))
        job = await ended(host, "burn")
        assert (job.state, job.exit_code) == (JobState.DONE, 137)
        assert machine.processes() == []

    run(machine, scenario)


def test_the_host_itself_ends_a_load_at_its_limit(machine: Machine) -> None:
    machine.tool("gpu_burn", ENDLESS_BURN)

    async def scenario(host: Host) -> None:
        await host.start(burn(seconds=0.5, limit=1))
        job = await ended(host, "burn")
        assert (job.state, job.exit_code) == (JobState.DONE, 124)
        assert all(each.errors != 0 for each in job.outcomes)

    run(machine, scenario)


def test_a_restarted_host_has_lost_its_load(machine: Machine) -> None:
    machine.tool("gpu_burn", ENDLESS_BURN)

    async def scenario(host: Host) -> None:
        assert not (await host.start(burn())).restarted
        restart(machine)
        job = await host.job("burn")
        assert (job.state, job.restarted) == (JobState.LOST, True)
        assert "restarted" in job.text
        # Making safe afterwards takes nothing back, nor does a new start.
        assert [(job.name, job.restarted) for job in await host.stop_all()] == [("burn", True)]
        assert (await host.start(burn())).state is JobState.RUNNING
        assert {job.name: job.restarted for job in await host.jobs()} == {"burn": False, "burn.1": True}

    run(machine, scenario)


def test_a_restart_after_the_end_of_a_load_is_none_under_load(machine: Machine) -> None:
    async def scenario(host: Host) -> None:
        await host.start(burn("done"))
        await ended(host, "done")
        machine.tool("gpu_burn", ENDLESS_BURN)
        await host.start(burn("stopped"))
        await host.stop("stopped")
        restart(machine)
        known = {job.name: (job.state, job.restarted) for job in await host.jobs()}
        assert known == {"done": (JobState.DONE, False), "stopped": (JobState.STOPPED, False)}

    run(machine, scenario)


def test_a_record_without_its_boot_proves_no_restart(machine: Machine) -> None:
    machine.tool("gpu_burn", ENDLESS_BURN)

    async def scenario(host: Host) -> None:
        await host.start(burn())
        (machine.jobs / "burn" / "boot").write_text("")
        job = await host.job("burn")
        assert (job.state, job.restarted) == (JobState.LOST, False)

    run(machine, scenario)


def test_a_load_whose_main_process_is_shot_dies_and_is_lost(machine: Machine) -> None:
    machine.tool("gpu_burn", ENDLESS_BURN)

    async def scenario(host: Host) -> None:
        await host.start(burn())
        os.kill(min(machine.processes()), signal.SIGKILL)
        job = await ended(host, "burn")
        assert (job.state, job.exit_code) == (JobState.LOST, None)

    run(machine, scenario)


def test_names_that_are_no_names_touch_nothing(machine: Machine) -> None:
    async def scenario(host: Host) -> None:
        machine.commands.clear()
        for name in ("", "../x", "a b", "-x", "a;b", "a" * 101):
            with pytest.raises(Unsupported):
                await host.start(burn(name))
        assert machine.commands == []

    run(machine, scenario)
