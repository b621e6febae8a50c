"""The claim on a rack: one station at a time, told by a file that all stations that could reach the rack share.

The file lies in the folder of claims: that of the bay (`claims`, on a disk which the stations of the line share), else
one of this station. It names who holds the rack since when, under which fencing token, and is written again every third
of its lease. A process that has it locked (flock) lives; where the lock does not travel between stations (most file
servers do carry it, NFS from version 4 on), the lease does: a claim that stands unchanged for as long is over.
The token only grows. A holder that finds another token in the file has lost the rack and may not touch it any more.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import platform
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from harness.errors import DefinitionError, Problem
from harness.journal.events import Claimed
from harness.rack.definition import RackDefinition

LEASE = 30.0
"""Wall seconds; a third of it lies between two renewals."""
LARGEST = 4096
POLL = 0.2
"""Wall seconds between two looks at a claim of another."""


@dataclass(frozen=True, slots=True)
class Held:
    """What a claim's file says: who holds, or last held, the rack. `beat` counts the renewals."""

    rack: str
    token: int
    station: str
    process: int
    run: str
    since: str
    beat: int = 0
    released: bool = False

    @property
    def text(self) -> str:
        """Who holds the rack since when, for a person."""
        return f"station {self.station} (process {self.process}) holds this rack since {self.since}, for run {self.run}"


class Claim:
    """A rack held by this process; `lost` is called once, from a thread, when another station has taken it over."""

    def __init__(self, path: Path, file: int, held: Held, lease: float) -> None:
        self.lost: Callable[[str], None] = lambda _why: None
        self._path = path
        self._file = file
        self._held = held
        self._lease = lease
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._renew, name="claim", daemon=True)
        self._thread.start()

    @property
    def descriptor(self) -> int:
        """The locked file: whoever inherits it (the watchdog) holds the rack as long as it lives."""
        return self._file

    def event(self) -> Claimed:
        """The claim as the journal keeps it."""
        held = self._held
        return Claimed(held.rack, held.token, held.station, held.process, self._lease)

    def release(self) -> None:
        """Give the rack free, unless it is lost; may be called twice."""
        if self._over.is_set():
            return
        self._over.set()
        self._thread.join()
        found = _read(self._file)
        if found is not None and found.token == self._held.token:
            with contextlib.suppress(OSError):
                _write(self._file, replace(self._held, released=True))
        os.close(self._file)

    def _renew(self) -> None:
        while not self._over.wait(self._lease / 3):
            found = _read_again(self._path)
            if found is not None and found.token > self._held.token:
                self.lost(f"{found.text}: this station was silent for longer than its lease of {self._lease:g} s")
                return
            self._held = replace(self._held, beat=self._held.beat + 1)
            # A disk that takes nothing stops the run by itself; the claim then ages.
            with contextlib.suppress(OSError):
                _write(self._file, self._held)


@dataclass(frozen=True, slots=True)
class Terms:
    """By which name, for how long and how patiently a rack is claimed; wall seconds."""

    station: str = field(default_factory=platform.node)
    lease: float = LEASE
    patience: float = 60.0
    """How long a lock is waited for whose holder is dead: the watchdog has it as long as it makes the rack safe."""
    say: Callable[[str], object] = lambda _text: None


def claim_rack(definition: RackDefinition, bay_file: Path, run_id: str, terms: Terms) -> Claim:
    """Claim the rack for this process; raises DefinitionError naming who holds it, nothing contacted.

    A claim of this station whose process is gone is taken over at once; one of another station once it has stood
    unchanged for a lease.
    """
    folder = claims_folder(definition, bay_file)
    path = folder / f"{rack_key(definition)}.claim"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        text = f"the rack cannot be claimed: {error.strerror}. Check the bay's folder of claims"
        raise DefinitionError([Problem(str(folder), "", text)]) from error
    try:
        _lock(file, path, terms)
        token = _wait_out(file, path, terms) + 1
        since = datetime.now(UTC).isoformat(timespec="seconds")
        held = Held(definition.unit.serial, token, terms.station, os.getpid(), run_id, since)
        _write(file, held)
    except BaseException:
        os.close(file)
        raise
    return Claim(path, file, held, terms.lease)


def claims_folder(definition: RackDefinition, bay_file: Path) -> Path:
    """Where claims are kept: as the bay says (relative to its file), else below the user's state directory.

    A simulated rack keeps its own, and they go with it.
    """
    if definition.bay.claims:
        return (bay_file.resolve().parent / definition.bay.claims).resolve()
    if definition.bay.simulated is not None and definition.bay.simulated.history:
        return Path(definition.bay.simulated.history).resolve().parent / "claims"
    state = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(state) / "rackproof" / "claims"


def rack_key(definition: RackDefinition) -> str:
    """What one rack is to all stations: the addresses of its trays and hosts; of all devices where it has neither."""
    own = [each for each in definition.devices if each.role in ("compute_tray", "host")] or list(definition.devices)
    text = "\n".join(sorted(each.endpoint.address for each in own))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _lock(file: int, path: Path, terms: Terms) -> None:
    until = time.monotonic() + terms.patience
    told = False
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            held = _read_again(path)
            if held is None or held.station != terms.station or _lives(held.process) or time.monotonic() >= until:
                raise _refused(held) from None
        if not told:
            told = True
            terms.say("the run that held this rack is gone, and its watchdog is making the rack safe: waiting …")
        time.sleep(POLL)


def _wait_out(file: int, path: Path, terms: Terms) -> int:
    """The token of whoever held the rack before, once that is known to be over."""
    before = _read(file)
    if before is None:
        return 0
    if not before.released and before.station != terms.station:
        terms.say(f"{before.text}; waiting {terms.lease:.0f} s to see whether it still does …")
        until = time.monotonic() + terms.lease
        while time.monotonic() < until:
            time.sleep(min(POLL, terms.lease))
            now = _read_again(path)
            if now is not None and now != before:
                raise _refused(now)
    return before.token


def _lives(process: int) -> bool:
    return Path(f"/proc/{process}").exists()


def _refused(held: Held | None) -> DefinitionError:
    who = held.text if held is not None else "another process holds this rack"
    advice = "Wait for that run to end, or stop it there; nothing was contacted from here"
    return DefinitionError([Problem("claim", "", f"{who}. {advice}")])


def _write(file: int, held: Held) -> None:
    data = json.dumps(asdict(held), sort_keys=True).encode().ljust(LARGEST - 1) + b"\n"
    os.pwrite(file, data, 0)
    os.fsync(file)


def _read(file: int) -> Held | None:
    """What a claim's file says; None where it is new or cannot be read."""
    try:
        found = json.loads(os.pread(file, LARGEST, 0).decode())
        return Held(**found)
    except (OSError, ValueError, TypeError):
        return None


def _read_again(path: Path) -> Held | None:
    """As another station left it: opened anew, so that a file server's cache is asked again."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return _read(file)
    finally:
        os.close(file)
