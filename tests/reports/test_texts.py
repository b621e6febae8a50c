"""The words for one thing: a value with its unit, a span of time."""

from __future__ import annotations

from typing import Any

import pytest

from reports import texts


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        (None, "degC", "no value"),
        (True, "bool", "yes"),
        (False, "bool", "no"),
        (3, "count", "3"),
        (81.25, "degC", "81.25 °C"),
        (0.03512, "K/W", "0.03512 K/W"),
        (12345.6, "W", "12346 W"),
        (0.0, "%", "0 %"),
        (0.00001234, "1", "1.234e-05"),
        (float("nan"), "W", "nan W"),
        ("", "text", "(empty)"),
        ("switch-1/swp1", "text", "switch-1/swp1"),
    ],
)
def test_values_read_as_a_person_writes_them(value: Any, unit: str, shown: str) -> None:
    assert texts.value_text(value, unit) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0, "0 s"), (59.4, "59 s"), (60, "1:00"), (3765, "1:02:45"), (-3, "0 s")]
)
def test_spans(seconds: float, shown: str) -> None:
    assert texts.span_text(seconds) == shown
