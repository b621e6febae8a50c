"""nvidia-smi nvlink: every link active at its speed, no error counted, and nothing taken from a listing cut off."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.inband import ParseError
from drivers.inband.finding import Finding, Verdict
from drivers.inband.nvlink import Link, error_findings, findings, parse_errors, parse_status

A100, BAD, SHAPE = (
    f"nvidia-smi-nvlink-{name}.txt" for name in ("status-a100", "status-bad", "e-nvlink5-SHAPE")
)  # fmt: skip


def head(number: int) -> str:
    return f"GPU {number}: Bench accelerator (UUID: GPU-{number}a-b)\n"


def status(*speeds: str, number: int = 0) -> str:
    return head(number) + "".join(f"\t Link {link}: {speed}\n" for link, speed in enumerate(speeds))


def counters(changed: dict[str, str] | None = None, links: int = 1) -> str:
    """`nvlink -e` in its NVLink 5 shape; a counter changed to nothing is left out."""
    held = {
        "Malformed packet Errors": "0", "Buffer overrun Errors": "0", "Rx Errors": "0", "Rx remote Errors": "0",
        "Local link integrity Errors": "0", "Tx discards": "0", "Link recovery successful events": "0",
        "Link recovery failed events": "0", "Total link recovery events": "0", "Effective Errors": "0",
        "Effective BER": "15e-255", "Symbol Errors": "0", "Symbol BER": "15e-255", "FEC Errors - 0": "36140749276",
        "FEC Errors - 3": "5", "FEC Errors - 8": "0", "FEC Errors - 12": "0", "Raw Errors Lane 0": "82",
    } | (changed or {})  # fmt: skip
    lines = (f"\t Link {link}: {name}: {value}\n" for link in range(links) for name, value in held.items() if value)
    return head(0) + "".join(lines)


def judged(text: str, before: str | None = None, links: int = 1) -> list[Finding]:
    first = None if before is None else parse_errors(before)
    return list(error_findings(parse_errors(text), gpus=1, links=links, before=first))


def test_recorded_links_of_an_a100(recorded: Callable[[str], str]) -> None:
    (gpu,) = parse_status(recorded(A100))
    assert (gpu.number, gpu.product, gpu.inactive) == (7, "NVIDIA A100-SXM4-80GB", False)
    assert gpu.uuid == "GPU-c7e253b0-c227-6f10-e860-7482c85e7ce8"
    assert gpu.links == tuple(Link(number, 25.0, "25 GB/s") for number in range(12))
    assert findings((gpu,), gpus=1, links=12, speed=25) == ()


def test_recorded_inactive_links_are_a_failure(recorded: Callable[[str], str]) -> None:
    gpus = parse_status(recorded(BAD))
    assert [(gpu.number, gpu.links, gpu.inactive) for gpu in gpus] == [(6, (), True)]
    assert findings(gpus, gpus=1, links=12, speed=25) == (
        Finding(Verdict.FAIL, "GPU 6", "all its NVLink links are inactive"),
    )


def test_one_inactive_or_slow_link_is_a_failure() -> None:
    gpus = parse_status(status("53.125 GB/s", "<inactive>", "50 GB/s", "0 GB/s"))
    assert findings(gpus, gpus=1, links=4, speed=53.125) == (
        Finding(Verdict.FAIL, "GPU 0", "inactive links: 1"),
        Finding(Verdict.FAIL, "GPU 0", "links below 53.125 GB/s: 2 (50 GB/s), 3 (0 GB/s)"),
    )


def test_missing_links_and_accelerators_were_not_measured() -> None:
    gpus = parse_status(status("25 GB/s", "25 GB/s") + status("25 GB/s", number=1))
    verdicts = [(each.verdict, each.unit) for each in findings(gpus, gpus=4, links=2, speed=25)]
    assert verdicts == [(Verdict.ERROR, ""), (Verdict.ERROR, "GPU 1")]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "No devices were found\n",
        "\t Link 0: 25 GB/s\n",
        status("25 GB/"),
        status("25 Gb/s"),
        status("nan GB/s"),
        status("Unknown"),
        status("25 GB/s") + "\t Link 0: 25 GB/s\n",
        status("25 GB/s") + status("25 GB/s"),
        status("25 GB/s") + "NVML: Unable to retrieve NVLink information as all links are inActive\n",
        status("25 GB/s") + "x" * 500,
        head(0) + "\t Link 99999: 25 GB/s\n",
    ],
)
def test_what_is_cut_off_or_contradicts_itself_is_refused(text: str) -> None:
    with pytest.raises(ParseError):
        parse_status(text)


def test_the_shape_of_nvlink_5_counters(recorded: Callable[[str], str]) -> None:
    (gpu,) = parse_errors(recorded(SHAPE))
    (link,) = gpu.links
    assert (gpu.number, gpu.product, link.number) == (0, "NVIDIA B300 SXM6 AC", 0)
    assert link.value("fec errors - 0") == 36140749276
    assert link.value("effective ber") == pytest.approx(1.5e-254)
    assert link.value("raw errors lane 0") == 82
    assert link.value("replay errors") is None
    assert error_findings((gpu,), gpus=1, links=1) == ()
    assert [each.verdict for each in error_findings((gpu,), gpus=1, links=18)] == [Verdict.ERROR]


def test_older_counters() -> None:
    lines = "".join(f"\t Link 0: {name} Errors: 0\n" for name in ("Replay", "Recovery", "CRC"))
    assert judged(head(0) + lines) == []
    assert judged(head(0) + lines.replace("CRC Errors: 0", "CRC Errors: 2")) == [
        Finding(Verdict.FAIL, "GPU 0 link 0", "2 crc errors")
    ]
    assert [each.verdict for each in judged(head(0) + "\t Link 0: Replay Errors: 0\n")] == [Verdict.ERROR]


@pytest.mark.parametrize(
    ("name", "value", "verdict"),
    [
        ("Effective Errors", "1", Verdict.FAIL),
        ("Symbol Errors", "7", Verdict.FAIL),
        ("Total link recovery events", "1", Verdict.FAIL),
        ("Tx discards", "1", Verdict.FAIL),
        ("Effective BER", "1e-14", Verdict.FAIL),
        ("Symbol BER", "1e-200", Verdict.ERROR),
        ("FEC Errors - 8", "1", Verdict.WARN),
        ("FEC Errors - 12", "1", Verdict.FAIL),
        ("Effective Errors", "N/A", Verdict.ERROR),
        ("Effective Errors", "", Verdict.ERROR),
        ("Malformed packet Errors", "-1", Verdict.ERROR),
    ],
)
def test_one_counter(name: str, value: str, verdict: Verdict) -> None:
    assert judged(counters()) == []
    assert [each.verdict for each in judged(counters({name: value}))] == [verdict]


def test_counters_are_judged_by_what_was_added() -> None:
    before = counters({"Effective Errors": "5"})
    assert judged(before, before) == []
    assert judged(counters({"Effective Errors": "7"}), before) == [
        Finding(Verdict.FAIL, "GPU 0 link 0", "2 effective errors")
    ]
    assert [each.verdict for each in judged(counters(), before)] == [Verdict.ERROR]
    assert [each.verdict for each in judged(counters(links=2), counters(), links=2)] == [Verdict.ERROR]


def test_a_counter_twice_is_refused() -> None:
    with pytest.raises(ParseError):
        parse_errors(counters() + "\t Link 0: Rx Errors: 0\n")


@given(st.text(max_size=2000))
@settings(max_examples=100)
def test_any_text_ends_in_a_result_or_a_parse_error(text: str) -> None:
    for parse in (parse_status, parse_errors):
        with contextlib.suppress(ParseError):
            parse(text)


def test_cut_off_anywhere_is_no_pass() -> None:
    whole = status(*["53.125 GB/s"] * 18) + status(*["53.125 GB/s"] * 18, number=1)
    for length in range(len(whole.rstrip())):
        with contextlib.suppress(ParseError):
            assert findings(parse_status(whole[:length]), gpus=2, links=18, speed=53.125)


def test_spoilt_recordings_raise_nothing_else(
    recorded: Callable[[str], str], mutations: Callable[[str, int, int], Iterator[str]]
) -> None:
    for name in (A100, BAD):
        for text in mutations(recorded(name), 1, 350):
            with contextlib.suppress(ParseError):
                findings(parse_status(text), gpus=1, links=12, speed=25)
    for text in mutations(recorded(SHAPE), 2, 350):
        with contextlib.suppress(ParseError):
            error_findings(parse_errors(text), gpus=1, links=1)
