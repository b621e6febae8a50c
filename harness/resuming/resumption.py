"""Whether a run may be taken up again, and as what: everything that can be told without touching a device."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import DefinitionError, Problem
from harness.evidence import JOURNAL, Breach
from harness.journal import events as e
from harness.journal.reader import Journal, read_journal
from harness.journal.watchdog import read_watchdog
from harness.proof.digests import CHANGES
from harness.rack.definition import RackDefinition
from harness.verdict import RunSummary, fold

MAY_MOVE = ("devices", "secrets", "station")
"""What of a bay may be another when a run is taken up again: how its devices are reached, never which bay it is."""
BOUND = (*CHANGES, "harness")
"""The digests of what runs that a passed step rests on."""
NEW_RUN = "start a new run of this rack"


@dataclass(frozen=True, slots=True)
class Broken:
    """A run that broke, as its journal has it."""

    run_dir: Path
    journal: Journal
    summary: RunSummary
    started: e.RunStarted


@dataclass(frozen=True, slots=True)
class Resumption:
    """How a run goes on. `changed` are reasons for every step, `moved` the devices that are reached otherwise."""

    broken: Broken
    breach: Breach
    changed: tuple[str, ...]
    moved: tuple[str, ...]

    def watchdog(self) -> tuple[e.WatchdogActed, ...]:
        """What the watchdog did since the run broke; to be asked once it has let go of the rack."""
        told = sum(isinstance(entry.event, e.WatchdogActed) for entry in self.broken.journal.entries)
        return read_watchdog(self.broken.run_dir)[told:]


def find_broken(run_dir: Path) -> Broken:
    """The run of a directory, if it may be taken up again; raises DefinitionError saying why not, or CorruptJournal."""
    path = run_dir / JOURNAL
    if not run_dir.is_dir() or not path.is_file():
        raise _refused(run_dir, "is no run directory: it holds no journal")
    if _is_being_written(path):
        raise _refused(run_dir, "this run is still going on: another process writes its journal")
    journal = read_journal(path)
    summary = fold(journal.entries)
    if summary.started is None:
        raise _refused(run_dir, f"the run broke before anything was begun: {NEW_RUN}")
    if summary.trips:
        said = "; ".join(f"{trip.interlock}: {trip.text}" for trip in summary.trips)
        raise _refused(run_dir, f"an interlock tripped ({said}), and a trip stays: {NEW_RUN} once its cause is gone")
    if summary.complete and not summary.stops:
        raise _refused(run_dir, f"this run came to its own end ({summary.verdict}), nothing is left to do in it")
    return Broken(run_dir, journal, summary, summary.started)


def resumption(
    broken: Broken,
    definition: RackDefinition,
    running: Mapping[str, str],
    software: Mapping[str, str],
    drivers: Mapping[str, str],
    *,
    operator: str,
    station: str,
) -> Resumption:
    """How a run goes on with what is there now; raises DefinitionError with everything that may not be different."""
    recorded, now = broken.started.definition, _plain(definition.as_json())
    bay = _present_bay(broken)
    problems = [*_model_problems(recorded, now), *_bay_problems(recorded, now)]
    if recorded.get("unit") != now.get("unit"):
        problems.append(Problem("unit", "", f"the run is about {recorded.get('unit')}, not about {now.get('unit')}"))
    if problems:
        raise DefinitionError([Problem(str(broken.run_dir), "", "cannot be resumed:"), *problems])
    here = now["bay"]["devices"]
    moved = tuple(sorted(name for name in here if here[name] != bay.get("devices", {}).get(name)))
    resumed = e.Resumed(
        sitting=len(broken.summary.sittings) + 1,
        why=broken.summary.sittings[-1].ended,
        torn=broken.journal.torn,
        operator=operator,
        station=station,
        software=dict(software),
        drivers=dict(drivers),
        bay=None if now["bay"] == bay else now["bay"],
        bay_digest=definition.bay_digest,
        running=dict(running),
    )
    changed = _changes(broken.journal.entries, running, software)
    return Resumption(broken, Breach(broken.journal, resumed), changed, moved)


def _changes(entries: Sequence[e.Entry], running: Mapping[str, str], software: Mapping[str, str]) -> tuple[str, ...]:
    """What else a passed step rests on and is not as it was."""
    was: Mapping[str, str] = {}
    had: Mapping[str, str] = {}
    for entry in entries:
        if isinstance(entry.event, e.ProofChecked | e.Resumed):
            was = entry.event.running
        if isinstance(entry.event, e.RunStarted | e.Resumed):
            had = entry.event.software
    words = CHANGES | {"harness": "the harness changed since"}
    found = [words[name] for name in BOUND if not was.get(name) or was.get(name) != running.get(name)]
    found += [
        f"{name} is {software.get(name)}, was {had.get(name)}"
        for name in sorted({*had, *software})
        if had.get(name) != software.get(name)
    ]
    return tuple(found)


def _present_bay(broken: Broken) -> Mapping[str, Any]:
    """The bay of the last sitting."""
    bay: Mapping[str, Any] = broken.started.definition.get("bay") or {}
    for entry in broken.journal.entries:
        if isinstance(entry.event, e.Resumed) and entry.event.bay is not None:
            bay = entry.event.bay
    return bay


def _model_problems(recorded: Mapping[str, Any], now: Mapping[str, Any]) -> list[Problem]:
    if recorded.get("model") == now["model"] and recorded.get("model_digest") == now["model_digest"]:
        return []
    names = _differing(recorded.get("model"), now["model"])
    what = ", ".join(names[:8]) or "nothing but its wording"
    digests = f"{str(recorded.get('model_digest'))[:12]}…, now {str(now['model_digest'])[:12]}…"
    return [Problem("model", what, f"is not the one that the run began with ({digests}): put it back, or {NEW_RUN}")]


def _bay_problems(recorded: Mapping[str, Any], now: Mapping[str, Any]) -> list[Problem]:
    was, here = recorded.get("bay") or {}, now["bay"]
    problems = []
    for name in sorted({*was, *here} - set(MAY_MOVE)):
        if was.get(name) == here.get(name):
            continue
        if name == "simulated":
            text = (
                "the simulated rack of this run is gone, and another one is another rack. Keep one standing with "
                f"rackproof simulate for runs that are to be resumed; {NEW_RUN}"
            )
        else:
            text = f"is {here.get(name)!r}, was {was.get(name)!r}: only addresses may change"
        problems.append(Problem("bay", name, text))
    return problems


def _differing(left: object, right: object, path: str = "") -> list[str]:
    """Dotted paths of what differs, two levels deep."""
    if isinstance(left, Mapping) and isinstance(right, Mapping) and path.count(".") < 2:
        found = []
        for name in sorted({*left, *right}):
            found += _differing(left.get(name), right.get(name), f"{path}.{name}" if path else str(name))
        return found
    return [] if left == right else [path]


def _plain(value: object) -> dict[str, Any]:
    """As the journal gives it back."""
    plain: dict[str, Any] = json.loads(json.dumps(value))
    return plain


def _refused(run_dir: Path, text: str) -> DefinitionError:
    return DefinitionError([Problem(str(run_dir), "", text)])


def _is_being_written(path: Path) -> bool:
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(file)
    return False
