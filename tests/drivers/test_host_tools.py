"""The host's driver without a host: its options, loads as commands, outputs as outcomes, states of jobs."""

from __future__ import annotations

import asyncio
import math
from datetime import UTC, datetime

import asyncssh
import pytest

from drivers.host import connect
from drivers.host.record import job_state
from drivers.host.tools import Spec, command, outcomes
from harness.capabilities import Accelerators, EventLog, Identity, Telemetry
from harness.connection import Connection, Driver, Secret
from harness.errors import DefinitionError, Unreachable
from harness.workload import JobState, Load, Workload

PUBLIC = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode().strip()


def at(address: str, **options: str | float) -> Connection:
    return Connection(
        "h",
        address,
        user="u",
        secrets={"password": Secret("p", "x")},
        options={"host_key": PUBLIC, **options},
        now=lambda: datetime(2026, 11, 2, tzinfo=UTC),
    )


def burn(name: str = "burn", seconds: float = 60, limit: float = 90) -> Load:
    return Load(name, "accelerator", "gpu-burn", seconds, limit)


def test_commands() -> None:
    addresses = {"nic-0": "10.0.0.1"}
    assert command(burn(), addresses) == ("gpu_burn", "60")
    assert command(Load("x", "accelerator", "gpu-burn", 0.5, 9, 0.5), {}) == ("gpu_burn", "-m", "50%", "1")
    assert command(Load("x", "network", "iperf3", 5, 9, 1, "nic-0"), addresses) == (
        "iperf3", "-s", "-1", "-B", "10.0.0.1",
    )  # fmt: skip
    assert command(Load("x", "network", "iperf3", 5, 9, 1, "nic-0", "10.0.0.2"), addresses) == (
        "iperf3", "-c", "10.0.0.2", "--bidir", "-t", "5", "-J", "-B", "10.0.0.1",
    )  # fmt: skip


@pytest.mark.parametrize(
    "load",
    [
        Load("x", "network", "iperf3", 5, 9, 1, "nic-7"),
        Load("x", "network", "rm", 5, 9),
        Load("x", "accelerator", "gpu-burn", 10, 9),
        Load("x", "accelerator", "gpu-burn", math.nan, 9),
        Load("x", "accelerator", "gpu-burn", 5, math.inf),
        Load("x", "accelerator", "gpu-burn", 5, 9, 0),
    ],
)
def test_loads_without_sense_are_refused(load: Load) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        command(load, {"nic-0": "10.0.0.1"})


def test_a_specification_survives_the_host() -> None:
    spec = Spec.of(Load("x", "network", "iperf3", 5, 9, 1, "nic-0", "10.0.0.2"))
    assert Spec.read(spec.text) == spec
    for broken in ("", "{", "[]", "{}", "null"):
        assert Spec.read(broken) is None


def test_a_server_counts_both_ways() -> None:
    spec = Spec.of(Load("x", "network", "iperf3", 5, 9, 1, "nic-0"))
    text = "[  5][TX-S]   0.00-2.00   sec  1.00 KBytes  4 Kbits/sec    0   sender\n"
    assert outcomes(spec, text, done=True)[0].work == 1024
    assert outcomes(spec, text, done=False) == ()


@pytest.mark.parametrize(
    ("facts", "state"),
    [
        ({"boot": "same", "alive": "yes", "rc": ""}, JobState.RUNNING),
        ({"boot": "same", "alive": "no", "rc": "0"}, JobState.DONE),
        ({"boot": "changed", "alive": "no", "rc": "0"}, JobState.DONE),
        ({"boot": "same", "alive": "no", "rc": ""}, JobState.LOST),
        ({"boot": "changed", "alive": "yes", "rc": ""}, JobState.LOST),
        ({"boot": "same", "alive": "no", "rc": "zero"}, JobState.LOST),
        ({"boot": "same", "alive": "no", "rc": "143", "ended": "lease"}, JobState.LOST),
        ({"boot": "same", "alive": "no", "rc": "143", "stopped": "yes"}, JobState.STOPPED),
        ({"boot": "same", "alive": "yes", "rc": "", "stopped": "yes"}, JobState.RUNNING),
        ({"boot": "same", "rc": ""}, JobState.RUNNING),
        ({}, JobState.LOST),
    ],
)
def test_states(facts: dict[str, str], state: JobState) -> None:
    assert job_state(facts) is state


def test_it_has_the_capabilities_of_a_host() -> None:
    host = connect(at("ssh://127.0.0.1"))
    kinds: tuple[type, ...] = (Driver, Identity, Accelerators, EventLog, Telemetry, Workload)
    assert all(isinstance(host, kind) for kind in kinds)
    assert host.lease == 30.0


def test_a_host_that_does_not_answer() -> None:
    async def scenario() -> None:
        host = connect(at("ssh://127.0.0.1:1"))
        with pytest.raises(Unreachable, match="no connection"):
            await host.open()
        await host.close()

    asyncio.run(scenario())


@pytest.mark.parametrize("options", [{"colour": "red"}, {"lease": 0}, {"lease": "long"}])
def test_unknown_options_are_refused_untouched(options: dict[str, str | float]) -> None:
    with pytest.raises(DefinitionError, match="h:"):
        connect(at("ssh://127.0.0.1", **options))
