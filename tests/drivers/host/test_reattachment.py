"""The station goes and comes back, the link breaks: a load is found, running or ended, and not started twice."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from drivers.host.node import Host
from harness.errors import Refused, Unreachable
from harness.workload import JobState
from tests.drivers.host_machine import ENDLESS_BURN, GOOD_BURN, Machine, burn, ended, run, until, until_started


def counted(machine: Machine, script: str) -> Path:
    """Let gpu_burn write a line for every start of it into the file that is given."""
    starts = machine.home / "starts"
    machine.tool("gpu_burn", f"echo x >>{starts}\n{script}")
    return starts


def test_a_new_station_finds_what_the_old_one_started(machine: Machine) -> None:
    starts = counted(machine, ENDLESS_BURN)

    async def scenario(host: Host) -> None:
        await host.start_once(burn())
        await host.close()
        again = machine.driver()
        try:
            await again.open()
            for job in (await again.job("burn"), await again.start_once(burn()), await again.start(burn())):
                assert job.state is JobState.RUNNING
            await until_started(starts)
            assert starts.read_text() == "x\n"
            assert [job.name for job in await again.stop_all()] == ["burn"]
        finally:
            await again.close()
        await host.open()

    run(machine, scenario)


def test_a_new_station_finds_what_has_ended_meanwhile(machine: Machine) -> None:
    starts = counted(machine, GOOD_BURN)

    async def scenario(host: Host) -> None:
        await host.start_once(burn())
        await ended(host, "burn")
        for _ in range(2):
            job = await host.start_once(burn())
            assert (job.state, job.exit_code) == (JobState.DONE, 0)
            assert [each.work for each in job.outcomes] == [50.0, 51.0]
        assert starts.read_text() == "x\n"
        with pytest.raises(Refused, match="another one"):
            await host.start_once(burn(seconds=61))
        assert (await host.start(burn())).name == "burn"
        await ended(host, "burn")
        assert starts.read_text() == "x\nx\n", "start, unlike start_once, starts anew"

    run(machine, scenario)


def test_once_is_once_whatever_became_of_it(machine: Machine) -> None:
    starts = counted(machine, ENDLESS_BURN)

    async def scenario(host: Host) -> None:
        await host.start_once(burn("stopped"))
        await until_started(starts)
        await host.stop("stopped")
        assert (await host.start_once(burn("stopped"))).state is JobState.STOPPED
        await asyncio.gather(*(host.start_once(burn("many")) for _ in range(4)))
        await until_started(starts, 2)
        assert starts.read_text() == "x\nx\n"

    run(machine, scenario)


def test_a_start_that_was_cut_off_before_it_began_is_made_good(machine: Machine) -> None:
    """The station has made the record, and the host lost its power before anything ran."""
    starts = counted(machine, ENDLESS_BURN)

    async def scenario(host: Host) -> None:
        await host.start_once(burn("other"))
        (machine.jobs / "burn").mkdir()
        (machine.jobs / ".starting").mkdir()
        (machine.jobs / ".starting" / "pid").write_text("4194305")  # beyond the largest there is
        assert (await host.start_once(burn())).state is JobState.RUNNING
        await until_started(starts, 2)
        assert starts.read_text() == "x\nx\n"

    run(machine, scenario)


def test_the_answer_to_a_start_that_is_lost_starts_nothing_again(machine: Machine) -> None:
    """The wire asks again by itself where the link breaks off: by then the load may have come to its end."""
    starts = counted(machine, GOOD_BURN)
    handle = machine.handle
    cut: list[str] = []

    async def losing(process: object) -> None:
        command = getattr(process, "command", "")
        if " start burn " in command and not cut:
            cut.append(command)
            machine.commands.append(command)
            shell = await asyncio.create_subprocess_exec(
                "/bin/sh", "-c", command, stdin=-3, stdout=-3, stderr=-3, env=machine.environment
            )
            await shell.wait()

            async def over() -> bool:
                return (machine.jobs / "burn" / "rc").exists()

            await until(over)
            process.channel.get_connection().abort()  # type: ignore[attr-defined]
        else:
            await handle(process)

    machine.handle = losing  # type: ignore[method-assign]

    async def scenario(host: Host) -> None:
        await host.start(burn("first"))  # puts the script there
        await ended(host, "first")
        job = await host.start(burn())
        assert (job.state, len(cut)) == (JobState.DONE, 1)
        assert starts.read_text() == "x\nx\n"
        assert [job.name for job in await host.jobs()] == ["burn", "first"]

    run(machine, scenario)


def test_a_link_that_is_down_for_long(machine: Machine) -> None:
    """Nobody can ask meanwhile; afterwards everything goes on from where it was, output by offset included."""
    starts = counted(
        machine, f"echo one; while [ ! -e {machine.home}/go ]; do sleep 0.1; done; echo two; {ENDLESS_BURN}"
    )

    async def scenario(host: Host) -> None:
        await host.start(burn())

        async def said() -> bool:
            return (await host.output("burn", 0)).octets == b"one\n"

        await until(said)
        await machine.vanish()
        for _ in range(2):
            with pytest.raises(Unreachable):
                await host.job("burn")
            with pytest.raises(Unreachable):
                await host.renew()
        (machine.home / "go").touch()
        await machine.serve()
        assert (await host.job("burn")).state is JobState.RUNNING
        await host.renew()

        async def more() -> bool:
            return (await host.output("burn", 4)).octets.startswith(b"two\n")

        await until(more)
        assert (await host.start(burn())).state is JobState.RUNNING
        assert starts.read_text() == "x\n"

    run(machine, scenario, lease=600)
