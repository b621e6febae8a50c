"""The end of a run on the screen: the verdict in letters that are read across the line, then why, then what to do."""

from __future__ import annotations

from pathlib import Path
from textwrap import wrap

from rich.text import Text

from harness.inert import shortened
from harness.verdict import RunSummary, Verdict
from reports import proof, view
from reports.as_found import CONTRADICTS
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
_MOST = 10
"""Reasons and actions at most; the report has them all."""


def banner(
    summary: RunSummary, run_dir: Path, *, width: int, height: int = 60, unicode: bool = True, plain: bool = False
) -> list[Text]:
    """The closing lines of a run, as wide as `width`; `plain` leaves out the large letters.

    Where a terminal has few rows, fewer reasons are told, so that the verdict is not far out of sight.
    """
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
    if summary.started is not None and not proof.is_proven(summary):
        lines += _folded(f"{proof.status(summary)}: {proof.meaning(summary)}.", width, "yellow")
    lines += _folded(view.verdict_sentence(summary), width, "bold")
    stopped = bool(summary.trips or summary.stops)
    if stopped and summary.made_safe and all(made.confirmed for made in summary.made_safe):
        lines += _folded(f"The rack was made safe, every action confirmed ({len(summary.safety_actions)}).", width, "")
    for said in view.not_as_built(summary):
        lines += _folded(f"{CONTRADICTS}: {said}.", width, "bold red")
    most = max(3, min(_MOST, (height - 16) // 3))
    lines += _why(summary, width, most, "red" if summary.verdict is Verdict.FAIL else "yellow")
    lines += [Text(""), Text("What to do now", style="bold")]
    actions = view.next_action(summary)
    # The last one says what comes after all the others, and is never the one that is left out.
    shown = actions if len(actions) <= most else (*actions[: most - 1], actions[-1])
    for number, action in enumerate(shown, start=1):
        if number == most and len(actions) > most:
            lines.append(Text(f"  and {len(actions) - most} more: see report.html"))
            lines += _folded(action, width, "", "  Last: ")
        else:
            lines += _folded(action, width, "", f"  {number}. ")
    return [*lines, Text(""), Text(f"Evidence: {run_dir}", style="dim")]


def _why(summary: RunSummary, width: int, most: int, style: str) -> list[Text]:
    found = [(where, said) for where, told in view.grouped_reasons(summary).items() for said in told]
    if not found:
        return []
    lines = [Text(""), Text("Why", style="bold")]
    last = ""
    for where, said in found[:most]:
        if where != last:
            lines += _folded(where, width, "", "  ")
            last = where
        lines += _folded(said, width, style, "    - ")
    if len(found) > most:
        lines.append(Text(f"  and {len(found) - most} more: see report.html"))
    return lines


def _large(word: str) -> list[str]:
    return [" ".join(_LETTERS[letter][row] for letter in word) for row in range(5)]


def _folded(text: str, width: int, style: str, mark: str = "") -> list[Text]:
    """Text folded at words, hung under its mark."""
    rows = wrap(shortened(text), max(20, width - len(mark) - 1), break_on_hyphens=False) or [""]
    return [Text((mark if n == 0 else " " * len(mark)) + row, style=style) for n, row in enumerate(rows)]
