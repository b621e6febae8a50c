"""The run on the technician's terminal: a live screen where there is one, plain lines where there is none."""

from __future__ import annotations

import atexit
import os
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from harness.clock import Clock
from harness.errors import RackproofError
from harness.inert import masked, told
from harness.journal import events as e
from harness.journal.reader import read_journal
from harness.limits import Judgement
from harness.observing import LiveOptions, Observer
from harness.proof.finding import PROVEN
from harness.quantities import Sample
from harness.verdict import RunSummary, fold
from reports import texts, view
from reports.banner import banner
from reports.board import Board
from reports.evidence import JOURNAL
from reports.pulse import Pulse
from reports.screen import draw, how_far

_REFRESH = 4
"""Frames a second at most."""
_QUIET = 2.0
"""Wall seconds after which a step that says nothing is reported on."""
_EVERY = 5.0
"""Wall seconds between two lines of progress."""


def open_screen(options: LiveOptions) -> Observer:
    """A screen on a terminal that can be drawn on, else plain lines (also under NO_COLOR or TERM=dumb)."""
    story = _Story(options.run_dir, options.clock)
    if is_drawable(options.output):
        return Screen(options.output, options.clock, story)
    return Lines(options.output, story)


def is_drawable(output: TextIO) -> bool:
    """Whether `output` is a terminal that can move its cursor, and colours are wanted (no-color.org)."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM", "dumb") == "dumb":
        return False
    try:
        return output.isatty()
    except ValueError:
        return False


class _Story:
    """The run so far: what the journal already held when a run is resumed, then every entry once."""

    def __init__(self, run_dir: Path, clock: Clock) -> None:
        self.run_dir = run_dir
        self.board = Board()
        self._entries: list[e.Entry] = []
        self._next = 0
        self._clock = clock
        self._told = clock.elapsed()
        try:
            before = read_journal(run_dir / JOURNAL).entries
        except RackproofError:
            before = ()
        for entry in before:
            self.take(entry)

    def take(self, entry: e.Entry) -> bool:
        """Take an entry in; False where it was known already."""
        if entry.seq < self._next:
            return False
        self._next = entry.seq + 1
        self.board.apply(entry)
        if isinstance(entry.event, e.Progressed):
            self._told = self._clock.elapsed()
        else:
            self._entries.append(entry)
        return True

    def since(self) -> float:
        """Rack seconds since the running step last said how far it is."""
        return self._clock.elapsed() - self._told

    def summary(self) -> RunSummary:
        """The fold of what was seen: the same function that decides the verdict."""
        return fold(self._entries)


class Screen:
    """A full-screen view, redrawn four times a second at most; the closing banner stays on the normal screen."""

    def __init__(self, output: TextIO, clock: Clock, story: _Story) -> None:
        self._story = story
        self._clock = clock
        self._lock = threading.Lock()
        self._pulse = Pulse()
        self._opened = time.monotonic()
        self._rack_opened = clock.elapsed()
        self._console = Console(file=output, highlight=False, emoji=False, markup=False)
        self._unicode = self._console.encoding.lower().startswith("utf")
        self._live = Live(
            console=self._console,
            screen=True,
            refresh_per_second=_REFRESH,
            get_renderable=self._frame,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._closed = False
        # Whatever ends this process in order, the cursor comes back.
        atexit.register(self.close)
        self._live.start()

    def entry(self, entry: e.Entry) -> None:
        """Take an entry in; the next frame shows it."""
        with self._lock:
            self._story.take(entry)

    def sampled(self, samples: Sequence[Sample]) -> None:
        """Show what telemetry reads now, beside what was judged."""
        with self._lock:
            self._pulse.take(samples)

    def close(self) -> None:
        """Restore the terminal and print the closing banner; a second call does nothing."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        atexit.unregister(self.close)
        # Outside the lock: stopping waits for the drawing thread, which takes the lock for its frame.
        self._live.stop()
        with self._lock:
            lines = banner(
                self._story.summary(),
                self._story.run_dir,
                width=self._console.width,
                height=self._console.height,
                unicode=self._unicode,
            )
        self._console.print(Group(*map(_inert, lines)), soft_wrap=True)

    def _frame(self) -> Group:
        with self._lock:
            lines = draw(
                self._story.board,
                wall=time.monotonic() - self._opened,
                rack=self._clock.elapsed() - self._rack_opened,
                width=self._console.width,
                height=self._console.height,
                unicode=self._unicode,
                since=self._story.since(),
                pulse=self._pulse.line(),
            )
        return Group(*(_one_row(_inert(line)) for line in lines))


def _inert(line: Text) -> Text:
    """A row whose words came from anywhere: one character for one, so that its colours stay where they are."""
    line.plain = masked(line.plain).replace("\n", " ")
    return line


def _one_row(line: Text) -> Text:
    line.no_wrap = True
    return line


class Lines:
    """One line an event that matters, and a sign of life every five seconds of a long step."""

    def __init__(self, output: TextIO, story: _Story) -> None:
        self._output = output
        self._story = story
        self._lock = threading.Lock()
        self._opened = self._last = self._step_began = time.monotonic()
        self._closing = threading.Event()
        self._closed = False
        self._pulse = threading.Thread(target=self._beat, name="rackproof-lines", daemon=True)
        self._pulse.start()

    def entry(self, entry: e.Entry) -> None:
        """Print what an entry has to say."""
        with self._lock:
            if not self._story.take(entry):
                return
            if isinstance(entry.event, e.StepStarted):
                self._step_began = time.monotonic()
            for text in _words(entry.event, self._story.board):
                self._say(text)

    def sampled(self, samples: Sequence[Sample]) -> None:
        """Nothing: lines tell of judged values only."""

    def close(self) -> None:
        """Print the closing lines; a second call does nothing."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        self._closing.set()
        self._pulse.join()
        lines = banner(self._story.summary(), self._story.run_dir, width=100, plain=True)
        self._write("".join(masked(line.plain).replace("\n", " ") + "\n" for line in lines))

    def _beat(self) -> None:
        while not self._closing.wait(1.0):
            now = time.monotonic()
            with self._lock:
                running = self._story.board.current
                if running and now - self._step_began >= _QUIET and now - self._last >= _EVERY:
                    said = still_running(self._story.board, now - self._step_began, self._story.since())
                    self._say(f"  {said}")

    def _say(self, text: str) -> None:
        self._last = time.monotonic()
        # What is indented cannot be taken for a line of ours.
        self._write(f"[{texts.span_text(self._last - self._opened):>7}] {told(text, ' ' * 10)}\n")

    def _write(self, text: str) -> None:
        encoding = getattr(self._output, "encoding", None) or "utf-8"
        self._output.write(text.encode(encoding, "replace").decode(encoding))
        self._output.flush()


def still_running(board: Board, seconds: float, since: float = 0.0) -> str:
    """One line on a step that takes its time: how far it is where it says so."""
    step = board.steps.get(board.current)
    title = texts.planned_text(step.planned) if step else board.current
    progress = board.progress
    if progress is None or progress.total <= 0:
        return f"{title}: running for {texts.span_text(seconds)}"
    share, left = how_far(progress, since)
    return f"{title}: {share:.0%}, {left.replace(' left', ' of rack time left')}, {progress.text}"


def _words(event: e.Event, board: Board) -> list[str]:  # noqa: PLR0912  one arm an event
    match event:
        case e.RunStarted():
            mark = f"{view.SIMULATED} " if board.who.simulated else ""
            return [
                f"{mark}unit {board.who.serial}, {board.who.model} revision {board.who.revision}, run {event.run_id}"
            ]
        case e.Planned():
            return [f"plan {event.plan}: {len(event.steps)} steps"]
        case e.ProofChecked():
            return [f"plan {event.status}: {event.says if event.status == PROVEN else '; '.join(event.reasons)}"]
        case e.StepFinished():
            return [_step_line(event, board)]
        case e.Measured() if event.judgement != Judgement.PASS:
            seen, wanted = texts.value_text(event.value, event.unit), texts.bounds_text(event.limit)
            return [f"  {event.judgement.upper()}: {event.subject} {event.key} is {seen}, wanted {wanted}"]
        case e.DeviceFailed():
            return [f"  {event.error}: {event.text}"]
        case e.DeviceLost():
            return [f"  lost {event.device}: {event.text}"]
        case e.DeviceBack():
            return [f"  {event.device} is back after {event.silent:.1f} s"]
        case e.Tripped():
            wanted = f", wanted {view.trip_bounds(event)}" if event.bounds else ""
            said = f"TRIPPED {event.interlock}: {event.subject}: {view.trip_text(event)}{wanted}"
            return [said, f"  {event.advice}"]
        case e.SafetyAction():
            word = "confirmed" if event.confirmed else "NOT CONFIRMED"
            return [f"  made safe: {event.device} {event.action}: {word} {event.text}".rstrip()]
        case e.MadeSafe() if event.unconfirmed:
            return [f"NOT CONFIRMED SAFE: {', '.join(event.unconfirmed)}"]
        case e.StopRequested():
            return [f"stopping, asked by {event.by}: {event.text}"]
        case e.Noted():
            return [f"  note: {event.text}"]
        case _:
            return []


def _step_line(event: e.StepFinished, board: Board) -> str:
    step = board.steps.get(event.step)
    if step is None:
        return f"{event.outcome} {event.step}"
    number = list(board.steps).index(event.step) + 1
    title = texts.planned_text(step.planned)
    tail = f": {event.text}" if event.text and event.outcome != "completed" else ""
    stage = texts.stage_text(step.planned.stage)
    return f"{step.verdict} {number}/{len(board.steps)} {stage}: {title}, {step.measured} measured{tail}"
