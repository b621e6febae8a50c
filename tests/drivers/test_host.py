"""The host's driver over real SSH: its accelerators, its kernel log. Its loads are in host/."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from drivers.host.node import Host
from harness.capabilities import Severity
from harness.errors import Misbehaved, Refused, Unsupported
from harness.quantities import Quality
from tests.drivers.host_machine import GOOD_BURN, NOW, Machine, run, smi


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    made = Machine(tmp_path)
    made.prints("nvidia-smi", smi("00000000:01:00.0", "00000000:02:00.0"))
    made.tool("gpu_burn", GOOD_BURN)
    return made


def test_accelerators_and_telemetry(machine: Machine) -> None:
    async def scenario(host: Host) -> None:
        assert (await host.identify()).firmware
        first, second = await host.accelerators()
        assert (first.name, first.serial, second.name) == ("accelerator-0", "S00000000:01:00.0", "accelerator-1")
        assert (first.temperature.value, first.power.value, first.ecc_uncorrected) == (45.0, 120.0, 0)
        assert (first.ecc_corrected, first.throttled_thermal) == (None, None)
        samples = await host.sample()
        assert [sample.channel for sample in samples] == list(host.channels())
        assert len(samples) == 6
        assert all(sample.reading.quality is Quality.GOOD for sample in samples)

    run(machine, scenario)


def test_an_accelerator_that_falls_off_the_bus_moves_no_other_into_its_place(machine: Machine) -> None:
    async def scenario(host: Host) -> None:
        machine.prints("nvidia-smi", smi("00000000:02:00.0"))
        lost, other = await host.accelerators()
        assert (lost.temperature.quality, lost.ecc_uncorrected) == (Quality.BAD, None)
        assert (other.name, other.serial) == ("accelerator-1", "S00000000:02:00.0")
        bad = {sample.channel.part for sample in await host.sample() if sample.reading.quality is Quality.BAD}
        assert bad == {"accelerator-0"}

    run(machine, scenario)


@pytest.mark.parametrize(("text", "code"), [("garbage", 0), ("", 0), ("Unable to determine the device handle", 255)])
def test_a_tool_that_fails_leaves_no_good_reading(machine: Machine, text: str, code: int) -> None:
    async def scenario(host: Host) -> None:
        machine.prints("nvidia-smi", text, code)
        samples = await host.sample()
        assert len(samples) == 6
        assert all(math.isnan(sample.reading.number) for sample in samples)
        with pytest.raises(Misbehaved, match="nvidia-smi"):
            await host.accelerators()

    run(machine, scenario)


def test_a_host_without_accelerators_opens_and_says_so(machine: Machine) -> None:
    (machine.home / "bin" / "nvidia-smi").unlink()

    async def scenario(host: Host) -> None:
        assert host.channels() == ()
        assert await host.sample() == ()
        with pytest.raises(Unsupported, match="no nvidia-smi"):
            await host.accelerators()

    run(machine, scenario)


def test_the_kernel_log(machine: Machine) -> None:
    message = {"pri": 4, "time": 0.5, "msg": "NVRM: Xid (PCI:0000:0f:00): 79, pid=1, GPU has fallen off the bus."}
    machine.prints("dmesg", json.dumps({"dmesg": [message, message, {"pri": 6, "time": 1.5, "msg": "fine"}]}))

    async def scenario(host: Host) -> None:
        entries = await host.entries()
        assert [entry.severity for entry in entries] == [Severity.CRITICAL, Severity.CRITICAL, Severity.OK]
        assert len({entry.ident for entry in entries}) == 3
        assert all(entry.at <= NOW for entry in entries)
        assert [entry.ident for entry in entries] == [entry.ident for entry in await host.entries()]
        machine.prints("dmesg", '{"dmesg": [')
        with pytest.raises(Misbehaved, match="kernel log"):
            await host.entries()
        machine.tool("dmesg", "echo 'dmesg: read kernel buffer failed: Operation not permitted' >&2; exit 1")
        with pytest.raises(Refused, match="not permitted"):
            await host.entries()

    run(machine, scenario)
