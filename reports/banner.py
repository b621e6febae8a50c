"""The end of a run on the screen: the verdict in letters that are read across the line, then why, then what to do."""

from __future__ import annotations

from pathlib import Path
from textwrap import wrap

from rich.text import Text

from harness.verdict import RunSummary, Verdict
from reports import view
from reports.identity import identity
from reports.screen import STYLES

_LETTERS = {
    "A": ("███", "█ █", "███", "█ █", "█ █"),
    "B": ("██ ", "█ █", "██ ", "█ █", "██ "),
    "C": ("███", "█  ", "█  ", "█  ", "███"),
    "D": ("██ ", "█ █", "█ █", "█ █", "██ "),
    "E": ("███", "█  ", "██ ", "█  ", "███"),
    "F": ("███", "█  ", "██ ", "█  ", "█  "),
    "I": ("█", "█", "█", "█", "█"),
    "L": ("█  ", "█  ", "█  ", "█  ", "███"),
    "N": ("█   █", "██  █", "█ █ █", "█  ██", "█   █"),
    "O": ("███", "█ █", "█ █", "█ █", "███"),
    "P": ("███", "█ █", "███", "█  ", "█  "),
    "R": ("██ ", "█ █", "██ ", "█ █", "█ █"),
    "S": ("███", "█  ", "███", "  █", "███"),
    "T": ("███", " █ ", " █ ", " █ ", " █ "),
    "U": ("█ █", "█ █", "█ █", "█ █", "███"),
    "V": ("█ █", "█ █", "█ █", "█ █", " █ "),
    " ": ("  ", "  ", "  ", "  ", "  "),
}
_MOST_REASONS = 10


def banner(summary: RunSummary, run_dir: Path, *, width: int, unicode: bool = True, plain: bool = False) -> list[Text]:
    """The closing lines of a run, as wide as `width`; `plain` leaves out the large letters."""
    style = STYLES[summary.verdict]
    word = "NOT RUN" if summary.verdict is Verdict.NOT_RUN else str(summary.verdict)
    lines = [Text("")]
    if plain or not unicode or width < 60:
        lines.append(Text(f"=== {word} ===", style=style))
    else:
        lines += [Text("  " + row, style=style) for row in _large(word)]
    lines.append(Text(""))
    if identity(summary.started).simulated:
        lines.append(Text(f"{view.SIMULATED}: no rack was tested.", style="bold yellow"))
    lines += _folded(view.verdict_sentence(summary), width, "bold")
    found = view.reasons(summary)
    if found:
        lines += [Text(""), Text("Why", style="bold")]
        for reason in found[:_MOST_REASONS]:
            lines += _folded(str(reason), width, "red" if summary.verdict is Verdict.FAIL else "yellow", "  - ")
        if len(found) > _MOST_REASONS:
            lines.append(Text(f"  and {len(found) - _MOST_REASONS} more: see report.html"))
    lines += [Text(""), Text("What to do now", style="bold")]
    actions = view.next_action(summary)
    for number, action in enumerate(actions[:_MOST_REASONS], start=1):
        lines += _folded(action, width, "", f"  {number}. ")
    if len(actions) > _MOST_REASONS:
        lines.append(Text(f"  and {len(actions) - _MOST_REASONS} more: see report.html"))
    return [*lines, Text(""), Text(f"Evidence: {run_dir}", style="dim")]


def _large(word: str) -> list[str]:
    return [" ".join(_LETTERS[letter][row] for letter in word) for row in range(5)]


def _folded(text: str, width: int, style: str, mark: str = "") -> list[Text]:
    """Text folded at words, hung under its mark."""
    rows = wrap(text, max(20, width - len(mark) - 1), break_on_hyphens=False) or [""]
    return [Text((mark if n == 0 else " " * len(mark)) + row, style=style) for n, row in enumerate(rows)]
