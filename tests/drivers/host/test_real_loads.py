"""The load tools themselves, run by our driver behind Debian's OpenSSH server: each does some seconds of real work."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from drivers.host.node import Host
from drivers.transports.ssh import SshTarget, SshWire
from harness.quantities import Unit
from harness.workload import Job, JobState, Load
from tests.drivers.host_machine import ended, until
from tests.drivers.openssh import RealHost, alive, found, past_the_cache, real_host

MEBI = 2**20
IPERF3 = 5201


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[RealHost]:
    with real_host(tmp_path) as host:
        yield host


def loads(host: RealHost) -> dict[str, Load]:
    """One of each kind, seconds long and small: the machine under the tests has other things to do."""
    server, _ = host.addresses
    data = host.folder / "data"
    data.mkdir(exist_ok=True)
    each = (
        Load("cpu", "cpu", "stress-ng", 2, 60),
        Load("vm", "memory", "stress-ng", 2, 60, size=32),
        Load("copies", "memory", "stressapptest", 2, 60, size=32),
        Load("patterns", "memory", "memtester", 2, 60, size=1),
        Load("disk", "disk", "fio", 5, 60, directory=str(data), size=4),
        Load("server", "network", "iperf3", 2, 60, interface="nic-0"),
        Load("client", "network", "iperf3", 2, 60, interface="nic-1", peer=server),
    )
    return {load.name: load for load in each}


def needed(load: Load, folder: Path) -> None:
    """Skip where a load cannot run here."""
    found(load.tool)
    if load.kind == "disk":
        past_the_cache(folder)


def is_there(load: Load, folder: Path) -> bool:
    try:
        needed(load, folder)
    except pytest.skip.Exception:
        return False
    return True


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Job]]:
    """What became of all loads that can run here, run at the same time."""
    with real_host(tmp_path_factory.mktemp("host")) as machine:
        jobs: dict[str, Job] = {}

        async def scenario(host: Host) -> None:
            possible = [load for load in loads(machine).values() if is_there(load, machine.folder)]
            first = [load for load in possible if load.name != "client"]
            begun = await asyncio.gather(*(host.start(load) for load in first))
            assert all(job.state in (JobState.RUNNING, JobState.DONE) for job in begun)
            for load in possible:
                if load.name == "client":
                    await until(server_listens)
                    await host.start(load)
            jobs.update({load.name: await ended(host, load.name) for load in possible})
            assert sorted(jobs) == [job.name for job in await host.jobs()]

        async def server_listens() -> bool:
            return machine.listens(machine.addresses[0], IPERF3)

        machine.run(scenario)
        assert machine.processes() == set()
        assert list((machine.folder / "data").iterdir()) == [], "the disk load leaves no file"
        yield jobs


WORK = {
    "cpu": ("cpu", 1),
    "vm": ("memory", 1),
    "copies": ("memory", 32),
    "patterns": ("memory", MEBI),
    "disk": ("disk", MEBI),
    "server": ("nic-0", MEBI),
    "client": ("nic-1", MEBI),
}
"""Whom each load is about, and the least that it does, in the tool's own unit."""
FIGURES: dict[str, dict[str, tuple[Unit, float, float]]] = {
    "cpu": {"cpu.rate": (Unit.PER_SECOND, 1, 1e8)},
    "copies": {"memory.bandwidth": (Unit.GIGABYTE_PER_SECOND, 0.01, 1000)},
    "disk": {
        "disk.read": (Unit.GIGABYTE_PER_SECOND, 1e-6, 100),
        "disk.write": (Unit.GIGABYTE_PER_SECOND, 1e-6, 100),
    },
}
"""The figures that it states at least: unit, and between what they are plausible."""


@pytest.mark.parametrize("name", sorted(WORK))
def test_a_real_load(done: dict[str, Job], tmp_path: Path, name: str) -> None:
    if name not in done:
        needed(loads(RealHost(tmp_path, 0, ""))[name], tmp_path)
    job, (unit, least) = done[name], WORK[name]
    assert (job.state, job.exit_code) == (JobState.DONE, 0), job.text
    (outcome,) = job.outcomes
    assert (outcome.unit, outcome.errors, outcome.note) == (unit, 0, "")
    assert outcome.work >= least
    figures = {figure.name: figure for figure in outcome.figures}
    for label, (measured_in, low, high) in FIGURES.get(name, {}).items():
        assert figures[label].unit is measured_in
        assert low < figures[label].value < high


def test_both_ends_of_the_network_saw_the_same_traffic(done: dict[str, Job]) -> None:
    found("iperf3")
    (server,), (client,) = done["server"].outcomes, done["client"].outcomes
    assert server.work == pytest.approx(client.work, rel=0.1)


def test_a_login_without_a_terminal_still_finds_the_tools_of_the_administrator(machine: RealHost) -> None:
    found("memtester")
    raw = SshWire(SshTarget.of(machine.connection()))

    async def scenario(host: Host) -> None:
        await raw.open()
        try:
            assert (await raw.run("echo $PATH $HOME")).out.split() == [
                f"{machine.home}/bin:/usr/bin:/bin",
                str(machine.home),
            ]
        finally:
            await raw.close()
        await host.start(loads(machine)["patterns"])
        job = await ended(host, "patterns")
        assert (job.state, job.exit_code) == (JobState.DONE, 0), job.text

    machine.run(scenario)


def test_a_second_station_finds_a_load_that_runs_and_cleans_up_behind_both(machine: RealHost) -> None:
    tool, go = found("stress-ng"), machine.folder / "go"
    machine.wrap("stress-ng", f'while [ ! -e {go} ]; do sleep 0.1; done; exec {tool} "$@"')
    (machine.home / "mine").write_text("of the account's owner")
    before = sorted(each.relative_to(machine.home) for each in machine.home.rglob("*"))

    async def scenario(host: Host) -> None:
        load = loads(machine)["cpu"]
        await host.start_once(load)
        await host.close()  # the station dies
        again = machine.driver()
        try:
            await again.open()
            assert (await again.job("cpu")).state is JobState.RUNNING
            assert (await again.start_once(load)).state is JobState.RUNNING
            go.touch()
            job = await ended(again, "cpu")
            assert (job.state, job.exit_code, job.outcomes[0].errors) == (JobState.DONE, 0, 0)
            assert "dispatching hogs" in (await again.output("cpu", 0)).octets.decode()
            await again.start(Load("left", "cpu", "stress-ng", 60, 90))
            await until(works)
            left = machine.processes()
            assert await again.clean_up() == ()
            assert alive(left) == set()
        finally:
            await again.close()

    async def works() -> bool:
        return len(machine.processes()) > 4

    machine.run(scenario)
    assert sorted(each.relative_to(machine.home) for each in machine.home.rglob("*")) == before
