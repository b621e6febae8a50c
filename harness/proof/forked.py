"""A run as a fork of the proof: what all of them import is imported once, which is a good part of a short run.

It is as much of its own as one that was started anew: a session, its own output, nothing on standard input, and the
signals as a new process has them. What is forked must not have threads.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path

from harness.collecting import seldom_collecting
from harness.registry import DRIVERS, LIVE

MODULES = ("pytest", "harness.commands.run", "harness.running", "harness.session", "harness.quiet")
_FORK = multiprocessing.get_context("fork")


@contextlib.contextmanager
def preloaded() -> Iterator[None]:
    """Import what every run imports, drivers included; the forks of the meantime never collect what is there now."""
    for name in MODULES:
        import_module(name)
    for point in (*entry_points(group=DRIVERS), *entry_points(group=LIVE)):
        # One that cannot be imported says so in the runs, in its own words.
        with contextlib.suppress(ImportError):
            point.load()
    with seldom_collecting():
        yield


class Forked:
    """`rackproof ARGUMENTS` in a process of its own, like a Popen: `said` gets both its outputs."""

    def __init__(self, arguments: Sequence[str], said: Path) -> None:
        self._process = _FORK.Process(target=_become, args=(tuple(arguments), said))
        self._process.start()

    @property
    def pid(self) -> int:
        """Its process id, and that of its session."""
        return self._process.pid or 0

    @property
    def returncode(self) -> int | None:
        """Its exit code, negative for the signal that ended it; None while it runs."""
        return self._process.exitcode

    def poll(self) -> int | None:
        """Its exit code where it has ended."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int | None:
        """Wait for its end, so many wall seconds at most; its exit code, None where it still runs."""
        self._process.join(timeout)
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        """Send a signal, if it still runs."""
        if self._process.exitcode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)


def _become(arguments: Sequence[str], said: Path) -> None:
    """Turn this fork into `rackproof ARGUMENTS`; what is above this room is reached by name, as the command does."""
    os.setsid()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    with said.open("wb") as file, open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    sys.exit(import_module("harness.cli").run(arguments))
