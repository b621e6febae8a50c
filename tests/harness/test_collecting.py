"""Garbage is collected seldom while a run goes on, and as before when it is over."""

from __future__ import annotations

import gc

import pytest

from harness.collecting import THRESHOLDS, seldom_collecting


def test_what_is_there_is_left_alone_and_what_comes_is_still_collected() -> None:
    before = gc.get_threshold()
    with seldom_collecting():
        assert gc.get_freeze_count() > 0
        assert gc.get_threshold() == THRESHOLDS
        circle: list[object] = []
        circle.append(circle)
        del circle
        assert gc.collect() > 0
    assert (gc.get_threshold(), gc.get_freeze_count()) == (before, 0)


def test_a_run_that_fails_leaves_it_as_it_was() -> None:
    before = gc.get_threshold()
    with pytest.raises(KeyboardInterrupt), seldom_collecting():
        raise KeyboardInterrupt
    assert (gc.get_threshold(), gc.get_freeze_count()) == (before, 0)
