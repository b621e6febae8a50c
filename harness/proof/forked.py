"""A run as a fork of the proof, and its rack as one of the run: what all of them import is imported once.

That is a good part of a short run. A fork is as much of its own as a process that was started anew: a session, its own
output, nothing on standard input, and the signals as a new process has them. What is forked must not have threads.
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

RUN = "harness.cli:run"
"""Above this room, and reached by name, as the command does."""
RACK = "fixtures.__main__:main"
MODULES = ("pytest", "harness.commands.run", "harness.running", "harness.session", "harness.quiet", "fixtures.rack")
_FORK = multiprocessing.get_context("fork")
_preloaded = False


def is_preloaded() -> bool:
    """Whether this process, or one that it is a fork of, has imported all beforehand."""
    return _preloaded


@contextlib.contextmanager
def preloaded() -> Iterator[None]:
    """Import what every run and its rack import, drivers included; forks never collect what is there now."""
    global _preloaded  # noqa: PLW0603 - a property of the process, which its forks have too
    for name in (*MODULES, RUN.partition(":")[0], RACK.partition(":")[0]):
        import_module(name)
    for point in (*entry_points(group=DRIVERS), *entry_points(group=LIVE)):
        # One that cannot be imported says so in the runs, in its own words.
        with contextlib.suppress(ImportError):
            point.load()
    with seldom_collecting():
        _preloaded = True
        try:
            yield
        finally:
            _preloaded = False


class Forked:
    """A program with its ARGUMENTS in a process of its own, like a Popen: `said` gets both its outputs."""

    def __init__(self, program: str, arguments: Sequence[str], said: Path, *, has_forks: bool = False) -> None:
        """The `program` is a MODULE:FUNCTION that takes arguments; one that has no forks ends with this process."""
        self._process = _FORK.Process(target=_become, args=(program, tuple(arguments), said), daemon=not has_forks)
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


def _become(program: str, arguments: Sequence[str], said: Path) -> None:
    """Turn this fork into a program."""
    os.setsid()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    with said.open("wb") as file, open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    module, _, function = program.partition(":")
    sys.exit(getattr(import_module(module), function)(arguments))
