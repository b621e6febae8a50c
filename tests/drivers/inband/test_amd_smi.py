"""amd-smi's JSON in the shapes of its source: no recording of a real accelerator is here."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from drivers.inband import ParseError
from drivers.inband.amd_smi import Described, Measured, findings, parse_metric, parse_static
from drivers.inband.finding import Finding, Verdict


def metric(gpu: int = 0, **more: Any) -> dict[str, Any]:
    throttle = {f"{name}_accumulated": 0 for name in ("prochot", "ppt", "socket_thermal", "vr_thermal", "hbm_thermal")}
    return {
        "gpu": gpu,
        "power": {"socket_power": {"value": 142, "unit": "W"}, "throttle_status": "UNTHROTTLED"},
        "temperature": {
            "edge": "N/A", "hotspot": {"value": 61, "unit": "C"}, "mem": {"value": 58, "unit": "C"},
        },
        "pcie": {"replay_count": 0},
        "ecc": {"total_correctable_count": 0, "total_uncorrectable_count": 0, "total_deferred_count": 0},
        "xgmi_err": "AMDSMI_XGMI_STATUS_NO_ERRORS",
        "throttle": throttle,
    } | more  # fmt: skip


STATIC = {
    "gpu": 0,
    "asic": {"market_name": "AMD Instinct MI300X", "asic_serial": "0x1234"},
    "board": {"product_serial": "692432000123", "model_number": "102-G30211-00", "fru_id": "N/A"},
    "bus": {"bdf": "0000:0C:00.0"},
    "vbios": {"version": "022.040.003"},
    "driver": {"name": "amdgpu", "version": "6.10.5"},
    "limit": {
        "max_power": {"value": 750, "unit": "W"},
        "slowdown_hotspot_temperature": {"value": 100, "unit": "C"},
    },
}


def measured(*found: dict[str, Any]) -> tuple[Measured, ...]:
    return parse_metric(json.dumps(list(found)))


def judged(now: dict[str, Any], before: dict[str, Any] | None = None) -> list[Verdict]:
    first = None if before is None else measured(before)
    described = parse_static(json.dumps([STATIC]))
    return [each.verdict for each in findings(measured(now), gpus=1, described=described, before=first)]


def test_static() -> None:
    assert parse_static(json.dumps({"gpu_data": [STATIC]})) == (
        Described(
            0, "AMD Instinct MI300X", "0x1234", "692432000123", "102-G30211-00", "0000:0C:00.0", "022.040.003",
            "6.10.5", 750.0, 100.0,
        ),
    )  # fmt: skip


def test_metric_as_a_list_behind_a_warning_and_as_an_object() -> None:
    text = "WARNING: this user is not in the render group\n" + json.dumps([metric(1), metric(0)], indent=4)
    found = parse_metric(text)
    assert [each.gpu for each in found] == [1, 0]
    assert found == parse_metric(json.dumps({"gpu_data": [metric(1), metric(0)]}))
    one = found[0]
    assert (one.power, one.edge, one.hotspot, one.memory) == (142.0, None, 61.0, 58.0)
    assert (one.corrected, one.uncorrected, one.deferred, one.replays) == (0, 0, 0, 0)
    assert (one.xgmi, one.throttled) == ("AMDSMI_XGMI_STATUS_NO_ERRORS", "UNTHROTTLED")
    assert findings(found, gpus=2) == ()


def test_bare_numbers_and_words_that_are_none() -> None:
    found = measured(metric(power={"socket_power": 100}, temperature={"hotspot": {"value": 61, "unit": "F"}}))[0]
    assert (found.power, found.hotspot) == (100.0, None)
    none = measured({"gpu": 0, "ecc": "N/A", "power": {"socket_power": True}, "pcie": {"replay_count": -1}})[0]
    assert (none.power, none.hotspot, none.uncorrected, none.replays, none.xgmi) == (None, None, None, None, "")


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        ({"ecc": {"total_correctable_count": 0, "total_uncorrectable_count": 1}}, Verdict.FAIL),
        (
            {"ecc": {"total_correctable_count": 0, "total_uncorrectable_count": 0, "total_deferred_count": 2}},
            Verdict.FAIL,
        ),
        ({"ecc": {"total_correctable_count": 5, "total_uncorrectable_count": 0}}, Verdict.WARN),
        ({"ecc": "N/A"}, Verdict.ERROR),
        ({"temperature": {"hotspot": {"value": 96, "unit": "C"}}}, Verdict.FAIL),
        ({"temperature": {"hotspot": "N/A"}}, Verdict.ERROR),
        ({"power": {}}, Verdict.ERROR),
        ({"power": {"socket_power": 100, "throttle_status": "THROTTLED"}}, Verdict.WARN),
        ({"xgmi_err": "AMDSMI_XGMI_STATUS_MULTIPLE_ERRORS"}, Verdict.FAIL),
        ({"pcie": {"replay_count": 3}}, Verdict.WARN),
    ],
)
def test_one_change(change: dict[str, Any], verdict: Verdict) -> None:
    assert judged(metric()) == []
    assert judged(metric(**change)) == [verdict]


def test_violations_since_an_earlier_reading() -> None:
    def hot(**counters: Any) -> dict[str, Any]:
        return metric(throttle=metric()["throttle"] | counters)

    assert judged(hot(ppt_accumulated=900), metric()) == []
    assert judged(hot(vr_thermal_accumulated=1)) == []
    assert judged(hot(vr_thermal_accumulated=1), metric()) == [Verdict.FAIL]
    assert judged(metric(), hot(vr_thermal_accumulated=1)) == [Verdict.ERROR]
    assert judged(hot(prochot_accumulated="N/A"), metric()) == [Verdict.ERROR]
    assert judged(metric(), metric(1)) == [Verdict.ERROR] * 4


def test_the_wrong_number_is_a_failure() -> None:
    assert findings((), gpus=8) == (Finding(Verdict.FAIL, "", "0 accelerators answer where 8 belong"),)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[",
        '[{"gpu": 0}], "x": [1]',
        '[{"gpu": 0}, {"gpu": 0}]',
        '[{"gpu": true}]',
        '[{"power": 1}]',
        '{"gpu_data": {"gpu": 0}}',
        json.dumps([metric()])[:-1],
        json.dumps([metric()]).replace("142", "NaN"),
        "ERROR: no driver\n" * 400 + "[]",
    ],
)
def test_what_is_no_result_is_refused(text: str) -> None:
    with pytest.raises(ParseError):
        parse_metric(text)


def test_spoilt_outputs_raise_nothing_else(mutations: Callable[[str, int, int], Iterator[str]]) -> None:
    for text in mutations(json.dumps([metric(0), metric(1)], indent=2), 8, 420):
        with contextlib.suppress(ParseError):
            findings(parse_metric(text), gpus=2, before=())
    for text in mutations(json.dumps({"gpu_data": [STATIC]}, indent=2), 9, 420):
        with contextlib.suppress(ParseError):
            parse_static(text)
