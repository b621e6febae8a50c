"""Which tests stand for which module: the ones that a mutant of it has to get past, quickest first.

`python -m tests.mutation.covering` prints them all, for `make coverage`. The runs of whole plans are not among them:
what decides over a verdict or over safety has to be caught by a test of its own.
"""

from __future__ import annotations

from typing import Final

_H: Final = "tests/harness"
_S: Final = f"{_H}/safety"
_JOURNAL: Final = [
    f"{_H}/test_journal_edges.py",
    f"{_H}/test_journal_writing.py",
    f"{_H}/test_journal.py",
    f"{_H}/test_journal_changes.py",
]

COVERING: Final[dict[str, list[str]]] = {
    "harness/limits.py": [f"{_H}/test_limits.py"],
    "harness/verdict.py": [f"{_H}/test_verdict.py", f"{_H}/test_verdict_exactly.py", f"{_H}/test_journal_changes.py"],
    "harness/safety/condition.py": [f"{_S}/test_condition.py"],
    "harness/safety/interlocks.py": [f"{_H}/test_interlocks.py", f"{_S}/test_silence.py"],
    "harness/safety/make_safe.py": [f"{_H}/test_make_safe.py", f"{_S}/test_safing.py"],
    "harness/safety/guard.py": [f"{_S}/test_guarding.py", f"{_S}/test_station_looks.py", f"{_S}/test_guard.py"],
    "harness/safety/watchdog.py": [f"{_S}/test_watchdog_pipe.py", f"{_S}/test_watchdog.py"],
    "harness/safety/watchdog_process.py": [f"{_S}/test_watchdog_station.py", f"{_S}/test_watchdog.py"],
    "harness/safety/takeover.py": [f"{_S}/test_takeover.py", f"{_S}/test_watchdog.py"],
    "harness/journal/lines.py": _JOURNAL,
    "harness/journal/reader.py": _JOURNAL,
    "harness/journal/writer.py": _JOURNAL,
    "harness/journal/alarms.py": _JOURNAL,
    "harness/journal/decoding.py": _JOURNAL,
    "harness/journal/events.py": _JOURNAL,
    "harness/journal/breaks.py": _JOURNAL,
    "harness/journal/sittings.py": [f"{_H}/test_journal_sittings.py", f"{_H}/test_journal_changes.py"],
    "harness/journal/watchdog.py": [f"{_H}/test_journal_sittings.py"],
}


def every() -> list[str]:
    """All of them, each once."""
    return list(dict.fromkeys(test for tests in COVERING.values() for test in tests))


if __name__ == "__main__":
    print(" ".join(every()))  # noqa: T201 - what it is for
