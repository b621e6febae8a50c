"""gpu_burn's output: zero work, death, faults and cut-off output never look like a good burn."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.inband import ParseError
from drivers.inband.finding import Finding, Verdict
from drivers.inband.gpu_burn import Burned, findings, parse

CAPTURE = "gpu_burn_8xA100.log"


def progress(percent: float, done: list[int], errors: list[str]) -> str:
    work = "- ".join(f"{each} (900 Gflop/s) " for each in done)
    wrong = "- ".join(f"{each} " for each in errors)
    return f"\r{percent:.1f}%  proc'd: {work}  errors: {wrong}  temps: {'- '.join('60 C ' for _ in done)}"


def verdicts(*words: str) -> str:
    lines = "".join(f"\tGPU {number}: {word}\n" for number, word in enumerate(words))
    return f"\ndone\n\nTested {len(words)} GPUs:\n{lines}"


GOOD = progress(50, [10, 12], ["0", "0"]) + progress(100, [20, 24], ["0", "0"]) + verdicts("OK", "OK")


def test_a_whole_burn() -> None:
    burn = parse(GOOD)
    assert burn.finished
    assert burn.percent == 100
    assert burn.units == (
        Burned(20, 0, died=False, faulty=False, rate=900, hottest=60),
        Burned(24, 0, died=False, faulty=False, rate=900, hottest=60),
    )
    assert findings(burn, gpus=2, least_rate=900) == ()


def test_errors_are_added_up_over_the_summaries_that_reset_them() -> None:
    text = (
        progress(9, [1, 1], ["3  (WARNING!)", "0"])
        + progress(10, [2, 2], ["5  (WARNING!)", "0"])
        + "\n\tSummary at:   Thu\n\n"
        + progress(11, [3, 3], ["2  (WARNING!)", "0"])
    )
    assert [unit.errors for unit in parse(text).units] == [7, 0]


def test_a_death_is_remembered_though_the_tool_calls_it_ok() -> None:
    burn = parse(progress(10, [5, -1], ["0", "0  (DIED!)"]) + verdicts("OK", "OK"))
    assert [unit.died for unit in burn.units] == [False, True]
    assert burn.units[1].processed == 0


def test_no_verdict_is_not_finished() -> None:
    assert not parse(progress(100, [20, 24], ["0", "0"])).finished


def test_a_verdict_without_progress_shows_zero_work() -> None:
    assert [unit.processed for unit in parse(verdicts("OK")).units] == [0]


def test_power_column_of_newer_versions() -> None:
    text = progress(10, [5], ["0"]) + "  power: 850 W "
    assert parse(text).units[0].processed == 5


@pytest.mark.parametrize(
    "text",
    [
        "",
        "No CUDA devices\n",
        progress(10, [1, 2], ["0"]),
        progress(10, [1], ["0"]) + progress(20, [1, 2], ["0", "0"]),
        progress(200, [1], ["0"]),
        progress(10, [1], ["nan"]),
        GOOD + verdicts("OK", "OK"),
        progress(10, [1, 2], ["0", "0"]) + "\nTested 2 GPUs:\n\tGPU 0: OK\n",
        progress(10, [1, 2], ["0", "0"]) + "\nTested 2 GPUs:\n\tGPU 0: OK\n\tGPU 0: OK\n",
        progress(10, [1, 2], ["0", "0"]) + verdicts("OK"),
    ],
)
def test_what_contradicts_itself_is_refused(text: str) -> None:
    with pytest.raises(ParseError):
        parse(text)


@given(st.integers(min_value=0, max_value=len(GOOD)))
def test_cut_off_anywhere_is_never_finished(length: int) -> None:
    try:
        burn = parse(GOOD[:length])
    except ParseError:
        return
    assert not burn.finished or GOOD[length:].strip() == ""


@given(st.integers(min_value=0, max_value=len(GOOD) - 1), st.characters(codec="latin-1"))
@settings(max_examples=300)
def test_one_changed_character_never_raises_anything_else(place: int, character: str) -> None:
    with contextlib.suppress(ParseError):
        parse(GOOD[:place] + character + GOOD[place + 1 :])


@given(st.text(max_size=3000))
def test_any_text_ends_in_a_result_or_a_parse_error(text: str) -> None:
    with contextlib.suppress(ParseError):
        parse(text)


def verdict_of(text: str, gpus: int = 1, least_rate: float = 0) -> list[tuple[Verdict, str]]:
    return [(each.verdict, each.unit) for each in findings(parse(text), gpus=gpus, least_rate=least_rate)]


def test_what_a_burn_means() -> None:
    whole = progress(100, [20], ["0"])
    assert verdict_of(whole) == [(Verdict.ERROR, "")]
    assert verdict_of(whole + verdicts("OK"), gpus=2) == [(Verdict.ERROR, "")]
    assert verdict_of(progress(50, [20], ["0"]) + verdicts("OK")) == [(Verdict.ERROR, "")]
    assert verdict_of(progress(100, [20], ["3  (WARNING!)"]) + verdicts("FAULTY")) == [(Verdict.FAIL, "GPU 0")]
    assert verdict_of(progress(100, [20], ["3  (WARNING!)"]) + verdicts("OK")) == [(Verdict.FAIL, "GPU 0")]
    assert verdict_of(whole + verdicts("OK"), least_rate=901) == [(Verdict.FAIL, "GPU 0")]


def test_no_work_is_never_a_pass() -> None:
    assert verdict_of(progress(100, [0], ["0"]) + verdicts("OK")) == [(Verdict.ERROR, "GPU 0")]
    assert (Verdict.ERROR, "GPU 0") in verdict_of(verdicts("OK"))


def test_dying_at_work_is_the_parts_failure_dying_before_is_not() -> None:
    at_work = progress(50, [20], ["0"]) + progress(100, [-1], ["0  (DIED!)"]) + verdicts("OK")
    before = progress(100, [-1], ["0  (DIED!)"]) + verdicts("OK")
    assert verdict_of(at_work) == [(Verdict.FAIL, "GPU 0")]
    assert verdict_of(before) == [(Verdict.ERROR, "GPU 0")]


def test_an_unknown_rate_or_temperature_is_not_zero() -> None:
    text = progress(100, [20], ["0"]).replace("(900 ", "(inf ").replace("60 C ", "-- ") + verdicts("OK")
    unit = parse(text).units[0]
    assert (unit.rate, unit.hottest) == (None, None)
    assert verdict_of(text, least_rate=1) == [(Verdict.ERROR, "GPU 0")]


def test_a_recorded_burn(recorded: Callable[[str], str]) -> None:
    burn = parse(recorded(CAPTURE))
    assert burn.finished
    assert burn.percent == 100
    assert [unit.processed for unit in burn.units] == [6783, 6783, 6783, 4522, 4522, 6783, 4522, 4522]
    assert [unit.rate for unit in burn.units] == [16942, 17093, 16957, 16926, 16890, 16950, 17010, 16926]
    assert [unit.hottest for unit in burn.units] == [62, 59, 58, 60, 60, 59, 58, 61]
    assert not any(unit.errors or unit.faulty or unit.died for unit in burn.units)
    assert findings(burn, gpus=8, least_rate=16000) == ()
    assert findings(burn, gpus=8, least_rate=16900) == (
        Finding(Verdict.FAIL, "GPU 4", "16890 Gflop/s, at least 16900 needed"),
    )


def test_a_spoilt_recording_raises_nothing_else(
    recorded: Callable[[str], str], mutations: Callable[[str, int, int], Iterator[str]]
) -> None:
    for text in mutations(recorded(CAPTURE), 20261122, 210):
        with contextlib.suppress(ParseError):
            findings(parse(text), gpus=8, least_rate=1)


def test_a_recording_cut_off_is_no_pass(recorded: Callable[[str], str]) -> None:
    whole = recorded(CAPTURE).rstrip()
    for length in range(0, len(whole), 401):
        try:
            burn = parse(whole[:length])
        except ParseError:
            continue
        assert findings(burn, gpus=8)
