"""Loads as transient units of systemd: the record is ours all the same, and nothing leaves a unit.

PID 1 is systemd on hosts and hardly ever where tests run, so that service_manager.py stands in for it; the tests that
need no more than a host run against the real one as well, where it is.
"""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from drivers.host.node import Host
from harness.workload import JobState
from tests.drivers.host_machine import ENDLESS_BURN, GOOD_BURN, Machine, burn, ended, run, until, until_started

STAND_IN = Path(__file__).with_name("service_manager.py")
HARD = "setsid env -i /bin/sh -c 'trap \"\" TERM; while :; do /bin/sleep 0.1; done # MARK' &\n"
"""Leaves its session and its environment behind, and takes no hint."""


def units(machine: Machine) -> Path:
    return machine.home.parent / f"{machine.home.name}-units"


@pytest.fixture
def booted(machine: Machine) -> Iterator[Machine]:
    """A host whose service manager is the stand-in."""
    folder = units(machine)
    folder.mkdir()
    (folder / "state").write_text("running\n")
    for tool in ("systemd-run", "systemctl"):
        machine.tool(tool, f'exec {shlex.join([sys.executable, "-ISE", str(STAND_IN), str(folder), tool])} "$@"')
    yield machine
    assert [path.name for path in folder.iterdir() if path.is_dir()] == []


@pytest.fixture(params=["stand-in", "systemd"])
def managed(request: pytest.FixtureRequest) -> Machine:
    """A host with a service manager: the stand-in, and the real one where the tests run under it as root."""
    if request.param == "stand-in":
        booted: Machine = request.getfixturevalue("booted")
        return booted
    if not Path("/run/systemd/system").is_dir() or os.geteuid() != 0 or shutil.which("systemd-run") is None:
        pytest.skip("PID 1 is not systemd here (sd_booted(3)), or this is not root: no real transient units")
    machine: Machine = request.getfixturevalue("machine")
    (machine.home / "bin" / "systemctl").unlink()
    return machine


def asked(machine: Machine) -> list[dict[str, Any]]:
    """The units that were asked for."""
    log = units(machine) / "log"
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


def marked(mark: str) -> list[int]:
    """The processes whose command line holds this, whatever their environment says."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if mark.encode() in file.read_bytes():
                found.append(int(file.parent.name))
        except OSError:
            continue
    return found


def test_a_load_is_a_unit_of_its_own_name(booted: Machine) -> None:
    booted.tool("gpu_burn", f"ulimit -l >{booted.home}/locked; {GOOD_BURN}")

    async def scenario(host: Host) -> None:
        await host.start(burn(limit=90))
        job = await ended(host, "burn")
        assert (job.state, job.exit_code) == (JobState.DONE, 0)
        assert [each.work for each in job.outcomes] == [50.0, 51.0]
        assert (await host.output("burn")).octets.endswith(b"GPU 1: OK\n")

    run(booted, scenario)
    (unit,) = asked(booted)
    assert unit["options"].keys() == {"--quiet", "--collect", "--unit", "--system"}
    assert unit["options"]["--unit"] == "rackproof-load-burn.service"
    assert unit["properties"] == {
        "Type": "exec",
        "RuntimeMaxSec": "120",
        "TimeoutStopSec": "2",
        "KillMode": "control-group",
        "OOMPolicy": "continue",
        "LimitMEMLOCK": "infinity",
    }


def test_stopping_leaves_nothing_of_a_unit(managed: Machine) -> None:
    mark = f"{managed.home.name}-hard"
    managed.tool("gpu_burn", HARD.replace("MARK", mark) + ENDLESS_BURN)

    async def scenario(host: Host) -> None:
        for stop in (lambda: host.stop("burn"), host.stop_all, host.clean_up):
            await host.start(burn())

            async def runs() -> bool:
                return bool(marked(mark))

            await until(runs)
            assert (await host.job("burn")).state is JobState.RUNNING
            await stop()
            assert marked(mark) == []
            assert (await host.job("burn")).state in (JobState.STOPPED, JobState.LOST)

    run(managed, scenario)


def test_what_a_load_leaves_behind_goes_with_its_unit(managed: Machine) -> None:
    mark = f"{managed.home.name}-left"
    managed.tool("gpu_burn", HARD.replace("MARK", mark) + GOOD_BURN)

    async def scenario(host: Host) -> None:
        await host.start(burn())
        assert (await ended(host, "burn")).state is JobState.DONE

        async def gone() -> bool:
            return not marked(mark)

        await until(gone)

    run(managed, scenario)


def test_one_unit_whoever_starts_it(managed: Machine) -> None:
    managed.tool("gpu_burn", f"echo x >>{managed.home}/starts; {ENDLESS_BURN}")

    async def scenario(host: Host) -> None:
        await asyncio.gather(*(host.start_once(burn()) for _ in range(3)))
        await host.close()
        again = managed.driver()
        await again.open()
        try:
            assert (await again.start(burn())).state is JobState.RUNNING
        finally:
            await again.close()
        await host.open()
        await until_started(managed.home / "starts")
        assert (managed.home / "starts").read_text() == "x\n"

    run(managed, scenario)


def test_a_lease_ends_a_unit_too(managed: Machine) -> None:
    managed.tool("gpu_burn", ENDLESS_BURN)

    async def scenario(host: Host) -> None:
        await host.start(burn())
        job = await ended(host, "burn")
        assert job.state is JobState.LOST
        assert "lease" in job.text
        assert managed.processes() == []

    run(managed, scenario, lease=1)


def test_a_unit_whose_main_process_is_shot_is_lost_whole(managed: Machine) -> None:
    managed.tool("gpu_burn", ENDLESS_BURN)

    async def scenario(host: Host) -> None:
        await host.start(burn())
        os.kill(min(managed.processes()), signal.SIGKILL)
        job = await ended(host, "burn")
        assert (job.state, job.exit_code) == (JobState.LOST, None)

    run(managed, scenario)


def test_a_unit_without_its_record_makes_room_for_a_new_start(booted: Machine) -> None:
    mark = f"{booted.home.name}-orphan"
    booted.tool("gpu_burn", HARD.replace("MARK", mark) + ENDLESS_BURN)

    async def scenario(host: Host) -> None:
        await host.start(burn())

        async def runs() -> bool:
            return bool(marked(mark))

        await until(runs)
        old = set(marked(mark))
        (booted.jobs / "burn").rename(booted.home / "elsewhere")
        await host.start(burn())
        await until(runs)
        assert not old & set(marked(mark))
        assert len(asked(booted)) == 2
        shutil.rmtree(booted.home / "elsewhere")

    run(booted, scenario)


@pytest.mark.parametrize("state", ["offline", "unknown", "stopping", ""])
def test_where_no_service_manager_runs_a_session_does(booted: Machine, state: str) -> None:
    (units(booted) / "state").write_text(state)

    async def scenario(host: Host) -> None:
        await host.start(burn())
        assert (await ended(host, "burn")).state is JobState.DONE

    run(booted, scenario)
    assert asked(booted) == []


@pytest.mark.parametrize(
    "tool",
    ["echo 'Failed to connect to bus' >&2; exit 1", "echo 'unrecognized option --collect' >&2; exit 1", "exec false"],
)
def test_a_service_manager_that_refuses_is_done_without(booted: Machine, tool: str) -> None:
    booted.tool("systemd-run", tool)
    booted.tool("gpu_burn", f"echo x >>{booted.home}/starts; {GOOD_BURN}")

    async def scenario(host: Host) -> None:
        await host.start(burn())
        assert (await ended(host, "burn")).state is JobState.DONE

    run(booted, scenario)
    assert (booted.home / "starts").read_text() == "x\n"


def test_a_service_manager_that_refuses_too_late_starts_nothing_twice(booted: Machine) -> None:
    """It says no, and does it: only the first of both begins."""
    command = shlex.join([sys.executable, "-ISE", str(STAND_IN), str(units(booted)), "systemd-run"])
    booted.tool("systemd-run", f'{command} "$@"; exit 1')
    booted.tool("gpu_burn", f"echo x >>{booted.home}/starts; {ENDLESS_BURN}")

    async def scenario(host: Host) -> None:
        assert (await host.start(burn())).state is JobState.RUNNING
        await until_started(booted.home / "starts")
        assert (await host.stop("burn")).state is JobState.STOPPED
        assert (booted.home / "starts").read_text() == "x\n"

    run(booted, scenario)


def test_a_user_who_does_not_linger_gets_a_session(booted: Machine) -> None:
    """A unit of his own manager would end with his login (loginctl(1), enable-linger)."""
    booted.tool("id", 'case $1 in -u) echo 65533 ;; *) echo "nobody-of-that-name" ;; esac')

    async def scenario(host: Host) -> None:
        await host.start(burn())
        assert (await ended(host, "burn")).state is JobState.DONE

    run(booted, scenario)
    assert asked(booted) == []
