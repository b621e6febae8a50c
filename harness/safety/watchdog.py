"""The watchdog, as the station sees it: a process of its own that makes the rack safe when the station cannot.

It is started before anything is contacted, in a session of its own, so that neither Ctrl-C nor the end of the terminal
or of the station's process group reaches it. See `harness.safety.watchdog_process` for when it takes over.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableSet
from dataclasses import dataclass
from pathlib import Path

from harness.connection import Secret
from harness.errors import RackproofError
from harness.rack.definition import RackDefinition

BEAT = 0.5
"""Wall seconds between two heartbeats of the rack's loop."""
UNHEARD = 60
"""Heartbeats without an answer after which the watchdog counts as gone: half a minute in which it did not run."""
READY_WITHIN = 60.0
"""Wall seconds for its process to stand; it takes a tenth of one."""
ENDING_TIME = 5.0
"""Wall seconds for it to end after the farewell; more where it is just making the rack safe."""


class DarkOutlets(MutableSet[str]):
    """Outlets that a step has switched off and means to switch on again; who has to know is told of every change."""

    def __init__(self, changed: Callable[[tuple[str, ...]], None] = lambda _outlets: None) -> None:
        self._outlets: set[str] = set()
        self._changed = changed

    def __contains__(self, outlet: object) -> bool:
        return outlet in self._outlets

    def __iter__(self) -> Iterator[str]:
        return iter(tuple(self._outlets))

    def __len__(self) -> int:
        return len(self._outlets)

    def add(self, value: str) -> None:
        """Before it is switched off: a station that dies in between has not lost it."""
        self._outlets.add(value)
        self._changed(tuple(sorted(self._outlets)))

    def discard(self, value: str) -> None:
        """After it reads back as on."""
        self._outlets.discard(value)
        self._changed(tuple(sorted(self._outlets)))


@dataclass(frozen=True, slots=True)
class Charge:
    """What the watchdog is given of a run."""

    definition: RackDefinition
    secrets: Mapping[str, Secret]
    run_dir: Path
    held: tuple[int, ...] = ()
    """Open files that it has to hold as long as it lives: the rack's claim."""

    def line(self) -> dict[str, object]:
        """As it goes over the pipe, and nowhere else: it holds the secrets."""
        return {
            "definition": self.definition.as_json(),
            "secrets": {name: secret.reveal() for name, secret in self.secrets.items()},
            "run_dir": str(self.run_dir.resolve()),
        }


class Watchdog:
    """The station's end of the pipe. `gone` is called once, on a thread of its own, when the run is unwatched.

    The reason is either that the process has ended or answers no more, or that it has taken over.
    """

    def __init__(self, charge: Charge) -> None:
        """Start the process and give it its charge; raises RackproofError where it could not take over."""
        hidden = {secret.reveal() for secret in charge.secrets.values()}
        # A secret that came by the environment goes on by the pipe alone.
        environment = {name: value for name, value in os.environ.items() if value not in hidden}
        self._gone: Callable[[str], None] = lambda _why: None
        self._ready = threading.Event()
        self._refusal = ""
        self._over = False
        self._unheard = 0
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "harness.safety.watchdog_process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            pass_fds=charge.held,
            start_new_session=True,
        )
        self._said: str = ""
        self._pid = self._process.pid
        self._reader = threading.Thread(target=self._listen, name="watchdog", daemon=True)
        self._reader.start()
        self._write(charge.line())
        if not self._ready.wait(READY_WITHIN) or self._refusal:
            why = self._refusal or f"it was not ready within {READY_WITHIN:.0f} s"
            self._kill()
            raise RackproofError(f"start the watchdog: {why}. Nothing was contacted; run rackproof doctor")
        # From now on nothing that it does may keep the rack's loop waiting.
        os.set_blocking(self._pipe, False)

    @property
    def pid(self) -> int:
        """Its process, for those who look after it."""
        return self._pid

    @property
    def _pipe(self) -> int:
        assert self._process.stdin is not None
        return self._process.stdin.fileno()

    def call(self, gone: Callable[[str], None]) -> None:
        """Whom to call when the run is unwatched; at once where it already is."""
        self._gone = gone
        if self._said:
            gone(self._said)

    async def beat(self) -> None:
        """Tell it twice a second that the rack's loop turns, until cancelled."""
        while True:
            self._unheard += 1
            self._write({})
            if self._unheard > UNHEARD:
                self._lost("the watchdog answers no more")
            await asyncio.sleep(BEAT)

    def darkened(self, outlets: Iterable[str]) -> None:
        """Tell it which outlets are off for a while."""
        self._write({"dark": list(outlets)})

    def cutting(self, cut: str) -> None:
        """Tell it how far making safe has to go."""
        self._write({"cut": cut})

    def relieve(self, why: str) -> None:
        """Ask it to take over now: the rack's loop cannot."""
        self._write({"take_over": why})

    @property
    def is_on_duty(self) -> bool:
        """Whether it would still take over: nobody has said farewell."""
        return not self._over

    def dismiss(self) -> None:
        """Say farewell: the rack is safe, or the station has done what it could. May be called twice; never raises."""
        with self._lock:
            if self._over:
                return
            self._over = True
        with contextlib.suppress(OSError, ValueError):
            os.set_blocking(self._pipe, True)
            os.write(self._pipe, b'{"farewell": true}\n')
        try:
            self._process.wait(ENDING_TIME)
        except subprocess.TimeoutExpired:
            # It is making the rack safe and ends by itself; or it is stuck, and what it holds is not to be lost.
            with contextlib.suppress(OSError):
                self._close()
            return
        self._close()

    def _write(self, said: Mapping[str, object]) -> None:
        line = json.dumps(said).encode() + b"\n"
        try:
            with self._lock:
                if self._over:
                    return
                while line:
                    line = line[os.write(self._pipe, line) :]
        except (OSError, ValueError) as error:
            self._lost(f"the watchdog takes no more ({error})")

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            said = json.loads(line)
            self._unheard = 0
            if "took_over" in said:
                self._lost(f"the watchdog has taken over: {said['took_over']}")
            if "ready" in said or "refused" in said:
                self._refusal = str(said.get("refused", ""))
                self._ready.set()
        if not self._ready.is_set():
            self._refusal = "its process ended"
            self._ready.set()
        self._lost("the watchdog's process has ended")

    def _lost(self, why: str) -> None:
        if not self._over and not self._said:
            self._said = why
            self._gone(why)

    def _kill(self) -> None:
        self._over = True
        self._process.kill()
        self._process.wait()
        self._close()

    def _close(self) -> None:
        if self._process.poll() is not None:
            self._reader.join(1.0)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None and (pipe is not self._process.stdout or self._process.poll() is not None):
                with contextlib.suppress(OSError):
                    pipe.close()
