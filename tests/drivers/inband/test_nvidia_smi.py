"""nvidia-smi -q -x: what it does not say is None, and what contradicts itself is refused."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.inband import ParseError
from drivers.inband.nvidia_smi import parse
from drivers.inband.smi_state import Ecc, Fabric, Power, Rows, Slowdowns, Thermal


def gpu(bus: str = "00000000:01:00.0", **words: str) -> str:
    said = {
        "temp": "45 C", "instant": "850.50 W", "average": "N/A", "parity": "0", "secded": "1", "dram": "2",
        "sw": "0 us", "hw": "1500 us", "brake": "500 us",
    } | words  # fmt: skip
    return f"""<gpu id="{bus}">
<product_name>Bench accelerator</product_name><serial>123</serial><uuid>GPU-{bus}</uuid>
<board_part_number>900-2G548-0000</board_part_number><gpu_part_number>N/A</gpu_part_number>
<clocks_event_reasons_counters>
<clocks_event_reasons_counters_sw_therm_slowdown>{said["sw"]}</clocks_event_reasons_counters_sw_therm_slowdown>
<clocks_event_reasons_counters_hw_therm_slowdown>{said["hw"]}</clocks_event_reasons_counters_hw_therm_slowdown>
<clocks_event_reasons_counters_hw_power_brake>{said["brake"]}</clocks_event_reasons_counters_hw_power_brake>
</clocks_event_reasons_counters>
<ecc_errors><volatile><sram_correctable>4</sram_correctable>
<sram_uncorrectable_parity>{said["parity"]}</sram_uncorrectable_parity>
<sram_uncorrectable_secded>{said["secded"]}</sram_uncorrectable_secded>
<dram_correctable>3</dram_correctable><dram_uncorrectable>{said["dram"]}</dram_uncorrectable></volatile></ecc_errors>
<temperature><gpu_temp>{said["temp"]}</gpu_temp></temperature>
<gpu_power_readings><average_power_draw>{said["average"]}</average_power_draw>
<instant_power_draw>{said["instant"]}</instant_power_draw></gpu_power_readings>
</gpu>"""


def log(*gpus: str, attached: str | None = None) -> str:
    head = '<?xml version="1.0" ?>\n<!DOCTYPE nvidia_smi_log SYSTEM "nvsmi_device_v13.dtd">\n<nvidia_smi_log>'
    count = str(len(gpus)) if attached is None else attached
    return f"{head}<attached_gpus>{count}</attached_gpus>{''.join(gpus)}</nvidia_smi_log>\n"


GOOD = log(gpu("00000000:01:00.0"), gpu("00000000:02:00.0"))


def test_a_healthy_accelerator() -> None:
    first = parse(GOOD)[0]
    assert (first.serial, first.part_number) == ("123", "900-2G548-0000")
    assert (first.temperature, first.power) == (45.0, 850.5)
    assert (first.ecc_uncorrected, first.ecc_corrected) == (3, 7)
    assert first.throttled == 2.0
    assert not first.lost


def test_the_average_power_stands_in_for_the_instant() -> None:
    assert parse(log(gpu(instant="N/A", average="700.00 W")))[0].power == 700.0


@pytest.mark.parametrize("word", ["N/A", "GPU is lost", "", "nan C", "inf C", "45 F", "45", "[Unknown Error]", "-"])
def test_no_number_is_none_and_never_zero(word: str) -> None:
    assert parse(log(gpu(temp=word)))[0].temperature is None


def test_a_counter_that_cannot_be_read_hides_no_errors() -> None:
    assert parse(log(gpu(dram="GPU is lost")))[0].ecc_uncorrected is None
    assert parse(log(gpu(dram="N/A", parity="N/A", secded="N/A")))[0].ecc_uncorrected is None
    assert parse(log(gpu(parity="N/A")))[0].ecc_uncorrected == 3
    assert parse(log(gpu(hw="N/A")))[0].throttled is None


def test_a_lost_accelerator_is_told() -> None:
    assert parse(log(gpu(temp="GPU is lost")))[0].lost


def test_no_accelerators() -> None:
    assert parse(log()) == ()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "No devices were found\n",
        GOOD[:-20],
        "<html/>",
        log(gpu(), attached="2"),
        log(gpu(), attached=""),
        log(gpu(), gpu()),
        log(gpu("")),
        log(gpu().replace("<gpu_temp>", "<gpu_temp>40 C</gpu_temp><gpu_temp>")),
        '<!DOCTYPE x [<!ENTITY a "b">]><nvidia_smi_log><attached_gpus>0</attached_gpus></nvidia_smi_log>',
    ],
)
def test_what_is_cut_off_or_contradicts_itself_is_refused(text: str) -> None:
    with pytest.raises(ParseError):
        parse(text)


@given(st.integers(min_value=0, max_value=len(GOOD.rstrip()) - 1))
@settings(max_examples=200)
def test_cut_off_anywhere_is_refused(length: int) -> None:
    with pytest.raises(ParseError):
        parse(GOOD[:length])


@given(st.integers(min_value=0, max_value=len(GOOD) - 1), st.characters())
@settings(max_examples=300)
def test_one_changed_character_never_raises_anything_else(place: int, character: str) -> None:
    with contextlib.suppress(ParseError):
        parse(GOOD[:place] + character + GOOD[place + 1 :])


def smi(name: str) -> str:
    return f"nvidia-smi-qx-gb200-{name}.xml"


def test_nothing_is_declared_that_could_be_expanded() -> None:
    head, rest = GOOD.split("<nvidia_smi_log>", 1)
    for bomb in (
        '<!DOCTYPE nvidia_smi_log [<!ENTITY a "aaaa">]>',
        '<!DOCTYPE nvidia_smi_log [<!ENTITY % a SYSTEM "file:///etc/hostname">]>',
        '<!DOCTYPE nvidia_smi_log [<!ATTLIST gpu id CDATA "00000000:01:00.0">]>',
        f'{head.splitlines()[1]}<!DOCTYPE nvidia_smi_log [<!ENTITY a "b">]>',
        "<![CDATA[x]]>",
    ):
        with pytest.raises(ParseError):
            parse(f'<?xml version="1.0" ?>{bomb}<nvidia_smi_log>{rest}')
    with pytest.raises(ParseError):
        parse(GOOD.replace("<serial>123", "<serial>&a;"))
    with pytest.raises(ParseError):
        parse(GOOD + " " * 5 * 2**20 + "<!-- -->")


def test_a_counter_that_is_not_printed_hides_no_errors() -> None:
    dram = "<dram_uncorrectable>2</dram_uncorrectable>"
    parity = "<sram_uncorrectable_parity>0</sram_uncorrectable_parity>"
    for lost in (dram, parity):
        assert lost in gpu()
        assert parse(log(gpu().replace(lost, "")))[0].ecc_uncorrected is None


def test_older_families_tell_their_limits_in_degrees() -> None:
    older = gpu().replace(
        "<gpu_temp>45 C</gpu_temp>",
        "<gpu_temp>45 C</gpu_temp><gpu_temp_slow_threshold>87 C</gpu_temp_slow_threshold>",
    )
    assert parse(log(older))[0].thermal.margin == 42.0


def test_a_recorded_tray(recorded: Callable[[str], str]) -> None:
    gpus = parse(recorded(smi("hw")))
    assert [gpu.bus for gpu in gpus] == [
        "00000000:29:00.0", "00000000:3F:00.0", "00000000:9C:00.0", "00000000:B2:00.0",
    ]  # fmt: skip
    assert [gpu.serial for gpu in gpus] == ["1650000000001", "1650000000001", "1650000000002", "1650000000002"]
    assert {(gpu.product, gpu.part_number) for gpu in gpus} == {("NVIDIA GB200", "900-2G548-A801-000")}
    assert {(gpu.driver, gpu.vbios) for gpu in gpus} == {("580.173.02", "97.00.B9.00.69")}
    assert [gpu.minor for gpu in gpus] == [0, 1, 2, 3]
    assert [gpu.temperature for gpu in gpus] == [27.0, 28.0, 27.0, 26.0]
    assert [gpu.power for gpu in gpus] == [165.93, 168.57, 156.48, 171.61]
    assert [gpu.ecc_uncorrected for gpu in gpus] == [0, 0, 0, 0]
    assert [gpu.ecc_corrected for gpu in gpus] == [0, 0, 0, 0]
    assert gpus[1].throttled == pytest.approx(3360.324)
    assert {gpu.recovery for gpu in gpus} == {"None"}
    assert {(gpu.chip_to_chip, gpu.persistence, gpu.ecc_enabled, gpu.lost) for gpu in gpus} == {
        (True, True, True, False)
    }


def test_the_place_of_a_recorded_tray(recorded: Callable[[str], str]) -> None:
    places = [gpu.platform for gpu in parse(recorded(smi("hw")))]
    assert {(each.chassis, each.slot, each.tray, each.host, each.peer) for each in places} == {
        ("1820000000001", 14, 4, 1, "Switch Connected")
    }
    assert [each.module for each in places] == [2, 1, 4, 3]


def test_the_parts_of_a_recorded_accelerator(recorded: Callable[[str], str]) -> None:
    one = parse(recorded(smi("hw")))[2]
    assert one.ecc == Ecc(0, 0, 0, 0, 0, False, False, False, False)
    assert one.rows == Rows(corrected=0, uncorrected=0, pending=False, failed=False, exhausted=0)
    assert one.slowdowns == Slowdowns(7337828, 7319467, 0, 0)
    assert one.thermal == Thermal(temperature=27, memory=28, margin=60, slowdown_margin=-2, shutdown_margin=-5)
    assert one.power_state == Power(156.48, 1200, 1200, 200, 1200, 459.64)
    assert one.fabric == Fabric(
        "Completed", "Success", "00000001-0000-0000-0000-000000000001", 2, "Healthy", "Full", False, False, False, ""
    )


def test_recorded_faults(recorded: Callable[[str], str]) -> None:
    injected = parse(recorded(smi("mock-ecc-injected")))
    assert [gpu.ecc_uncorrected for gpu in injected] == [5, 0]
    assert [gpu.ecc.lifetime_uncorrected for gpu in injected] == [8, 0]
    assert [(gpu.rows.uncorrected, gpu.rows.failed) for gpu in injected] == [(1, True), (0, False)]
    lost = parse(recorded(smi("mock-lost")))
    assert [gpu.lost for gpu in lost] == [False, True]
    assert lost[1].temperature is None
    assert lost[1].ecc_uncorrected is None
    assert lost[1].rows == Rows(None, None, None, None, None)
    assert (lost[1].fabric.state, lost[1].fabric.clique) == ("", None)
    degraded = parse(recorded(smi("mock-fabric-degraded")))
    assert [(gpu.fabric.health, gpu.fabric.route_unhealthy) for gpu in degraded] == [
        ("Healthy", False), ("Unhealthy", True),
    ]  # fmt: skip
    throttled = parse(recorded(smi("mock-throttle-counters")))
    assert [gpu.slowdowns for gpu in throttled] == [Slowdowns(39595, 0, 0, 0), Slowdowns(0, 0, 0, 0)]


def test_what_a_recorded_mock_does_not_say_is_none(recorded: Callable[[str], str]) -> None:
    one = parse(recorded(smi("mock-healthy")))[0]
    assert one.slowdowns == Slowdowns(None, None, None, None)
    assert one.throttled is None
    assert one.rows == Rows(0, 0, pending=False, failed=False, exhausted=None)
    assert (one.recovery, one.fabric.health, one.fabric.route_unhealthy) == ("", "", None)
    assert one.power_state == Power(565.11, 1000, 1000, 400, 1200, None)
    assert one.thermal == Thermal(63, 34, 30, 0, -5)


@pytest.mark.parametrize("name", ["mock-healthy", "mock-lost", "mock-fabric-degraded"])
def test_a_spoilt_recording_raises_nothing_else(
    name: str, recorded: Callable[[str], str], mutations: Callable[[str, int, int], Iterator[str]]
) -> None:
    for text in mutations(recorded(smi(name)), 20261122, 140):
        with contextlib.suppress(ParseError):
            parse(text)
