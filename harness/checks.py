"""Checks by a device's own tools: what each tool that a host has says of each drive, link, log or counter.

It follows the rules of `harness.capabilities`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, runtime_checkable


class CheckVerdict(StrEnum):
    """What one tool's remark means for acceptance."""

    OK = "ok"
    """The tool ran and found this unit sound: proof that it was looked at."""
    FAIL = "fail"
    """The unit was looked at and fell short."""
    UNCLEAR = "unclear"
    """It could not be looked at, or does not say what it should: nothing is proven."""
    NOTE = "note"
    """For the record only; no proof of anything."""


@dataclass(frozen=True, slots=True)
class Check:
    """One remark of one `tool` on one `unit`, named as the tool names it; empty for the tool as a whole."""

    tool: str
    unit: str
    verdict: CheckVerdict
    text: str


@runtime_checkable
class HostChecks(Protocol):
    """A host that runs its own diagnostic tools: each where it is installed, and none of them changes anything."""

    async def checks(self) -> Sequence[Check]: ...
