"""nvidia-smi -q -x: what it does not say is None, and what contradicts itself is refused."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.inband import ParseError
from drivers.inband.nvidia_smi import parse

CAPTURES = Path(__file__).parents[4] / "shared" / "captures" / "inband"


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


def recorded(name: str) -> str:
    file = CAPTURES / f"nvidia-smi-qx-gb200-{name}.xml"
    if not file.exists():
        pytest.skip("the recorded nvidia-smi outputs are not here")
    return file.read_text()


def test_a_recorded_tray() -> None:
    gpus = parse(recorded("hw"))
    assert [gpu.temperature for gpu in gpus] == [27.0, 28.0, 27.0, 26.0]
    assert [gpu.power for gpu in gpus] == [165.93, 168.57, 156.48, 171.61]
    assert [gpu.ecc_uncorrected for gpu in gpus] == [0, 0, 0, 0]
    assert gpus[1].throttled == pytest.approx(3360.324)


def test_recorded_faults() -> None:
    assert [gpu.ecc_uncorrected for gpu in parse(recorded("mock-ecc-injected"))] == [5, 0]
    lost = parse(recorded("mock-lost"))
    assert [gpu.lost for gpu in lost] == [False, True]
    assert lost[1].temperature is None
    assert lost[1].ecc_uncorrected is None
