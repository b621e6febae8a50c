"""What loads on a host have done: exit codes lie, and what is not proven by their output is not done."""

from __future__ import annotations

import json

import pytest

from drivers.host.node import Host
from harness.workload import JobState, Load
from tests.drivers.host_machine import ENDLESS_BURN, GOOD_BURN, LINE, Machine, burn, ended, run, until


def test_a_burn_from_start_to_result(machine: Machine) -> None:
    async def scenario(host: Host) -> None:
        assert (await host.start(burn())).name == "burn"
        job = await ended(host, "burn")
        assert (job.state, job.exit_code) == (JobState.DONE, 0)
        assert [(each.unit, each.work, each.errors) for each in job.outcomes] == [
            ("accelerator-0", 50.0, 0),
            ("accelerator-1", 51.0, 0),
        ]

    run(machine, scenario)


@pytest.mark.parametrize(
    ("script", "errors"),
    [
        (GOOD_BURN.replace("GPU 1: OK", "GPU 1: FAULTY"), [0, 1]),
        (f'printf "\\r{LINE}" 100.0 50 51 0', [None, None]),
        (GOOD_BURN.replace("100.0 50 51 0", "100.0 50 -1 0"), [0, None]),
        (GOOD_BURN.replace("100.0 50 51 0", "100.0 50 51 7"), [0, 7]),
        ("echo 'No CUDA devices'", [None]),
        ("exec true", [None]),
    ],
)
def test_exit_code_0_is_no_proof(machine: Machine, script: str, errors: list[int | None]) -> None:
    """What fell short is counted; where nothing was proven there is no count."""
    machine.tool("gpu_burn", script)

    async def scenario(host: Host) -> None:
        await host.start(burn())
        job = await ended(host, "burn")
        assert (job.state, job.exit_code) == (JobState.DONE, 0)
        assert [each.errors for each in job.outcomes] == errors

    run(machine, scenario)


def test_a_running_burn_shows_what_it_did_so_far(machine: Machine) -> None:
    machine.tool("gpu_burn", ENDLESS_BURN)

    async def scenario(host: Host) -> None:
        await host.start(burn())

        async def shown() -> bool:
            return bool((await host.job("burn")).outcomes)

        await until(shown)
        job = await host.job("burn")
        assert job.state is JobState.RUNNING
        assert [each.work for each in job.outcomes] == [5.0, 6.0]

    run(machine, scenario)


def test_a_tool_that_is_not_installed_and_a_load_that_was_never_started(machine: Machine) -> None:
    (machine.home / "bin" / "gpu_burn").unlink()

    async def scenario(host: Host) -> None:
        for job in (await host.job("burn"), await host.stop("burn")):
            assert (job.state, job.outcomes) == (JobState.LOST, ())
        await host.start(burn())
        job = await ended(host, "burn")
        assert (job.state, job.exit_code) == (JobState.DONE, 127)
        assert [each.errors for each in job.outcomes] == [None]

    run(machine, scenario)


def test_a_long_output_is_read_from_its_end(machine: Machine) -> None:
    filler = "i=0; while [ $i -lt 3000 ]; do echo 'Results are 33554432 bytes each'; i=$((i+1)); done"
    machine.tool("gpu_burn", filler + GOOD_BURN)

    async def scenario(host: Host) -> None:
        await host.start(burn())
        job = await ended(host, "burn")
        assert [each.work for each in job.outcomes] == [50.0, 51.0]
        assert len(job.text) <= 2000

    run(machine, scenario)


TRANSFER = json.dumps(
    {
        "end": {
            "sum_received": {"seconds": 60, "bytes": 1000},
            "sum_received_bidir_reverse": {"seconds": 60, "bytes": 900},
        }
    }
)


@pytest.mark.parametrize(
    ("text", "work", "errors"),
    [(TRANSFER, 1900, 0), ('{"error": "unable to connect"}', 0, 1), (TRANSFER[:-3], 0, None), ("", 0, None)],
)
def test_network_loads(machine: Machine, text: str, work: float, errors: int | None) -> None:
    machine.prints("iperf3", text)

    async def scenario(host: Host) -> None:
        await host.start(Load("net", "network", "iperf3", 60, 90, 0.9, "nic-0", "127.0.0.2"))
        job = await ended(host, "net")
        assert (job.state, job.exit_code) == (JobState.DONE, 0)
        assert [(each.unit, each.work, each.errors) for each in job.outcomes] == [("nic-0", work, errors)]

    run(machine, scenario)
