"""Nothing is left on a host: not after hand-over, not by whoever only looks or stops, and what does stay is named."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from drivers.host.node import Host
from drivers.host.script import NAME
from harness.workload import JobState, Load
from tests.drivers.host_machine import ENDLESS_BURN, GOOD_BURN, Machine, burn, ended, run, until


def listing(machine: Machine) -> dict[str, bytes]:
    """Every file of the host with its content, folders with none."""
    found = sorted(machine.home.rglob("*"))
    return {str(path): b"" if path.is_dir() else path.read_bytes() for path in found}


async def look_and_stop(host: Host) -> None:
    """All that a session may still ask after hand-over: leases, loads, making safe at its end."""
    await host.renew()
    assert await host.stop_all() == ()
    assert await host.jobs() == ()
    assert (await host.job("burn")).state is JobState.LOST
    assert (await host.stop("burn")).state is JobState.LOST
    assert await host.clean_up() == ()


def test_who_only_looks_or_stops_puts_nothing_there(machine: Machine) -> None:
    before = listing(machine)

    async def scenario(host: Host) -> None:
        await look_and_stop(host)
        assert listing(machine) == before

    run(machine, scenario)
    assert listing(machine) == before


def test_after_hand_over_the_host_is_as_it_was(machine: Machine) -> None:
    before = listing(machine)

    async def scenario(host: Host) -> None:
        await host.start(burn("first"))
        await ended(host, "first")
        await host.start(burn("first"))
        machine.tool("gpu_burn", ENDLESS_BURN)
        await host.start(burn("second"))
        assert len(await host.stop_all()) == 3
        assert await host.clean_up() == ()
        machine.tool("gpu_burn", GOOD_BURN)
        assert listing(machine) == before
        await look_and_stop(host)
        assert listing(machine) == before

    run(machine, scenario)
    assert listing(machine) == before


def test_a_load_that_still_runs_is_stopped_first(machine: Machine) -> None:
    machine.tool("gpu_burn", ENDLESS_BURN)

    async def scenario(host: Host) -> None:
        await host.start(burn())
        assert await host.clean_up() == ()
        assert machine.processes() == []
        assert not machine.jobs.parent.exists()
        # The host can be used again.
        assert (await host.start(burn())).state is JobState.RUNNING
        assert [job.name for job in await host.jobs()] == ["burn"]
        assert await host.clean_up() == ()

    run(machine, scenario)


def test_what_others_keep_in_the_same_place_stays(machine: Machine) -> None:
    async def scenario(host: Host) -> None:
        await host.start(burn())
        await ended(host, "burn")
        (machine.jobs.parent / "notes").write_text("mine")
        assert await host.clean_up() == ()
        assert [path.name for path in machine.jobs.parent.iterdir()] == ["notes"]

    run(machine, scenario)


def test_scripts_of_other_versions_go_too(machine: Machine) -> None:
    async def scenario(host: Host) -> None:
        await host.start(burn())
        await ended(host, "burn")
        (machine.jobs.parent / NAME).rename(machine.jobs.parent / "job-0123456789ab.sh")
        assert [job.name for job in await host.stop_all()] == ["burn"]
        assert (machine.jobs.parent / NAME).exists(), "there is something to stop, so it is put back"
        assert await host.clean_up() == ()
        assert not machine.jobs.parent.exists()

    run(machine, scenario)


def test_a_load_whose_record_somebody_removed_is_stopped_all_the_same(machine: Machine) -> None:
    machine.tool("gpu_burn", ENDLESS_BURN)

    async def scenario(host: Host) -> None:
        await host.start(burn())
        assert machine.processes()
        shutil.rmtree(machine.jobs.parent)
        await host.stop_all()
        assert machine.processes() == []
        assert await host.clean_up() == ()
        assert not machine.jobs.parent.exists()

    run(machine, scenario)


def test_a_process_that_cannot_be_killed_is_named(machine: Machine) -> None:
    """One that is there again whenever it is killed stands for one that hangs in the kernel."""
    machine.tool("gpu_burn", ENDLESS_BURN)

    async def scenario(host: Host) -> None:
        await host.start(burn())
        with keepers(f"{machine.jobs}/burn/"):
            left = await host.clean_up()
            assert left
            assert all("sleep 601" in line and line.startswith("process ") for line in left)
            assert (machine.jobs / "burn").exists()
        assert await host.clean_up() == ()

    run(machine, scenario)


@contextmanager
def keepers(job: str) -> Iterator[None]:
    """Several shells that each have a process of this job, whoever kills it; none of them is one itself."""
    script = 'while :; do RACKPROOF_JOB="$1" sleep 601; done'
    shells = [subprocess.Popen(["/bin/sh", "-c", script, "keeper", job]) for _ in range(4)]
    try:
        yield
    finally:
        for each in shells:
            each.kill()
            each.wait()


def test_the_file_of_a_disk_load_goes_however_it_ends(machine: Machine) -> None:
    load = Load("disk", "disk", "fio", 60, 90, directory=str(machine.home), size=1)
    machine.tool("fio", 'for word; do case $word in --filename=*) echo x >"${word#*=}";; esac; done; exec sleep 600')

    async def scenario(host: Host) -> None:
        async def made() -> bool:
            return bool([path for path in machine.home.iterdir() if path.name not in known])

        known = {path.name for path in machine.home.iterdir()} | {".rackproof"}
        for ending in (host.stop, None):
            await host.start(load)
            await until(made)
            if ending:
                await ending("disk")
            else:
                assert await host.clean_up() == ()
            assert not await made()

    run(machine, scenario)


def test_what_cannot_be_removed_is_named(machine: Machine) -> None:
    load = Load("disk", "disk", "fio", 60, 90, directory=str(machine.home), size=1)
    machine.tool("fio", 'for word; do case $word in --filename=*) echo x >"${word#*=}";; esac; done')

    async def scenario(host: Host) -> None:
        await host.start(load)
        await ended(host, "disk")
        machine.tool("rm", "exit 1")
        (machine.home / "rackproof-disk.fio").touch()
        assert await host.clean_up() == (str(machine.home / "rackproof-disk.fio"),)
        (machine.home / "rackproof-disk.fio").unlink()
        left = await host.clean_up()
        assert {str(machine.jobs), str(machine.jobs / "disk"), str(machine.jobs.parent / NAME)} <= set(left)
        (machine.home / "bin" / "rm").unlink()
        assert await host.clean_up() == ()

    run(machine, scenario)
