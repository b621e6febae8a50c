"""The seam to the reports: what a live observer is told, and what a report writer is given.

Observers and writers are found by entry point (`rackproof.live`, `rackproof.reports`); the harness never imports them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TextIO

from harness.clock import Clock
from harness.journal.events import Entry
from harness.quantities import Sample


@dataclass(frozen=True, slots=True)
class LiveOptions:
    """How the run is to be shown."""

    run_dir: Path
    clock: Clock
    output: TextIO
    """Where a screen is drawn or lines are printed."""
    metrics_port: int | None = None
    """Port on loopback for the exporter; None for none."""


class Observer(Protocol):
    """Follows a run as it happens. No call may block for long; what it raises is dropped and never harms the run."""

    def entry(self, entry: Entry) -> None:
        """A journal entry, already on disk. Called from any thread, one call at a time."""
        ...

    def sampled(self, samples: Sequence[Sample]) -> None:
        """One device's fresh samples."""
        ...

    def close(self) -> None:
        """The run is over (or given up); restore the terminal, close the port. May be called twice."""
        ...


class Audience:
    """All observers of one run. One that raises is dropped, and neither the run nor the others notice."""

    def __init__(self, observers: Sequence[Observer]) -> None:
        self._observers = list(observers)

    def entry(self, entry: Entry) -> None:
        """Pass an entry on."""
        self._tell(lambda observer: observer.entry(entry))

    def sampled(self, samples: Sequence[Sample]) -> None:
        """Pass samples on."""
        self._tell(lambda observer: observer.sampled(samples))

    def close(self) -> None:
        """Close every observer that is left."""
        self._tell(lambda observer: observer.close())

    def _tell(self, tell: Callable[[Observer], None]) -> None:
        for observer in tuple(self._observers):
            try:
                tell(observer)
            except Exception:  # noqa: BLE001 - a screen may break, the run may not
                self._observers.remove(observer)
                with contextlib.suppress(Exception):
                    observer.close()


ObserverFactory = Callable[[LiveOptions], Observer | None]
"""Entry points of `rackproof.live`; None where it has nothing to do. Raises DefinitionError before the run begins."""


@dataclass(frozen=True, slots=True)
class FinishedRun:
    """A run directory to be reported on; everything else is read from its journal."""

    run_dir: Path
    keys: Path | None = None
    """Directory of the signing keys; None for the demo keys."""


class Finding(Protocol):
    """One thing that does not hold in a run directory."""

    @property
    def file(self) -> str: ...

    @property
    def text(self) -> str: ...


class Verification(Protocol):
    """What came of checking a run directory. `remarks` do not bear on `ok` (a demo key, an unproven root)."""

    @property
    def ok(self) -> bool: ...

    @property
    def verdict(self) -> str: ...

    @property
    def findings(self) -> Sequence[Finding]: ...

    @property
    def checked(self) -> Sequence[str]: ...

    @property
    def remarks(self) -> Sequence[str]: ...


Verifier = Callable[[Path, Path | None], Verification]
"""Entry point of `rackproof.verifier`: run directory and trusted root to what was found."""

Writer = Callable[[FinishedRun], tuple[Path, ...]]
"""Entry points of `rackproof.reports`: writes derived files into the run directory and returns their paths."""
