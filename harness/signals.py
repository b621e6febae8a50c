"""Ctrl-C and SIGTERM: the first stops and makes safe, the second informs, the third abandons the rack and says so."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import TextIO

from harness.inert import told
from harness.session import RackSession

ABANDONED = 4
"""Exit code of an abandoned run: the same as of an aborted one."""
PARENT_POLL = 0.5
"""Wall seconds between two looks for the parent process."""
ORPHANED = 60.0
"""Wall seconds that a run whose parent is gone may take to make its rack safe."""


STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """While inside, SIGTERM and SIGHUP interrupt as Ctrl-C does: nothing is contacted yet that had to be made safe.

    A SIGHUP that the caller had ignored (nohup) stays ignored. No core file is left: it would hold the secrets.
    """
    _, most = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, most))

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    with _answering(stop):
        yield


class Stops:
    """What signals mean while a session runs: see `stopping_on_signals`."""

    def __init__(self, session: Callable[[], RackSession | None], output: TextIO) -> None:
        self._session = session
        self._output = output
        self._count = 0
        self._reporting: Path | None = None
        self.requested = ""
        """Which signal came while there was no session yet; empty where none did."""

    def report(self, run_dir: Path) -> None:
        """From now on the rack is safe and the run is over; only its reports are still written."""
        self._reporting = run_dir
        self._count = 0

    def take(self, number: int, _frame: FrameType | None) -> None:
        """Answer a signal."""
        name = "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name
        rack = self._session()
        if rack is None:
            self.requested = name
            raise KeyboardInterrupt
        self._count += 1
        if self._reporting is not None:
            self._leave_reports(self._reporting)
        elif self._count == 1:
            rack.stop(name, "stopping the loads and making the rack safe")
        elif self._count == 2:
            self._say("Already stopping: the rack is being made safe. Once more abandons it as it is.")
        else:
            self._abandon(rack)

    def _leave_reports(self, run_dir: Path) -> None:
        if self._count == 1:
            self._say(
                "The rack is safe and the run is over: its reports are being written. Once more leaves without them."
            )
            return
        self._say(f"LEFT WITHOUT REPORTS. The evidence is complete: rackproof report {run_dir} writes them.")
        os._exit(ABANDONED)

    def _abandon(self, rack: RackSession) -> None:
        try:
            left = "; ".join(rack.unconfirmed())
            with contextlib.suppress(OSError, ValueError):
                if self._output.isatty():
                    self._output.write("\x1b[?1049l\x1b[?25h")  # whatever the live screen has done to the terminal
            more = " The watchdog goes on trying, and writes down in watchdog.jsonl what came of it."
            if left or rack.is_watched:
                what = f"Not confirmed safe, go and look: {left or 'unknown'}.{more if rack.is_watched else ''}"
            else:
                what = "The rack was made safe, and all of that was read back; the journal lacks its end."
            self._say(f"ABANDONED. {what}")
        finally:
            os._exit(ABANDONED)  # whatever else is broken by now

    def _say(self, text: str) -> None:
        # The terminal may be gone: that is one of the reasons to stop.
        with contextlib.suppress(OSError, ValueError):
            self._output.write(f"\n{told(text)}\n")
            self._output.flush()


@contextlib.contextmanager
def stopping_on_signals(session: Callable[[], RackSession | None], output: TextIO) -> Iterator[Stops]:
    """While inside, SIGINT, SIGTERM and SIGHUP stop the session instead of killing the process.

    The first stops and makes safe, the second informs, the third abandons the rack and names what is not confirmed.
    Without a session there is nothing to make safe: KeyboardInterrupt. A SIGHUP that was ignored stays ignored.
    """
    stops = Stops(session, output)
    with _answering(stops.take):
        yield stops


@contextlib.contextmanager
def _answering(answer: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    numbers = [number for number in STOPPING if not (number == signal.SIGHUP and ignored)]
    before = {number: signal.signal(number, answer) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def stop_without(parent: int) -> None:
    """From now on stop this process once the process `parent` is gone: in order, and after a while in any case.

    SIGTERM stops it in order from now on, also while nothing is contacted yet.
    """

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    def watch() -> None:
        while _is_alive(parent):
            time.sleep(PARENT_POLL)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(ORPHANED)
        os._exit(ABANDONED)

    signal.signal(signal.SIGTERM, stop)
    threading.Thread(target=watch, name="parent", daemon=True).start()


def _is_alive(process: int) -> bool:
    """Whether a process runs; one that is dead and not yet waited for does not."""
    try:
        state = Path(f"/proc/{process}/stat").read_text("utf-8", "replace")
    except OSError:
        return False
    return state.rpartition(")")[2].split()[0] not in ("Z", "X")
