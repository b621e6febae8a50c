"""The matrix of a proof on a terminal of any width: one line a fault, one column a stage."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from textwrap import wrap

from rich.table import Table
from rich.text import Text

from harness.proof.matrix import Proof
from harness.proof.results import LEFT_OUT, Catch, FaultResult, Mark

SIGNS = {Mark.RIGHT: "●", Mark.OTHER: "○", Mark.UNSURE: "?", Mark.CLEAN: "·", Mark.UNREACHED: " "}
PLAIN_SIGNS = {Mark.RIGHT: "R", Mark.OTHER: "o", Mark.UNSURE: "?", Mark.CLEAN: ".", Mark.UNREACHED: " "}
STYLES = {Catch.RIGHT: "green", Catch.OTHER: "yellow", Catch.MISSED: "bold red", Catch.NOT_RUN: "bold magenta"}
WORDS = {
    Catch.RIGHT: "caught",
    Catch.OTHER: "caught by another check",
    Catch.MISSED: "MISSED",
    Catch.NOT_RUN: "NOT RUN",
}


def drawn(proof: Proof, *, width: int, unicode: bool = True) -> Iterator[Table | Text]:
    """The matrix, what its signs mean, and what it amounts to; no line is wider than `width`."""
    signs = SIGNS if unicode else PLAIN_SIGNS
    table = Table(box=None, padding=(0, 1, 0, 0), width=None if width >= 60 else width)
    table.add_column("fault", overflow="fold", ratio=3 if width < 100 else None)
    for number, _ in enumerate(proof.stages, start=1):
        table.add_column(str(number), width=1, no_wrap=True)
    table.add_column("caught by", overflow="fold", ratio=3 if width < 100 else None)
    table.add_column("after", justify="right", no_wrap=True)
    run = [result for result in proof.faults if result.text not in LEFT_OUT]
    for result in run:
        stages = [_sign(result, steps, signs) for steps in proof.stages.values()]
        after = "" if result.after is None else f"{result.after:.0f} s"
        table.add_row(result.fault.spec, *stages, Text(_how(result), style=STYLES[result.catch]), after)
    yield table
    if left := len(proof.faults) - len(run):
        how = "not in the sample" if proof.is_sample else "not asked for"
        yield from _folded(f"and {left} faults that were {how}", width, "dim")
    numbered = ", ".join(f"{number} {stage}" for number, stage in enumerate(proof.stages, start=1))
    meant = (
        f"{signs[Mark.RIGHT]} its own check fails, {signs[Mark.OTHER]} another one, "
        f"{signs[Mark.UNSURE]} could not tell, {signs[Mark.CLEAN]} passes; blank: not reached. "
        f"Stages: {numbered}. After: rack seconds from its onset."
    )
    yield from _folded(meant, width, "dim")
    yield Text("")
    for alarm in proof.false_alarms:
        yield from _folded(f"FALSE ALARM, seed {alarm.seed}: {alarm.verdict}: {'; '.join(alarm.reasons)}", width, "red")
    yield from _folded(f"{proof.sentence}.", width, "bold")
    for text in proof.shortcomings:
        yield from _folded(f"UNPROVEN: {text}", width, "bold red")
    if not proof.shortcomings:
        yield Text("PROVEN", style="bold green")


def line_of(result: FaultResult) -> str:
    """A fault's result in one line, as it comes in."""
    after = "" if result.after is None else f" after {result.after:.0f} s"
    return f"{result.fault.spec}: {_how(result)}{after}"


def _how(result: FaultResult) -> str:
    if result.catch is Catch.RIGHT:
        return result.text or f"{result.fault.check} on {result.fault.subject}"
    wanted = f", wanted {result.fault.check} on {result.fault.subject}" if result.catch is not Catch.NOT_RUN else ""
    return f"{WORDS[result.catch]}: {result.text}{wanted}"


def _sign(result: FaultResult, steps: Sequence[str], signs: dict[Mark, str]) -> Text:
    """The most telling mark of a stage's steps."""
    marks = [result.marks.get(step, Mark.UNREACHED) for step in steps]
    mark = min(marks, key=tuple(Mark).index, default=Mark.UNREACHED)
    style = {Mark.RIGHT: "green", Mark.OTHER: "yellow", Mark.UNSURE: "magenta"}.get(mark, "dim")
    return Text(signs[mark], style=style)


def _folded(text: str, width: int, style: str) -> Iterator[Text]:
    for row in wrap(text, max(20, width), break_on_hyphens=False):
        yield Text(row, style=style)
