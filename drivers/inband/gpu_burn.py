"""What gpu_burn did to each accelerator, from its progress lines and its last words.

Source: wilicc/gpu-burn, gpu_burn-drv.cpp, listenClients. It exits 0 with FAULTY accelerators; a client that died shows
-1 and may still be called OK; error counters start again at every "Summary at".
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from drivers.inband import ParseError

TOOL = "gpu_burn"
LONGEST_LINE = 8192
_PROCESSED = re.compile(r"(-?\d{1,12}) \([^()]{1,20} Gflop/s\)")
_ERRORS = re.compile(r"(\d{1,12})(?:\s*\((WARNING|DIED)!\))?")
_TESTED = re.compile(r"Tested (\d{1,4}) GPUs:")
_WORD = re.compile(r"GPU (\d{1,4}): (OK|FAULTY)")


@dataclass(frozen=True, slots=True)
class Burned:
    """One accelerator: matrix products `processed`, wrong results, and whether its process died.

    `faulty` is the tool's own last word, None where it has not been spoken.
    """

    processed: int
    errors: int
    died: bool
    faulty: bool | None = None


@dataclass(frozen=True, slots=True)
class Burn:
    """A burn so far: percent done, and the accelerators in the tool's order."""

    percent: float
    units: tuple[Burned, ...]

    @property
    def finished(self) -> bool:
        """Whether the tool has judged every accelerator."""
        return bool(self.units) and all(unit.faulty is not None for unit in self.units)


def parse(text: str) -> Burn:
    """The burn as far as the output goes, its beginning may be cut off; raises ParseError where it says nothing."""
    percent, units = 0.0, list[Burned]()
    window: list[int] = []
    lines = [line.strip() for line in text.replace("\r", "\n").split("\n")]
    for line in lines:
        if line.startswith("Summary at"):
            window = []
        progress = _progress(line) if len(line) <= LONGEST_LINE else None
        if progress is None:
            continue
        percent, now = progress
        if units and len(now) != len(units):
            raise ParseError(f"{TOOL}: {len(now)} accelerators after {len(units)}")
        seen = window or [0] * len(now)
        units = [_advance(*each) for each in zip(units, now, seen, strict=True)] if units else now
        window = [unit.errors for unit in now]
    verdicts = _last_words(lines)
    if verdicts and not units:
        units = [Burned(0, 0, died=False) for _ in verdicts]
    if not units:
        raise ParseError(f"{TOOL}: there is no progress and no verdict")
    if verdicts and len(verdicts) != len(units):
        raise ParseError(f"{TOOL}: verdicts on {len(verdicts)} accelerators, progress of {len(units)}")
    if verdicts:
        units = [replace(unit, faulty=faulty) for unit, faulty in zip(units, verdicts, strict=True)]
    return Burn(percent, tuple(units))


def _advance(before: Burned, now: Burned, counted: int) -> Burned:
    """Add what `now` shows to `before`; `counted` of its errors were seen already since the counter last began."""
    fresh = now.errors - counted if now.errors >= counted else now.errors
    return Burned(now.processed, before.errors + fresh, before.died or now.died)


def _progress(line: str) -> tuple[float, list[Burned]] | None:
    """A complete progress line; None where the line is none, or cut off before the temperatures."""
    head, found, rest = line.partition("proc'd:")
    done, has_errors, tail = rest.partition("errors:")
    errors, has_temperatures, _ = tail.partition("temps:")
    if not (found and has_errors and has_temperatures):
        return None
    try:
        percent = float(head.strip().removesuffix("%"))
    except ValueError:
        return None
    processed = [_PROCESSED.fullmatch(each.strip()) for each in done.split(" - ")]
    wrong = [_ERRORS.fullmatch(each.strip()) for each in errors.split(" - ")]
    if len(processed) != len(wrong) or not 0 <= percent <= 100:
        raise ParseError(f"{TOOL}: a progress line contradicts itself")
    units = []
    for work, error in zip(processed, wrong, strict=True):
        if work is None or error is None:
            raise ParseError(f"{TOOL}: a progress line is garbled")
        count = int(work.group(1))
        units.append(Burned(max(count, 0), int(error.group(1)), died=count < 0 or error.group(2) == "DIED"))
    return percent, units


def _last_words(lines: list[str]) -> list[bool]:
    """The final verdicts, True for FAULTY; empty before they are spoken. Raises ParseError where they do not add up."""
    starts = [number for number, line in enumerate(lines) if _TESTED.fullmatch(line)]
    if not starts:
        return []
    if len(starts) > 1:
        raise ParseError(f"{TOOL}: two final verdicts")
    announced = int(lines[starts[0]].split()[1])
    words = [found for line in lines[starts[0] + 1 :] if (found := _WORD.fullmatch(line))]
    if [int(word.group(1)) for word in words] != list(range(announced)) or not words:
        raise ParseError(f"{TOOL}: announced {announced} verdicts, gave {len(words)}")
    return [word.group(2) == "FAULTY" for word in words]
