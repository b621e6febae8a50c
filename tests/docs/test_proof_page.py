"""The page on proofs names every reason, every option and the numbers of the code."""

from __future__ import annotations

from typing import Any

from harness import cli
from harness.proof.bound import bound_on_rate
from harness.proof.digests import CHANGES
from harness.proof.finding import NONE
from harness.proof.matrix import FALSE_ALARMS, RIGHT_SHARE


def test_every_reason_of_an_unproven_plan_is_told(pages: Any) -> None:
    page = pages.texts["docs/proof.md"]
    assert [reason for reason in (NONE, *CHANGES.values()) if reason not in page] == []


def test_every_option_is_told(pages: Any) -> None:
    prove = next(action for action in cli._parser()._actions if action.dest == "command").choices
    assert prove is not None
    options = [word for action in prove["prove"]._actions for word in action.option_strings]  # type: ignore[index]
    assert [
        word for word in options if f"`{word}" not in pages.texts["docs/proof.md"] and word not in ("-h", "--help")
    ] == []


def test_the_numbers_are_those_of_the_code(pages: Any) -> None:
    page = pages.texts["docs/proof.md"]
    assert f"at least {RIGHT_SHARE:.0%}".replace("%", " %") in page
    assert f"under {FALSE_ALARMS:.0%}".replace("%", " %") in page
    assert bound_on_rate(0, 300) < 0.01
    assert 0.0157 < bound_on_rate(1, 300) < 0.0158
