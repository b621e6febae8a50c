"""The live screen as lines of text: what is drawn for a board, given how much room there is. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from harness.journal.events import Measured
from harness.limits import Judgement
from reports import view
from reports.board import Board

STYLES = {
    "PASS": "bold green",
    "FAIL": "bold red",
    "ABORTED": "bold magenta",
    "INCONCLUSIVE": "bold yellow",
    "NOT_RUN": "bold yellow",
    "running": "bold cyan",
    "waiting": "dim",
    "ok": "green",
    "measuring": "bold cyan",
    "marginal": "bold yellow",
    "failed": "bold red",
    "lost": "bold white on red",
    "pass": "green",
    "fail": "bold red",
    "unjudged": "bold yellow",
}
_SIGNS = {"ok": "✓", "measuring": "▸", "marginal": "~", "failed": "✗", "lost": "?"}
_PLAIN_SIGNS = {"ok": "+", "measuring": ">", "marginal": "~", "failed": "x", "lost": "?"}
_STAGE_SIGNS = {"PASS": "✓", "running": "▸", "waiting": "·"}
_MOST_MEASUREMENTS = 8
_FEWEST_MEASUREMENTS = 2


def draw(board: Board, *, wall: float, rack: float, width: int, height: int, unicode: bool = True) -> list[Text]:
    """At most `height` lines of at most `width` cells. `wall` and `rack` are elapsed seconds."""
    top = [*_header(board, wall, rack), _rule(width, unicode), *_now(board, width, unicode), Text("")]
    trips = _trips(board)
    stages = _titled("Stages", _flow(_stages(board, unicode), width - 9))
    devices = _titled("Devices", _flow(_devices(board, unicode), width - 9))
    latest = list(reversed(board.recent))[:_MOST_MEASUREMENTS]
    widest = max((len(_name(m)) for m in latest), default=0)
    measured = [_measurement(m, min(widest, max(20, width - 43))) for m in latest]
    # What gives way first where there is little room: measurements, then devices, then stages.
    room = height - len(top) - len(trips) - bool(trips)
    kept = [stages]
    if room - len(stages) - 1 >= len(devices):
        kept.append(devices)
    room -= sum(len(block) + 1 for block in kept)
    lines = [*top, *trips, *([Text("")] if trips else []), *(line for block in kept for line in (*block, Text("")))]
    if room >= _FEWEST_MEASUREMENTS and measured:
        lines += [Text("Latest measurements", style="dim"), *measured[: room - 1]]
    for line in lines:
        line.truncate(width, overflow="ellipsis" if unicode else "crop")
    return lines[:height]


def _header(board: Board, wall: float, rack: float) -> list[Text]:
    who = board.who
    first = Text()
    if who.simulated:
        first.append(f" {view.SIMULATED} ", style="bold black on yellow").append(" ")
    first.append(f"S/N {who.serial}" if who.serial else "rackproof", style="bold")
    first.append(f"   {who.model} rev {who.revision}" if who.model else "")
    first.append(f"   {view.place_text(who)}" if who.bay else "")
    done = sum(step.state == "done" for step in board.steps.values())
    second = Text(f"rack time {view.span_text(rack)}   wall time {view.span_text(wall)}", style="dim")
    second.append(f"   step {min(done + 1, len(board.steps))} of {len(board.steps)}" if board.steps else "")
    counts = board.judged
    second.append(f"   {counts['pass']} passed", style="green")
    for word, style in (("marginal", "yellow"), ("fail", "red"), ("unjudged", "yellow")):
        if counts.get(word):
            second.append(f"  {counts[word]} {'failed' if word == 'fail' else word}", style=style)
    return [first, second]


def _now(board: Board, width: int, unicode: bool) -> list[Text]:
    if board.stop is not None and not board.finished:
        return [Text("STOPPING: the rack is being made safe. Wait.", style="bold white on red"), Text(board.stop.text)]
    step = board.steps.get(board.current)
    if step is None:
        word = "Preparing" if not board.finished and not any(s.state == "done" for s in board.steps.values()) else ""
        return [Text(word or "Between steps", style="dim"), Text("")]
    title = Text(f"{view.stage_text(step.planned.stage)}: ", style="bold cyan")
    title.append(view.planned_text(step.planned), style="bold")
    progress = board.progress
    if progress is None or progress.total <= 0:
        return [title, Text(f"{step.measured} measured", style="dim")]
    share = min(1.0, max(0.0, progress.elapsed / progress.total))
    cells = max(8, min(40, width - 44))
    full, empty = ("█", "░") if unicode else ("#", ".")
    filled = round(share * cells)
    left = view.span_text(progress.total - progress.elapsed)
    line = Text(full * filled, style="cyan").append(empty * (cells - filled), style="dim")
    return [title, line.append(f" {share:4.0%}  {left} left  ", style="bold").append(progress.text, style="dim")]


def _stages(board: Board, unicode: bool) -> list[Text]:
    cells = []
    for stage, (state, done, total) in board.stages().items():
        sign = (_STAGE_SIGNS.get(state, "✗") if unicode else "").strip()
        word = f" {state}" if state not in ("waiting", "running") else ""
        cells.append(Text(f"{sign} {view.stage_text(stage)} {done}/{total}{word}".strip(), style=STYLES.get(state, "")))
    return cells


def _devices(board: Board, unicode: bool) -> list[Text]:
    signs = _SIGNS if unicode else _PLAIN_SIGNS
    cells = []
    for device in board.devices:
        state = board.device_state(device)
        word = f" {state}" if state in ("lost", "failed", "marginal") else ""
        cells.append(Text(f"{signs[state]} {device}{word}", style=STYLES[state]))
    return cells


def _measurement(measured: Measured, room: int) -> Text:
    value = view.value_text(measured.value, measured.unit)
    wanted = view.bounds_text(measured.limit)
    style = STYLES.get(measured.judgement, "bold yellow")
    word = "FAIL" if measured.judgement == Judgement.FAIL else measured.judgement
    line = Text(f"{word:<9}", style=style)
    line.append(f"{_shortened(_name(measured), room):<{room}}  ")
    return line.append(f"{value}", style=style).append(f"  ({wanted})", style="dim")


def _name(measured: Measured) -> str:
    return f"{measured.subject} {measured.key}"


def _shortened(name: str, room: int) -> str:
    """Both ends of a name: a subject is told by its head, a key by its tail."""
    if len(name) <= room:
        return name
    head = (room - 2) // 2
    return f"{name[:head]}..{name[len(name) - (room - 2 - head) :]}"


def _trips(board: Board) -> list[Text]:
    lines = []
    for trip in board.trips[-3:]:
        seen = view.value_text(trip.value, trip.unit)
        lines.append(Text(f" TRIPPED {trip.interlock}: {trip.subject} {seen} – {trip.text}", style="bold white on red"))
    for action in board.actions[-3:] if board.trips or board.stop else []:
        word = "confirmed" if action.confirmed else "NOT CONFIRMED"
        style = "green" if action.confirmed else "bold red"
        lines.append(Text(f"   made safe: {action.device} {action.action}: {word}", style=style))
    return lines


def _flow(cells: Sequence[Text], width: int) -> list[Text]:
    """Cells side by side in columns of one width, as many as fit."""
    if not cells:
        return []
    widest = max(cell.cell_len for cell in cells) + 2
    columns = max(1, width // widest)
    lines = []
    for start in range(0, len(cells), columns):
        line = Text()
        for cell in cells[start : start + columns]:
            # The padding is no part of the cell: a red background ends with its word.
            line.append_text(cell).append(" " * (widest - cell.cell_len))
        lines.append(line)
    return lines


def _titled(title: str, lines: list[Text]) -> list[Text]:
    if not lines:
        return []
    return [Text(f"{title if n == 0 else '':<9}", style="dim").append_text(line) for n, line in enumerate(lines)]


def _rule(width: int, unicode: bool) -> Text:
    return Text(("─" if unicode else "-") * width, style="dim")
