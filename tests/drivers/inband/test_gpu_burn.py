"""gpu_burn's output: zero work, death, faults and cut-off output never look like a good burn."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.inband import ParseError
from drivers.inband.gpu_burn import Burned, parse

CAPTURE = Path(__file__).parents[4] / "shared" / "captures" / "inband" / "gpu_burn_8xA100.log"


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
    assert burn.units == (Burned(20, 0, died=False, faulty=False), Burned(24, 0, died=False, faulty=False))


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


def test_a_recorded_burn() -> None:
    if not CAPTURE.exists():
        pytest.skip("the recorded gpu_burn log is not here")
    burn = parse(CAPTURE.read_bytes().decode())
    assert burn.finished
    assert [unit.processed for unit in burn.units] == [6783, 6783, 6783, 4522, 4522, 6783, 4522, 4522]
    assert not any(unit.errors or unit.faulty for unit in burn.units)
