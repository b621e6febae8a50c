"""Real tools that fail, run by our driver behind Debian's OpenSSH server: wrong results, nothing proven, cut short.

The injections: stressapptest's own `--force_errors`; the file of fio overwritten under it; an address space (RLIMIT_AS)
too small for the memory asked for. A wrapper of the tool's name, first on PATH, starts the real one that way.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import shutil
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from drivers.host.node import Host
from harness.workload import Job, JobState, Load
from tests.drivers.host_machine import ended, until
from tests.drivers.openssh import PLACES, RealHost, alive, found, past_the_cache, real_host


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[RealHost]:
    with real_host(tmp_path) as host:
        yield host


def disk(machine: RealHost, seconds: float = 30, limit: float = 60, size: int = 4) -> tuple[Load, Path]:
    """A disk load and the file it works on; skips where fio cannot run here."""
    found("fio")
    data = machine.folder / "data"
    data.mkdir()
    past_the_cache(data)
    load = Load("disk", "disk", "fio", seconds, limit, directory=str(data), size=size)
    return load, data / "rackproof-disk.fio"


def result(machine: RealHost, load: Load, **options: str | float) -> Job:
    """A load from its start to its end, of which nothing is left."""
    jobs: list[Job] = []

    async def scenario(host: Host) -> None:
        await host.start(load)
        jobs.append(await ended(host, load.name))

    machine.run(scenario, **options)
    assert machine.processes() == set()
    return jobs[0]


def test_memory_that_is_wrong(machine: RealHost) -> None:
    machine.wrap("stressapptest", f'exec {found("stressapptest")} "$@" --force_errors')
    job = result(machine, Load("copies", "memory", "stressapptest", 1, 60, size=16))
    assert (job.state, job.exit_code) == (JobState.DONE, 1)
    (outcome,) = job.outcomes
    assert outcome.errors is not None
    assert outcome.errors > 0
    assert "hardware incidents" in outcome.note


def test_a_disk_that_changes_what_was_written(machine: RealHost) -> None:
    load, file = disk(machine)
    over = threading.Event()

    def spoil() -> None:
        """Overwrite the middle of every block, again and again while the load runs; past the cache, too."""
        with mmap.mmap(-1, mmap.PAGESIZE) as page:
            page.write(b"spoilt")
            while not over.wait(0.02):
                with contextlib.suppress(FileNotFoundError):
                    opened = os.open(file, os.O_WRONLY | os.O_DIRECT)
                    for block in range(0, os.fstat(opened).st_size, 128 * 1024):
                        os.pwrite(opened, page, block + 65536)
                    os.close(opened)

    vandal = threading.Thread(target=spoil)
    vandal.start()
    try:
        job = result(machine, load)
    finally:
        over.set()
        vandal.join()
    assert job.state is JobState.DONE
    (outcome,) = job.outcomes
    assert outcome.errors is not None
    assert outcome.errors > 0
    assert "84 (data read is not data written)" in outcome.note
    assert not file.exists()


@pytest.mark.parametrize(
    ("tool", "kibibytes"), [("memtester", 10_240), ("stressapptest", 65_536), ("stress-ng", 65_536)]
)
def test_too_little_memory_proves_nothing(machine: RealHost, tool: str, kibibytes: int) -> None:
    """128 MiB are asked for; a process may have less. memtester tests what it gets, and ends with 0."""
    machine.wrap(tool, f'ulimit -v {kibibytes}; exec {found(tool)} "$@"')
    job = result(machine, Load("memory-test", "memory", tool, 1, 30, size=128))
    assert job.state is JobState.DONE
    (outcome,) = job.outcomes
    assert (outcome.unit, outcome.errors) == ("memory", None)
    assert outcome.note


def test_a_tool_that_is_missing_proves_nothing(machine: RealHost) -> None:
    if shutil.which("nvbandwidth", path=PLACES):
        pytest.skip("nvbandwidth is installed here")
    job = result(machine, Load("copy", "accelerator", "nvbandwidth", 1, 30, units=1))
    assert (job.state, job.exit_code) == (JobState.DONE, 127)
    assert [outcome.errors for outcome in job.outcomes] == [None]
    assert "nvbandwidth" in job.text


def test_a_peer_that_does_not_listen_is_no_pass(machine: RealHost) -> None:
    found("iperf3")
    here, there = machine.addresses
    job = result(machine, Load("client", "network", "iperf3", 1, 30, interface="nic-0", peer=there))
    assert job.state is JobState.DONE
    (outcome,) = job.outcomes
    assert (outcome.unit, outcome.work) == ("nic-0", 0)
    assert outcome.errors != 0
    assert "refused" in outcome.note
    assert here not in outcome.note


def endless_patterns(machine: RealHost) -> Load:
    """A memtester that would take minutes, and has a second."""
    machine.wrap("memtester", f"exec {found('memtester')} 1M 1000")
    return Load("patterns", "memory", "memtester", 1, 1, size=1)


def test_a_load_that_exceeds_its_limit_is_ended_by_the_host(machine: RealHost) -> None:
    job = result(machine, endless_patterns(machine))
    assert (job.state, job.exit_code) == (JobState.DONE, 124)
    (outcome,) = job.outcomes
    assert outcome.errors != 0


def test_memory_is_not_blamed_for_a_limit(machine: RealHost) -> None:
    job = result(machine, endless_patterns(machine))
    assert [outcome.errors for outcome in job.outcomes] == [None]


def test_the_limit_leaves_no_file_of_the_disk_load(machine: RealHost) -> None:
    load, file = disk(machine)
    machine.wrap("fio", f"trap '' TERM; {found('fio')} \"$@\" & wait; wait")
    job = result(machine, Load("disk", "disk", "fio", 2, 2, directory=load.directory, size=4))
    assert job.state is JobState.DONE
    assert [outcome.errors for outcome in job.outcomes] == [None]
    assert not file.exists()


def test_a_load_that_is_stopped_leaves_neither_process_nor_file(machine: RealHost) -> None:
    load, file = disk(machine)
    found("stress-ng")

    async def scenario(host: Host) -> None:
        await host.start(load)
        await host.start(Load("cpu", "cpu", "stress-ng", 60, 90))
        await host.start(Load("vm", "memory", "stress-ng", 60, 90, size=32))

        async def all_work() -> bool:
            return file.exists() and all(map(machine.running, ("fio", "stress-ng-cpu", "stress-ng-vm")))

        await until(all_work)
        running = machine.processes()
        for name in ("disk", "vm", "cpu"):
            job = await host.stop(name)
            assert (job.state, job.outcomes) == (JobState.STOPPED, ())
            assert (await host.job(name)).state is JobState.STOPPED
        assert alive(running) == set()
        assert not file.exists()
        assert {job.state for job in await host.jobs()} == {JobState.STOPPED}

    machine.run(scenario)
    assert machine.processes() == set()


def test_a_load_that_was_killed_from_outside_proves_nothing_and_leaves_no_file(machine: RealHost) -> None:
    """As the kernel does it where memory is short."""
    load, file = disk(machine)

    async def scenario(host: Host) -> None:
        await host.start(load)

        async def works() -> bool:
            return file.exists()

        await until(works)
        for pid in machine.running("fio"):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        job = await ended(host, "disk")
        assert (job.state, job.exit_code) == (JobState.DONE, 137)
        assert [outcome.errors for outcome in job.outcomes] == [None]
        assert not file.exists()

    machine.run(scenario)


def test_a_station_that_dies_leaves_nothing_running(machine: RealHost) -> None:
    load, file = disk(machine)

    async def scenario(host: Host) -> None:
        await host.start(load)

        async def works() -> bool:
            await host.renew()
            return file.exists()

        await until(works)
        running = machine.processes()
        await host.close()

        async def over() -> bool:
            return not alive(running)

        await until(over)
        await host.open()
        job = await host.job("disk")
        assert (job.state, job.outcomes) == (JobState.LOST, ())
        assert "lease" in job.text
        assert not file.exists()

    machine.run(scenario, lease=5)


def test_a_stressor_dies_with_its_parent(machine: RealHost) -> None:
    """Stressors overwrite their environment (setproctitle), by which the host looks for what belongs to a load."""
    found("stress-ng")

    async def scenario(host: Host) -> None:
        await host.start(Load("vm", "memory", "stress-ng", 60, 90, size=32))

        async def works() -> bool:
            return len(machine.running("stress-ng-vm")) == 2

        await until(works)
        everything = machine.processes()
        for pid in set(machine.running("stress-ng")) - set(machine.running("stress-ng-vm")):
            os.kill(pid, signal.SIGKILL)
        job = await ended(host, "vm")
        assert (job.state, job.exit_code) == (JobState.DONE, 137)
        assert [outcome.errors for outcome in job.outcomes] == [None]

        async def gone() -> bool:
            return not alive(everything)

        await until(gone)

    machine.run(scenario)
