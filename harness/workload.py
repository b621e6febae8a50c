"""Workload: the loads that run on a host, and what is known of them.

They are capabilities like those of `harness.capabilities` and follow the same rules.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, runtime_checkable

from harness.quantities import Unit


class JobState(StrEnum):
    """State of a load on a host."""

    RUNNING = "running"
    DONE = "done"
    STOPPED = "stopped"
    LOST = "lost"
    """No result of its own: killed, ended by its lease, unknown to the host, or the host was restarted."""


@dataclass(frozen=True, slots=True)
class Load:
    """A load to be run on a host.

    `kind` is `accelerator`, `cpu`, `memory`, `disk` or `network`; `tool` the program, chosen by the model (`gpu-burn`,
    `stress-ng`, `iperf3`); `seconds` the time to run and `limit` the wall clock after which the host itself kills it,
    both in rack seconds; `intensity` 0 … 1, the share of what there is to be loaded. A network load names its local
    `interface` and the `peer` address; without a peer it serves. A disk load works on one file of `size` MiB in
    `directory`; a memory load on `size` MiB, or on `intensity` of what is free where no size is given.
    """

    name: str
    kind: str
    tool: str
    seconds: float
    limit: float
    intensity: float = 1.0
    interface: str = ""
    peer: str = ""
    directory: str = ""
    size: int = 0
    units: int = 0
    """How many accelerators must take part; 0 where the load is not on accelerators."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure of merit that a tool stated, as `memory.bandwidth` 41.2 GB/s."""

    name: str
    value: float
    unit: Unit


@dataclass(frozen=True, slots=True)
class LoadOutcome:
    """What one unit (an accelerator, an interface, the host's memory) did under a load.

    `work` is in the tool's own unit. `errors` counts what was computed, stored or carried wrongly; None where the tool
    could not tell (it found no memory to test, was misused, broke): nothing is proven then, and nothing failed.
    """

    unit: str
    work: float
    errors: int | None
    note: str = ""
    figures: tuple[Figure, ...] = ()


@dataclass(frozen=True, slots=True)
class Job:
    """A load as the host knows it. `outcomes` are complete only in state DONE; `text` is the tail of its output.

    `restarted` says that the host was booted again since the load was started: nobody asked for that.
    """

    name: str
    state: JobState
    exit_code: int | None
    outcomes: tuple[LoadOutcome, ...]
    text: str
    restarted: bool = False


@dataclass(frozen=True, slots=True)
class Output:
    """A piece of what a load has printed: `octets` from an offset on, and `next`, the offset to go on from.

    Empty octets: there is no more so far. It never exceeds 1 MiB.
    """

    octets: bytes
    next: int


@runtime_checkable
class Workload(Protocol):
    """A host that runs loads detached from the station.

    `start` is idempotent by name while the load runs; a load that has ended is put aside and started anew. `stop` kills
    the whole process group and returns once nothing of it runs. `stop_all` stops every load that Rackproof ever started
    there. `renew` extends the lease of all running loads: one whose lease runs out (`lease`, wall seconds) dies.
    """

    @property
    def lease(self) -> float: ...

    async def start(self, load: Load) -> Job: ...

    async def job(self, name: str) -> Job: ...

    async def stop(self, name: str) -> Job: ...

    async def stop_all(self) -> Sequence[Job]: ...

    async def renew(self) -> None: ...


@runtime_checkable
class Reattachment(Protocol):
    """A host whose loads outlive the station that started them, and are found again by another.

    `start_once` starts a load at most once until the host is cleaned up: one of that name that runs or has ended is
    given as it is. `jobs` gives every load that the host knows of, by name.
    """

    async def start_once(self, load: Load) -> Job: ...

    async def jobs(self) -> Sequence[Job]: ...


@runtime_checkable
class WorkloadOutput(Protocol):
    """A host that gives what a load has printed, from an octet on, a bounded piece at a time."""

    async def output(self, name: str, since: int = 0) -> Output: ...


@runtime_checkable
class CleanUp(Protocol):
    """A host that stops every load and removes all that Rackproof has put on it; what is still there is given."""

    async def clean_up(self) -> Sequence[str]: ...
