"""Ctrl-C and SIGTERM: the first stops and makes safe, the second informs, the third abandons the rack and says so."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from types import FrameType
from typing import TextIO

from harness.session import RackSession

ABANDONED = 4
"""Exit code of an abandoned run: the same as of an aborted one."""


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


def _say(output: TextIO, text: str) -> None:
    with contextlib.suppress(OSError, ValueError):
        output.write(f"\n{text}\n")
        output.flush()
