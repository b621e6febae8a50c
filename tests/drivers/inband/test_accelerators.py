"""Accelerators in the words of the capability, from the recorded outputs of a GB200 tray."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from drivers.host.accelerators import describe
from drivers.inband import nvidia_smi, nvlink
from harness.capabilities import Accelerator
from harness.quantities import Quality, Unit

NOW = datetime(2026, 11, 22, tzinfo=UTC)
Recorded = Callable[[str], str]


def described(text: str) -> tuple[Accelerator, ...]:
    gpus = nvidia_smi.parse(text)
    seats = {bus: f"accelerator-{number}" for number, bus in enumerate(sorted(gpu.bus for gpu in gpus))}
    return describe(seats, gpus, None, NOW)


def test_a_healthy_tray(recorded: Recorded) -> None:
    found = described(recorded("nvidia-smi-qx-gb200-hw.xml"))
    assert [each.name for each in found] == ["accelerator-0", "accelerator-1", "accelerator-2", "accelerator-3"]
    assert len({each.cluster for each in found}) == 1
    for each in found:
        assert each.problems == ()
        assert each.unclear == ()
        assert each.fabric == "Completed/Success"
        assert (each.pcie_generation, each.pcie_width) == (5, 16)
        assert each.thermal_margin is not None
        assert each.thermal_margin.unit is Unit.KELVIN
        assert each.links_active is None


@pytest.mark.parametrize(
    ("recording", "said"),
    [
        ("nvidia-smi-qx-gb200-mock-ecc-injected.xml", "memory errors"),
        ("nvidia-smi-qx-gb200-mock-fabric-degraded.xml", "fabric"),
        ("nvidia-smi-qx-gb200-mock-lost.xml", "lost"),
    ],
)
def test_what_speaks_against_an_accelerator(recorded: Recorded, recording: str, said: str) -> None:
    problems = [problem for each in described(recorded(recording)) for problem in each.problems]
    assert any(said in problem for problem in problems), problems


def test_one_that_vanished_takes_no_other_place(recorded: Recorded) -> None:
    gpus = nvidia_smi.parse(recorded("nvidia-smi-qx-gb200-hw.xml"))
    first, *others = sorted(gpus, key=lambda gpu: gpu.bus)
    seats = {gpu.bus: f"accelerator-{number}" for number, gpu in enumerate([first, *others])}
    found = describe(seats, others, None, NOW)
    assert found[0].temperature.quality is Quality.BAD
    assert found[0].ecc_uncorrected is None
    assert [each.serial for each in found[1:]] == [gpu.serial for gpu in others]
    assert all(any("3 accelerators answer where 4 belong" in text for text in each.problems) for each in found[1:])


def test_links_are_those_of_the_accelerator(recorded: Recorded) -> None:
    gpus = nvidia_smi.parse(recorded("nvidia-smi-qx-gb200-hw.xml"))
    seats = {gpu.bus: f"accelerator-{number}" for number, gpu in enumerate(gpus)}
    text = "".join(
        f"GPU {number}: {gpu.product} (UUID: {gpu.uuid})\n\t Link 0: 53.125 GB/s\n"
        + ("\t Link 1: <inactive>\n" if number == 2 else "\t Link 1: 50.000 GB/s\n")
        for number, gpu in enumerate(gpus)
    )
    found = describe(seats, gpus, nvlink.parse_status(text), NOW)
    assert [each.links_active for each in found] == [2, 2, 1, 2]
    assert [each.link_speed.number for each in found if each.link_speed] == [50.0, 50.0, 53.125, 50.0]
