"""What one run contributes: who the rack is, how it was judged, the numbers it measured; only of runs that verify."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness.errors import DefinitionError, RackproofError
from harness.journal.events import Measured, RunStarted
from harness.journal.reader import read_journal
from harness.limits import Judgement
from harness.observing import Verifier
from harness.quantities import Unit, convert
from harness.rack.baselines import SCALED
from harness.rack.vocabulary import LIMIT_KEYS
from harness.verdict import RunSummary, Verdict, fold

JOURNAL, CERTIFICATE = "journal.jsonl", "certificate.intoto.jsonl"

ABSURD = 1e100
"""No instrument counts so far, and sums of such numbers end in infinity."""


@dataclass(frozen=True, slots=True)
class RackRun:
    """One run as far as a baseline is concerned. `values` are by limit key, in the unit of the vocabulary.

    A value that was not usable is NaN here, so that it is refused later and never left out of a median unseen.
    """

    run: str
    serial: str
    model: str
    revision: str
    simulated: bool
    verdict: Verdict
    ended: datetime
    journal: str
    certificate: str
    values: Mapping[str, tuple[float, ...]]
    tolerances: Mapping[str, float] = field(default_factory=dict)
    """Percent, by key: as the model of this run sets them."""


@dataclass(frozen=True, slots=True)
class Found:
    """All run directories read: the runs that verify, what is wrong with the others, and the verifier's remarks."""

    runs: tuple[RackRun, ...]
    distrusted: tuple[str, ...]
    remarks: tuple[str, ...]


def read_runs(folders: Iterable[Path], verify: Verifier, root: Path | None) -> Found:
    """Verify and read run directories, each once; raises DefinitionError naming every one that is none."""
    once = sorted({folder.resolve() for folder in folders})
    lost = [folder for folder in once if not (folder / JOURNAL).is_file()]
    if lost:
        listed = ", ".join(str(folder) for folder in lost)
        raise DefinitionError(f"there is no run in {listed}: a run directory holds a {JOURNAL}")
    runs: list[RackRun] = []
    distrusted: set[str] = set()
    remarks: set[str] = set()
    for folder in once:
        found = verify(folder, root)
        if not found.ok:
            first = found.findings[0]
            distrusted.add(f"{folder.name} does not verify: {first.file}: {first.text}")
            continue
        remarks.update(found.remarks)
        try:
            journal = read_journal(folder / JOURNAL)
            certificate = folder / CERTIFICATE
            sealed = hashlib.sha256(certificate.read_bytes()).hexdigest() if certificate.is_file() else ""
            runs.append(rack_run(fold(journal.entries), journal.head, sealed))
        except (OSError, RackproofError, ValueError) as error:
            distrusted.add(f"{folder.name} cannot be read: {error}")
    return Found(tuple(runs), tuple(sorted(distrusted)), tuple(sorted(remarks)))


def rack_run(summary: RunSummary, journal: str, certificate: str) -> RackRun:
    """What a run contributes, from its folded journal; raises ValueError where that does not say which rack it was."""
    started = summary.started
    if started is None:
        raise ValueError("its journal does not say which rack was tested")
    model, unit = _table(started.definition.get("model")), _table(started.definition.get("unit"))
    name, serial = model.get("name"), unit.get("serial")
    if not (isinstance(name, str) and name and isinstance(serial, str) and serial):
        raise ValueError("its definition names no model or no serial")
    ended = datetime.fromisoformat(summary.last)
    values: dict[str, list[float]] = {}
    for step in summary.steps:
        for measured in step.measurements:
            if is_learnable(measured):
                values.setdefault(measured.key, []).append(number(measured))
    return RackRun(
        run=summary.run_id,
        serial=serial,
        model=name,
        revision=str(model.get("revision", "")),
        simulated=started.simulated,
        verdict=summary.verdict,
        ended=ended if ended.tzinfo else ended.replace(tzinfo=UTC),
        journal=journal,
        certificate=certificate,
        values={key: tuple(sorted(found)) for key, found in values.items()},
        tolerances=_tolerances(started),
    )


def is_learnable(measured: Measured) -> bool:
    """Whether a baseline can be learned of what was measured: a number with a true zero that a bound judges.

    Where the allowed values are listed (a part number, a count of parts) there is nothing to learn. The keys and their
    units are the vocabulary's, so a value that is missing or no number does not hide that it should have been one.
    """
    return LIMIT_KEYS.get(measured.key) in SCALED and measured.limit.allowed is None


def number(measured: Measured) -> float:
    """The value in the unit of the vocabulary; NaN for what must not be counted: no value, not passed, not finite."""
    value = measured.value
    if measured.judgement not in (Judgement.PASS, Judgement.MARGINAL) or value is None or isinstance(value, bool | str):
        return math.nan
    try:
        found = convert(float(value), Unit(measured.unit), LIMIT_KEYS[measured.key])
    except (ValueError, OverflowError):
        return math.nan
    return found if abs(found) < ABSURD else math.nan


def _tolerances(started: RunStarted) -> dict[str, float]:
    limits = _table(_table(started.definition.get("model")).get("limits"))
    found = {key: _table(spec).get("tolerance") for key, spec in limits.items()}
    return {key: float(value) for key, value in found.items() if isinstance(value, float | int)}


def _table(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
