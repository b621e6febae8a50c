"""The watchdog's process: it makes the rack safe when the station's process dies or hangs.

`python -m harness.safety.watchdog_process` is started by the station, which writes lines of JSON to its standard
input: first the charge (definition and secrets, which stand in no file, argument or environment), then its state and
heartbeats, at last a farewell. Nothing but the standard library is loaded before it takes over. It ends by itself:
after the farewell, or once it has taken over from a station that is gone.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import select
import signal
import sys
from dataclasses import dataclass, field
from typing import Any

TICK = 1.0
"""Wall seconds between two looks whether the station has been heard."""
HANG = 15
"""Ticks without a heartbeat after which the station hangs. It beats twice a second; a machine so busy that a process
stalls for seconds must not look like that, and the leases of the loads (30 s) must not run out first. Ticks count only
while this process runs: a machine that was suspended as a whole has missed none."""
IGNORED = (signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGQUIT, signal.SIGTSTP)
"""What a terminal or a service manager sends to all processes of a run: the station answers it, and says farewell."""
BLOCK = 65536


@dataclass(slots=True)
class Station:
    """What is known of the station from what it wrote."""

    charge: dict[str, Any] = field(default_factory=dict)
    dark: tuple[str, ...] = ()
    """Outlets that a step has switched off and means to switch on again."""
    cut: str = "never"
    """How far making safe has to go: the strongest that was begun."""
    farewell: bool = False
    wanted: str = ""
    """Why it asks to be relieved; empty while it does not."""
    rest: bytes = b""

    def hear(self, octets: bytes) -> int:
        """Take in what it wrote; how many whole lines that were."""
        *lines, self.rest = (self.rest + octets).split(b"\n")
        for line in lines:
            self._take(json.loads(line))
        return len(lines)

    def _take(self, said: dict[str, Any]) -> None:
        if not self.charge:
            self.charge = said
            refusal = _why_not(said)
            _tell({"refused": refusal} if refusal else {"ready": True})
        self.dark = tuple(said.get("dark", self.dark))
        self.cut = str(said.get("cut", self.cut))
        self.wanted = str(said.get("take_over", self.wanted))
        self.farewell = bool(said.get("farewell", self.farewell))


def stand_by() -> int:
    """Watch until the farewell or the station's end; the exit code says nothing."""
    for number in IGNORED:
        signal.signal(number, signal.SIG_IGN)
    # It holds secrets: they must not be found in a core file.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    station = Station()
    silent, relieved = 0, False
    while not station.farewell:
        ready, _, _ = select.select([0], [], [], TICK)
        octets = os.read(0, BLOCK) if ready else b""
        if ready and not octets:
            if station.charge:
                _take_over(station, "the station's process is gone: it did not say farewell")
            return 0
        if station.hear(octets):
            silent, relieved = 0, False
            _tell({"heard": True})
        elif station.charge:
            silent += 1
        reason = station.wanted or (f"the station hangs: no heartbeat for {silent} s" if silent >= HANG else "")
        if reason and not relieved:
            _tell({"took_over": reason})
            _take_over(station, reason)
            silent, relieved, station.wanted = 0, True, ""
    return 0


def _why_not(charge: dict[str, Any]) -> str:
    """Why it could not take over; empty where it could."""
    devices = charge["definition"]["bay"]["devices"].values()
    missing = {name for each in devices for name in each["secrets"].values() if not charge["secrets"].get(name)}
    if missing:
        return f"it was not given the secrets {', '.join(sorted(missing))}"
    return "" if os.path.isdir(charge["run_dir"]) else f"there is no directory {charge['run_dir']}"


def _take_over(station: Station, reason: str) -> None:
    # Only now: a run that goes well must not pay for this.
    from harness.safety.takeover import Takeover

    Takeover(station.charge, station.dark, station.cut, reason).run()


def _tell(said: dict[str, Any]) -> None:
    """Tell the station, if it still listens."""
    with contextlib.suppress(OSError):
        os.write(1, json.dumps(said).encode() + b"\n")


if __name__ == "__main__":
    sys.exit(stand_by())
