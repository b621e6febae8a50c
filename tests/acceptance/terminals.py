"""A command on a terminal of its own, as a technician has it: typed at, signalled, hung up; and what it leaves."""

from __future__ import annotations

import contextlib
import os
import pty
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from tests.acceptance.runs import RACKPROOF, ROOT

PATIENCE = 240
"""Wall seconds to wait for something that must happen; far more than it takes."""
LEADER = (
    "import fcntl, os, sys, termios; os.setsid(); fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
    "os.execv(sys.argv[1], sys.argv[1:])"
)
"""Leads a session whose controlling terminal is standard input."""


class Terminal:
    """`rackproof` with these arguments on a pseudo-terminal; what it shows is kept."""

    def __init__(self, *arguments: str) -> None:
        self._master, slave = pty.openpty()
        # The reader closes its own end whenever the command has ended; what is typed with stays ours.
        self._keyboard = os.dup(self._master)
        self.process = subprocess.Popen(
            [sys.executable, "-c", LEADER, *RACKPROOF, *arguments], cwd=ROOT, stdin=slave, stdout=slave, stderr=slave
        )
        os.close(slave)
        self._shown = bytearray()
        self._hung_up = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.until(self._is_its_own)

    def _is_its_own(self) -> bool:
        """Whether the terminal is the command's: what is typed before reaches nobody."""
        fields = (Path("/proc") / str(self.process.pid) / "stat").read_text().rpartition(")")[2].split()
        return int(fields[3]) == self.process.pid and fields[4] != "0"

    def _read(self) -> None:
        with contextlib.suppress(OSError):
            while not self._hung_up.is_set() and (octets := os.read(self._master, 65536)):
                self._shown += octets
        os.close(self._master)

    @property
    def shown(self) -> str:
        """Everything that it has shown so far, with what moves the cursor."""
        return self._shown.decode("utf-8", "replace")

    def type(self, text: str) -> None:
        """Type at it; `\\x03` is Ctrl-C."""
        os.write(self._keyboard, text.encode())

    def hang_up(self) -> None:
        """Close the terminal's window."""
        self._hung_up.set()
        self.type("\n")  # the echo wakes the reader, which lets go of its end
        self._reader.join(PATIENCE)
        self._let_go()

    def until(self, happened: Callable[[], bool]) -> None:
        """Wait until something has happened; fails when the command ends first."""
        end = time.monotonic() + PATIENCE
        while not happened():
            assert time.monotonic() < end, f"it never happened: {self.shown[-3000:]}"
            assert self.process.poll() is None, f"it ended before: {self.shown[-3000:]}"
            time.sleep(0.05)

    def wait(self) -> int:
        """Its exit code, once it has ended."""
        return self.process.wait(PATIENCE)

    def close(self) -> None:
        """End it, if it has not ended."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._reader.join(PATIENCE)
        self._let_go()

    def _let_go(self) -> None:
        if self._keyboard >= 0:
            os.close(self._keyboard)
        self._keyboard = -1


def processes(text: str) -> list[int]:
    """The processes on whose command line this stands."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if text.encode() in file.read_bytes().replace(b"\0", b" "):
                found.append(int(file.parent.name))
    return found


def children(pid: int, text: str) -> list[int]:
    """Those of them that a process has started."""
    found = []
    for each in processes(text):
        with contextlib.suppress(OSError):
            if int((Path("/proc") / str(each) / "stat").read_text().rpartition(")")[2].split()[1]) == pid:
                found.append(each)
    return found


def loads(folder: Path) -> list[int]:
    """The processes of loads on the simulated hosts whose homes are below a folder."""
    found = []
    for file in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if f"RACKPROOF_JOB={folder}".encode() in file.read_bytes():
                found.append(int(file.parent.name))
    return found


def gone(pid: int) -> bool:
    """Whether a process has ended."""
    return not Path(f"/proc/{pid}").exists()
