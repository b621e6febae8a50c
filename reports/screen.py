"""The live screen as lines of text: what is drawn for a board, given how much room there is. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap

from rich.text import Text

from harness.inert import shortened
from harness.journal.events import Measured, Progressed
from harness.limits import Judgement
from reports import texts, view
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
    "error": "bold yellow",
    "failed": "bold red",
    "lost": "bold white on red",
    "pass": "green",
    "fail": "bold red",
    "unjudged": "bold yellow",
}
_SIGNS = {"waiting": "·", "ok": "✓", "measuring": "▸", "marginal": "~", "error": "!", "failed": "✗", "lost": "?"}
_PLAIN_SIGNS = {"waiting": ".", "ok": "+", "measuring": ">", "marginal": "~", "error": "!", "failed": "x", "lost": "?"}
_STAGE_SIGNS = {"PASS": "✓", "FAIL": "✗", "running": "▸", "waiting": "·"}
_MOST_MEASUREMENTS = 16
_TROUBLE = ("lost", "failed", "error", "marginal")
_FEWEST_MEASUREMENTS = 2


def draw(
    board: Board,
    *,
    wall: float,
    rack: float,
    width: int,
    height: int,
    unicode: bool = True,
    since: float = 0.0,
    pulse: str = "",
) -> list[Text]:
    """At most `height` lines of at most `width` cells. `pulse` is what telemetry reads now.

    `wall` and `rack` are elapsed seconds, `since` the rack seconds since the running step last said how far it is.
    """
    top = [*_header(board, wall, rack, width), _rule(width, unicode), *_now(board, since, width, unicode), Text("")]
    if pulse:
        top[-1:] = [Text("Now      ", style="dim").append(pulse, style="cyan"), Text("")]
    trips = _trips(board, width)
    stages = _titled("Stages", _flow(_stages(board, unicode), width - 9))
    devices = _titled("Devices", _flow(_devices(board, unicode), width - 9))
    troubled = _titled("Devices", _flow(_troubled(board, unicode), width - 9))
    latest = list(reversed(board.recent))[:_MOST_MEASUREMENTS]
    widest = max((len(_name(m)) for m in latest), default=0)
    measured = [_measurement(m, min(widest, max(20, width - 43))) for m in latest]
    # What gives way first where there is little room: measurements, then devices that are well, then stages.
    room = height - len(top) - len(trips) - bool(trips)
    left = room - len(stages) - 1
    kept = [stages, *(block for block in (devices if left >= len(devices) else troubled[: max(0, left)],) if block)]
    room -= sum(len(block) + 1 for block in kept)
    lines = [*top, *trips, *([Text("")] if trips else []), *(line for block in kept for line in (*block, Text("")))]
    if room >= _FEWEST_MEASUREMENTS and measured:
        lines += [Text("Latest measurements", style="dim"), *measured[: room - 1]]
    for line in lines:
        line.truncate(width, overflow="ellipsis" if unicode else "crop")
    return lines[:height]


def _header(board: Board, wall: float, rack: float, width: int) -> list[Text]:
    who = board.who
    first = Text()
    if who.simulated:
        first.append(f" {view.SIMULATED} ", style="bold black on yellow").append(" ")
    first.append(f"S/N {who.serial}" if who.serial else "rackproof", style="bold")
    first.append(f"   {who.model} rev {who.revision}" if who.model else "")
    first.append(f"   {texts.place_text(who)}" if who.bay else "")
    done = sum(step.state == "done" for step in board.steps.values())
    step = f"step {min(done + 1, len(board.steps))} of {len(board.steps)}   " if board.steps else ""
    counts = Text()
    for word, style in (("fail", "bold red"), ("unjudged", "yellow"), ("marginal", "yellow"), ("pass", "green")):
        if board.judged.get(word) or word == "pass":
            shown = {"fail": "failed", "pass": "passed"}.get(word, word)
            counts.append("  " if counts else "").append(f"{board.judged.get(word, 0)} {shown}", style=style)
    # On hardware both clocks are one; where there is little room, the rack's own time is the one that matters.
    both = who.simulated and width >= 96
    time = f"rack time {texts.span_text(rack)}   " + (f"wall time {texts.span_text(wall)}   " if both else "")
    return [first, Text(time + step, style="dim").append_text(counts)]


def _now(board: Board, since: float, width: int, unicode: bool) -> list[Text]:
    if (board.stop is not None or board.trips) and not board.finished:
        return _stopping(board)
    step = board.steps.get(board.current)
    if step is None:
        if board.finished or any(s.state == "done" for s in board.steps.values()):
            return [Text("Finishing" if board.finished else "Between steps", style="dim"), Text("")]
        return [Text("Preparing", style="dim"), Text(board.progress.text if board.progress else "", style="dim")]
    title = Text(f"{texts.stage_text(step.planned.stage)}: ", style="bold cyan")
    title.append(texts.planned_text(step.planned), style="bold")
    progress = board.progress
    if progress is None or progress.total <= 0:
        said = f"{step.measured} measured" + (f"   {progress.text}" if progress else "")
        return [title, Text(said, style="dim")]
    share, left = how_far(progress, since)
    cells = max(8, min(40, width - 44))
    full, empty = ("█", "░") if unicode else ("#", ".")
    filled = round(share * cells)
    line = Text(full * filled, style="cyan").append(empty * (cells - filled), style="dim")
    return [title, line.append(f" {share:4.0%}  {left}  ", style="bold").append(progress.text, style="dim")]


def how_far(progress: Progressed, since: float) -> tuple[float, str]:
    """The share that is done, and what is left in words; `since` are rack seconds since the step said so.

    A step counts seconds, or pieces of work where both numbers are whole (`outlet pdu-a/2`, 1 of 8).
    """
    if isinstance(progress.total, int) and isinstance(progress.elapsed, int):
        return min(1.0, progress.elapsed / progress.total), f"{progress.elapsed} of {progress.total} done"
    elapsed = min(progress.total, max(0.0, progress.elapsed + max(0.0, since)))
    left = progress.total - elapsed
    return elapsed / progress.total, f"{texts.span_text(left)} left" if left else "evaluating"


def _stopping(board: Board) -> list[Text]:
    said = board.stop.text if board.stop else ""
    if not board.made_safe:
        return [Text("STOPPING: the rack is being made safe. Wait.", style="bold white on red"), Text(said)]
    if board.unconfirmed:
        named = ", ".join(board.unconfirmed)
        return [
            Text(f"NOT CONFIRMED SAFE: {named}", style="bold white on red"),
            Text("Check by hand before you touch it."),
        ]
    return [Text("The rack is made safe; the run is being closed.", style="bold green"), Text(said)]


def _stages(board: Board, unicode: bool) -> list[Text]:
    cells = []
    for stage, (state, done, total) in board.stages().items():
        sign = (_STAGE_SIGNS.get(state, "!") if unicode else "").strip()
        word = f" {state}" if state not in ("waiting", "running") else ""
        cells.append(
            Text(f"{sign} {texts.stage_text(stage)} {done}/{total}{word}".strip(), style=STYLES.get(state, ""))
        )
    return cells


def _devices(board: Board, unicode: bool) -> list[Text]:
    """One cell a slot: a host or a console has one of its own only while there is something to say of it."""
    slots: dict[str, list[str]] = {}
    role_of = {device.name: device.role for device in board.who.devices}
    for device in board.devices:
        slot = device.removesuffix(f"-{role_of.get(device, '')}") if role_of.get(device) else device
        slots.setdefault(slot if slot in board.devices else device, []).append(device)
    cells = []
    for slot, devices in slots.items():
        states = {device: board.device_state(device) for device in devices}
        if states[slot] in ("waiting", "ok") and "measuring" in states.values():
            states[slot] = "measuring"
        cells += [_device(d, state, unicode) for d, state in states.items() if d == slot or state in _TROUBLE]
    return cells


def _troubled(board: Board, unicode: bool) -> list[Text]:
    """How many devices are well, and a cell for each of the others."""
    states = {device: board.device_state(device) for device in board.devices}
    bad = [_device(d, states[d], unicode) for state in _TROUBLE for d in states if states[d] == state]
    return [Text(f"{len(states) - len(bad)} of {len(states)} ok", style=STYLES["ok"]), *bad] if states else []


def _device(device: str, state: str, unicode: bool) -> Text:
    word = f" {state}" if state in _TROUBLE else ""
    return Text(f"{(_SIGNS if unicode else _PLAIN_SIGNS)[state]} {device}{word}", style=STYLES[state])


def _measurement(measured: Measured, room: int) -> Text:
    value = texts.value_text(measured.value, measured.unit)
    wanted = texts.bounds_text(measured.limit)
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


def _trips(board: Board, width: int) -> list[Text]:
    lines: list[Text] = []
    # The first trip is the cause; what follows is often its consequence.
    for trip in board.trips[:2]:
        lines += _folded(
            f"TRIPPED {trip.interlock}: {trip.subject}: {view.trip_text(trip)}", width, "bold white on red"
        )
        lines += _folded(trip.advice, width, "bold")
    if len(board.trips) > 2:
        lines.append(Text(f"and {len(board.trips) - 2} more", style="bold red"))
    if not (board.trips or board.stop):
        return lines
    confirmed = [action for action in board.actions if action.confirmed]
    if confirmed:
        last = confirmed[-1]
        lines.append(Text(f"made safe: {len(confirmed)} confirmed, last {last.device}: {last.action}", style="green"))
    for action in [action for action in board.actions if not action.confirmed][-3:]:
        lines.append(Text(f"NOT CONFIRMED {action.device}: {action.action}", style="bold red"))
    return lines


def _folded(text: str, width: int, style: str) -> list[Text]:
    return [Text(row, style=style) for row in wrap(shortened(text), max(20, width))]


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
