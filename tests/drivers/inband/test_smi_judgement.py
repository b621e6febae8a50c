"""What nvidia-smi's words mean for a new tray: recorded trays, recorded faults, and one change at a time."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from drivers.inband import ParseError
from drivers.inband.finding import Verdict
from drivers.inband.nvidia_smi import Gpu, parse
from drivers.inband.smi_judgement import Expected, findings

TRAY = Expected(
    gpus=4, slot=14, tray=4, chip_to_chip=True, driver="580.173.02", vbios="97.00.B9.00.69", power_limit=1200
)


def name(kind: str) -> str:
    return f"nvidia-smi-qx-gb200-{kind}.xml"


@pytest.fixture
def tray(recorded: Callable[[str], str]) -> tuple[Gpu, ...]:
    return parse(recorded(name("hw")))


def judged(gpus: tuple[Gpu, ...], expected: Expected = TRAY, before: tuple[Gpu, ...] | None = None) -> list[str]:
    return [f"{each.verdict} {each.unit[9:11]} {each.text}" for each in findings(gpus, expected, before)]


def changed(gpus: tuple[Gpu, ...], **parts: object) -> tuple[Gpu, ...]:
    """The tray with some fields of some parts of its second accelerator changed."""
    one = gpus[1]
    for part, value in parts.items():
        new = replace(getattr(one, part), **value) if isinstance(value, dict) else value
        one = replace(one, **{part: new})  # type: ignore[arg-type]
    return (gpus[0], one, *gpus[2:])


def test_a_healthy_tray_has_no_findings(tray: tuple[Gpu, ...]) -> None:
    assert judged(tray) == []
    assert judged(tray, before=tray) == []


@pytest.mark.parametrize(
    ("part", "value", "word"),
    [
        ("lost", True, "fail"),
        ("recovery", "Reset", "fail"),
        ("ecc_enabled", False, "error"),
        ("ecc_enabled", None, "error"),
        ("chip_to_chip", False, "fail"),
        ("chip_to_chip", None, "error"),
        ("driver", "570.1", "error"),
        ("vbios", "", "error"),
        ("ecc", {"uncorrected": 1}, "fail"),
        ("ecc", {"uncorrected": None}, "error"),
        ("ecc", {"lifetime_uncorrected": 1}, "fail"),
        ("ecc", {"lifetime_uncorrected": None}, "error"),
        ("ecc", {"corrected": 3}, "warn"),
        ("ecc", {"sram_corrected": 10_001}, "fail"),
        ("ecc", {"threshold_exceeded": True}, "fail"),
        ("ecc", {"channel_repair_pending": True}, "fail"),
        ("ecc", {"tpc_repair_pending": True}, "fail"),
        ("ecc", {"unrepairable": True}, "fail"),
        ("ecc", {"unrepairable": None}, "warn"),
        ("rows", {"uncorrected": 1}, "fail"),
        ("rows", {"corrected": 1}, "warn"),
        ("rows", {"pending": True}, "fail"),
        ("rows", {"pending": None}, "error"),
        ("rows", {"failed": True}, "fail"),
        ("rows", {"exhausted": 1}, "fail"),
        ("thermal", {"margin": 4.0}, "fail"),
        ("thermal", {"margin": None}, "error"),
        ("thermal", {"temperature": None}, "error"),
        ("power_state", {"limit": 1000.0}, "error"),
        ("power_state", {"limit": None}, "error"),
        ("power_state", {"draw": None}, "error"),
        ("fabric", {"state": "In Progress"}, "error"),
        ("fabric", {"state": "Not Supported"}, "fail"),
        ("fabric", {"state": ""}, "error"),
        ("fabric", {"status": "Insufficient Resources"}, "fail"),
        ("fabric", {"health": "Limited Capacity"}, "fail"),
        ("fabric", {"health": ""}, "error"),
        ("fabric", {"bandwidth": "Degraded"}, "fail"),
        ("fabric", {"route_unhealthy": True}, "fail"),
        ("fabric", {"route_unhealthy": None}, "error"),
        ("fabric", {"route_recovery": True}, "fail"),
        ("fabric", {"access_timeout": True}, "fail"),
        ("fabric", {"misconfigured": "Incorrect SysGUID"}, "fail"),
    ],
)
def test_one_change(tray: tuple[Gpu, ...], part: str, value: object, word: str) -> None:
    told = judged(changed(tray, **{part: value}))
    assert len(told) == 1
    assert told[0].startswith(f"{word} 3F ")


def test_the_wrong_place_is_a_failure(tray: tuple[Gpu, ...]) -> None:
    assert len(judged(tray, replace(TRAY, slot=15))) == 4
    assert all(each.startswith("fail") for each in judged(tray, replace(TRAY, tray=5)))
    unsaid = changed(tray, platform={"slot": None})
    assert [each.split()[0] for each in judged(unsaid)] == ["fail", "error"]
    assert judged(changed(tray, platform={"module": 4}))[0].startswith("fail")


def test_the_wrong_number_is_a_failure(tray: tuple[Gpu, ...]) -> None:
    assert judged(tray[:3]) == ["fail  3 accelerators answer where 4 belong"]
    assert judged(()) == ["fail  0 accelerators answer where 4 belong"]


def test_a_fabric_without_identity_or_another_one_is_a_failure(tray: tuple[Gpu, ...]) -> None:
    none = tuple(
        replace(gpu, fabric=replace(gpu.fabric, cluster="00000000-0000-0000-0000-000000000000")) for gpu in tray
    )
    assert [each.split()[0] for each in judged(none)] == ["fail"] * 4
    assert judged(changed(tray, fabric={"clique": 3}))[0].startswith("fail")
    other = replace(TRAY, cluster="00000001-0000-0000-0000-00000000000F")
    assert [each.split()[0] for each in judged(tray, other)] == ["fail"] * 4


def test_only_new_slowdowns_count(tray: tuple[Gpu, ...]) -> None:
    later = changed(tray, slowdowns={"hardware_thermal": 1500.0})
    assert judged(later) == []
    assert judged(later, before=tray) == ["fail 3F hardware thermal slowdown for 1.5 ms since the earlier reading"]
    assert judged(changed(tray, slowdowns={"power_cap": 1e9}), before=tray) == []
    assert judged(tray, before=later)[0].startswith("error 3F hardware thermal slowdown: the counter fell")


def test_slowdowns_without_two_readings_cannot_be_judged(tray: tuple[Gpu, ...]) -> None:
    unread = changed(tray, slowdowns={"power_brake": None})
    assert [each.split()[0] for each in judged(unread, before=tray)] == ["error"]
    assert [each.split()[0] for each in judged(tray, before=unread)] == ["error"]
    assert [each.split()[0] for each in judged(tray, before=tray[:3])] == ["error"]
    assert [each.split()[0] for each in judged(tray[:3], before=tray)] == ["fail", "error"]


def test_recorded_faults_are_failures(recorded: Callable[[str], str]) -> None:
    mock = Expected(gpus=2, slot=21, tray=11, chip_to_chip=True)

    def failures(kind: str) -> list[tuple[str, str]]:
        found = findings(parse(recorded(name(kind))), mock)
        return [(each.unit[-7:-5], each.text) for each in found if each.verdict is Verdict.FAIL]

    ecc = [
        ("0A", "5 uncorrected memory errors since the driver was loaded"),
        ("0A", "8 uncorrected memory errors in its life"),
        ("0A", "1 rows remapped for uncorrected errors"),
        ("0A", "a row remapping has failed"),
    ]
    assert failures("mock-ecc-injected") == ecc
    assert failures("mock-fabric-degraded") == [
        ("0B", "its NVLink fabric is Unhealthy"),
        ("0B", "NVLink fabric: a route is unhealthy"),
    ]
    lost = failures("mock-lost")
    assert lost[:4] == ecc
    assert [unit for unit, _ in lost[4:]] == ["0B"]
    assert failures("mock-healthy") == []


def test_a_recorded_power_cap_is_no_failure(recorded: Callable[[str], str]) -> None:
    """The mock's fault is 39.6 ms of sw_power_cap alone, which is normal at full load."""
    capped = parse(recorded(name("mock-throttle-counters")))
    found = findings(capped, Expected(gpus=2), before=capped)
    assert {each.verdict for each in found} == {Verdict.WARN}
    assert len(found) == 2


def test_a_mock_that_says_less_is_not_taken_for_healthy(recorded: Callable[[str], str]) -> None:
    """It prints N/A for the fabric's health and the slowdown counters: nothing failed, but not all was measured."""
    found = findings(parse(recorded(name("mock-healthy"))), Expected(gpus=2))
    errors = [each.text for each in found if each.verdict is Verdict.ERROR]
    assert errors == ["nvidia-smi does not say: fabric health, fabric bandwidth, fabric route_unhealthy"] * 2
    without = findings(parse(recorded(name("mock-healthy"))), Expected(gpus=2, fabric=False))
    assert {each.verdict for each in without} == {Verdict.WARN}


def test_spoilt_recordings_are_judged_without_raising(
    recorded: Callable[[str], str], mutations: Callable[[str, int, int], Iterator[str]]
) -> None:
    whole = parse(recorded(name("mock-throttle-counters")))
    for text in mutations(recorded(name("mock-throttle-counters")), 7, 140):
        with contextlib.suppress(ParseError):
            findings(parse(text), TRAY, whole)
