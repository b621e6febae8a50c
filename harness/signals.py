"""Ctrl-C and SIGTERM: the first stops and makes safe, the second informs, the third abandons the rack and says so."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import TextIO

from harness.session import RackSession

ABANDONED = 4
"""Exit code of an abandoned run: the same as of an aborted one."""
PARENT_POLL = 0.5
"""Wall seconds between two looks for the parent process."""
ORPHANED = 60.0
"""Wall seconds that a run whose parent is gone may take to make its rack safe."""


@contextlib.contextmanager
def stopping_on_signals(session: Callable[[], RackSession | None], output: TextIO) -> Iterator[None]:
    """While inside, SIGINT, SIGTERM and SIGHUP stop the session instead of killing the process."""
    count = 0

    def stop(number: int, _frame: FrameType | None) -> None:
        nonlocal count
        count += 1
        name = "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name
        rack = session()
        if rack is None:
            raise KeyboardInterrupt
        if count == 1:
            rack.stop(name, "stopping the loads and making the rack safe")
        elif count == 2:
            _say(output, "Already stopping: the rack is being made safe. Once more abandons it as it is.")
        else:
            open_actions = rack.unconfirmed()
            _say(output, "ABANDONED. Not confirmed safe, go and look: " + ("; ".join(open_actions) or "unknown"))
            os._exit(ABANDONED)

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, stop) for number in numbers}
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


def _say(output: TextIO, text: str) -> None:
    with contextlib.suppress(OSError, ValueError):
        output.write(f"\n{text}\n")
        output.flush()
