"""What came of one run of a proof, as plain frozen values: a fault put into the rack, or a healthy rack of one seed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

NOT_ASKED = "not asked for"
"""Why a fault was not run that nobody wanted to be run."""
NOT_DRAWN = "not in the sample"
"""Why a fault was not run that the sample left out."""
LEFT_OUT = (NOT_ASKED, NOT_DRAWN)


class Catch(StrEnum):
    """How a fault fared."""

    RIGHT = "right"
    """The check that is there for it failed, on the subject that has it."""
    OTHER = "other"
    """The rack did not pass, by another check or on another subject."""
    MISSED = "missed"
    """The rack passed."""
    NOT_RUN = "not_run"
    """The machine, not the plan: nothing is proven. Never counted as caught."""


class Mark(StrEnum):
    """What became of one step while a fault was in the rack."""

    RIGHT = "right"
    OTHER = "other"
    UNSURE = "unsure"
    CLEAN = "clean"
    UNREACHED = "unreached"


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault of the catalogue at its smallest size, and what must catch it."""

    name: str
    spec: str
    domain: str
    text: str
    kind: str
    """`limit` or `interlock`: which sort of check `check` is."""
    check: str
    subject: str
    device: str = ""
    """Which device has it; empty for that of the subject."""
    expected: str = "FAIL"
    """The verdict it must come to: INCONCLUSIVE where it keeps its own device from being judged."""


def device_of(subject: str) -> str:
    """The device of a subject: `tray-01` of `tray-01/accelerator-2`."""
    return subject.partition("/")[0]


@dataclass(frozen=True, slots=True)
class Found:
    """A measurement that failed, or an interlock that tripped, in a step (its function; empty between two)."""

    step: str
    check: str
    subject: str


@dataclass(frozen=True, slots=True)
class FaultResult:
    """What came of a fault. `after` are rack seconds from its onset to what caught it, None where that is not known."""

    fault: Fault
    catch: Catch
    verdict: str = ""
    text: str = ""
    after: float | None = None
    found: tuple[Found, ...] = ()
    marks: Mapping[str, Mark] = field(default_factory=dict)
    """By step function, in the order of the plan."""


@dataclass(frozen=True, slots=True)
class SeedResult:
    """What came of a healthy rack; an empty verdict where the machine kept it from being run, `reasons` saying why."""

    seed: int
    verdict: str
    reasons: tuple[str, ...] = ()


def read_catalogue(listed: object) -> tuple[Fault, ...]:
    """The faults of the simulator's own list, each at the smallest size that it names; raises ValueError."""
    if not isinstance(listed, list) or not listed:
        raise ValueError("it lists no fault")
    faults = tuple(map(_fault, listed))
    if len({fault.spec for fault in faults}) < len(faults):
        raise ValueError("it lists a fault twice")
    return faults


def _fault(row: Any) -> Fault:
    try:
        caught, spec, smallest = row["caught_by"], str(row["example"]), row["smallest"]
        kind = "interlock" if "interlock" in caught else "limit"
        if smallest is not None:
            spec = f"{spec.partition('=')[0]}={smallest:g}"
        found = Fault(str(row["name"]), spec, row["domain"], row["text"], kind, str(caught[kind]), caught["subject"])
        return replace(found, device=str(caught.get("device", "")), expected=str(caught.get("verdict", "FAIL")))
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"an entry is not well formed: {type(error).__name__}: {error}") from error
