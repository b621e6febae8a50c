"""What gpu_burn did to each accelerator, from its progress lines and its last words.

Recorded: eight A100, a version of 2022. Source: wilicc/gpu-burn (2016 … 2026), gpu_burn-drv.cpp, listenClients. It
exits 0 with FAULTY accelerators; a client that died shows -1 and may still be called OK; one that never began is called
OK too; error counters start again at every "Summary at". Temperatures are degC as nvidia-smi told it, rates Gflop/s.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from drivers.inband import ParseError
from drivers.inband.finding import Finding, Verdict

TOOL = "gpu_burn"
LONGEST_LINE = 8192
NEARLY = 99.0
"""Percent that a whole burn reaches: the last line is printed just before its end."""
_PROCESSED = re.compile(r"(-?[0-9]{1,12}) \(([^()]{1,20}) Gflop/s\)")
_RATE = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,6})?")
_ERRORS = re.compile(r"([0-9]{1,12})(?:\s*\((WARNING|DIED)!\))?")
_TEMPERATURE = re.compile(r"([0-9]{1,3}) C\b")
_TESTED = re.compile(r"Tested ([0-9]{1,4}) GPUs:")
_WORD = re.compile(r"GPU ([0-9]{1,4}): (OK|FAULTY)")


@dataclass(frozen=True, slots=True)
class Burned:
    """One accelerator: matrix products `processed`, wrong results, and whether its process died.

    `faulty` is the tool's own last word, None where it has not been spoken.
    """

    processed: int
    errors: int
    died: bool
    faulty: bool | None = None
    rate: float | None = None
    """Gflop/s as last told, None where it was none."""
    hottest: float | None = None
    """degC, the most that was shown."""


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


def findings(burn: Burn, *, gpus: int, least_rate: float = 0.0) -> tuple[Finding, ...]:
    """Whether all of `gpus` burnt to the end without a wrong result, each at `least_rate` Gflop/s or more."""
    found = []
    if len(burn.units) != gpus:
        found.append(Finding(Verdict.ERROR, "", f"{len(burn.units)} accelerators took part, {gpus} were expected"))
    if not burn.finished:
        found.append(Finding(Verdict.ERROR, "", f"the burn ended at {burn.percent:g} % without a final verdict"))
    elif burn.percent < NEARLY:
        found.append(Finding(Verdict.ERROR, "", f"the burn ended at {burn.percent:g} %"))
    for number, unit in enumerate(burn.units):
        name = f"GPU {number}"
        if unit.errors or unit.faulty:
            found.append(Finding(Verdict.FAIL, name, _wrong(unit)))
        if unit.died:
            verdict = Verdict.FAIL if unit.processed else Verdict.ERROR
            found.append(
                Finding(verdict, name, f"its process died after {unit.processed} products: read the kernel log")
            )
        elif not unit.processed:
            found.append(Finding(Verdict.ERROR, name, "it did no work at all"))
        elif least_rate and unit.rate is None:
            found.append(Finding(Verdict.ERROR, name, "its rate was not told"))
        elif least_rate and unit.rate is not None and unit.rate < least_rate:
            found.append(Finding(Verdict.FAIL, name, f"{unit.rate:g} Gflop/s, at least {least_rate:g} needed"))
    return tuple(found)


def _wrong(unit: Burned) -> str:
    word = {True: "FAULTY", False: "OK", None: "nothing"}[unit.faulty]
    return f"{unit.errors} wrong results; gpu_burn called it {word}"


def _advance(before: Burned, now: Burned, counted: int) -> Burned:
    """Add what `now` shows to `before`; `counted` of its errors were seen already since the counter last began."""
    fresh = now.errors - counted if now.errors >= counted else now.errors
    warm = [each for each in (before.hottest, now.hottest) if each is not None]
    return Burned(
        processed=max(before.processed, now.processed),
        errors=before.errors + fresh,
        died=before.died or now.died,
        rate=before.rate if now.rate is None else now.rate,
        hottest=max(warm, default=None),
    )


def _progress(line: str) -> tuple[float, list[Burned]] | None:
    """A complete progress line; None where the line is none, or cut off before the temperatures."""
    head, found, rest = line.partition("proc'd:")
    done, has_errors, tail = rest.partition("errors:")
    errors, has_temperatures, warm = tail.partition("temps:")
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
    shown = [_TEMPERATURE.match(each.strip()) for each in warm.replace("--", "?").split(" - ")]
    if len(shown) != len(wrong):
        shown = [None] * len(wrong)
    units = []
    for work, error, heat in zip(processed, wrong, shown, strict=True):
        if work is None or error is None:
            raise ParseError(f"{TOOL}: a progress line is garbled")
        count, rate = int(work.group(1)), _RATE.fullmatch(work.group(2))
        units.append(
            Burned(
                processed=max(count, 0),
                errors=int(error.group(1)),
                died=count < 0 or error.group(2) == "DIED",
                rate=float(rate.group(0)) if rate and count > 0 else None,
                hottest=float(heat.group(1)) if heat else None,
            )
        )
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
