"""The proof of one plan on one model: every fault, every healthy rack, and what that amounts to. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from harness.proof.bound import CONFIDENCE, bound_on_rate
from harness.proof.results import NOT_DRAWN, Catch, FaultResult, SeedResult
from harness.verdict import Verdict

RIGHT_SHARE = 0.95
"""Of all faults, so many must be caught by their own check."""
FALSE_ALARMS = 0.01
"""A sound rack may be accused less often than this, at the confidence of the bound: 299 passes show it, 298 do not."""


@dataclass(frozen=True, slots=True)
class Proof:
    """What was shown of a plan. `made` is UTC, ISO 8601; `running` what it holds for; `pace` rack s a wall second."""

    plan: str
    model: str
    revision: str
    made: str
    running: Mapping[str, str]
    pace: float
    seed: int
    """Of the racks with a fault."""
    stages: Mapping[str, tuple[str, ...]]
    """Step functions by stage, in the order of the plan."""
    faults: tuple[FaultResult, ...]
    """Every fault of the catalogue, run or not."""
    healthy: tuple[SeedResult, ...]

    def count(self, catch: Catch) -> int:
        """How many faults fared so."""
        return sum(result.catch is catch for result in self.faults)

    @property
    def drawn(self) -> tuple[FaultResult, ...]:
        """The faults that were meant to be run: all but those that a sample left out."""
        return tuple(result for result in self.faults if result.text != NOT_DRAWN)

    @property
    def is_sample(self) -> bool:
        """Whether only a sample of the catalogue was meant to be run: that proves no plan."""
        return len(self.drawn) < len(self.faults)

    @property
    def caught(self) -> int:
        """How many faults did not pass, whatever stopped them."""
        return self.count(Catch.RIGHT) + self.count(Catch.OTHER)

    @property
    def judged(self) -> tuple[SeedResult, ...]:
        """The healthy racks that were run."""
        return tuple(result for result in self.healthy if result.verdict)

    @property
    def false_alarms(self) -> tuple[SeedResult, ...]:
        """The healthy racks that were run and did not pass."""
        return tuple(result for result in self.judged if result.verdict != Verdict.PASS)

    @property
    def bound(self) -> float:
        """The rate of false alarms that is excluded from above; 1 where no healthy rack was run."""
        return bound_on_rate(len(self.false_alarms), len(self.judged))

    @property
    def shortcomings(self) -> tuple[str, ...]:
        """Why this proves too little; none where the plan is proven."""
        total, found = len(self.drawn), []
        if self.is_sample:
            found.append(f"only a sample of the faults was run: {total} of {len(self.faults)}")
        for catch, text in ((Catch.MISSED, "missed"), (Catch.NOT_RUN, "not run")):
            if number := sum(result.catch is catch for result in self.drawn):
                found.append(f"{number} of {total} faults {text}")
        if not total:
            found.append("no fault was put into a rack")
        elif self.count(Catch.RIGHT) < RIGHT_SHARE * total:
            right = f"{self.count(Catch.RIGHT)} of {total} faults caught by their own check"
            found.append(f"{right}; wanted are {RIGHT_SHARE:.0%}")
        if missing := len(self.healthy) - len(self.judged):
            found.append(f"{missing} of {len(self.healthy)} healthy racks not run")
        if self.bound >= FALSE_ALARMS:
            found.append(f"{self.alarms}; wanted is a rate under {FALSE_ALARMS:.0%}")
        return tuple(found)

    @property
    def alarms(self) -> str:
        """The false alarms in words, with what they prove."""
        if not self.judged:
            return "no healthy rack was run"
        rate = f"a rate under {_percent(self.bound)} at {CONFIDENCE:.0%} confidence"
        return f"{len(self.false_alarms)} false alarms in {len(self.judged)} healthy racks: {rate}"

    @property
    def sentence(self) -> str:
        """All of it in one line."""
        right = self.count(Catch.RIGHT)
        of_all = f"{self.caught} of {len(self.drawn)} faults caught, {right} by their own check; {self.alarms}"
        return f"A SAMPLE of {len(self.drawn)} out of {len(self.faults)} faults: {of_all}" if self.is_sample else of_all


def _percent(share: float) -> str:
    """A share rounded up, since it is a bound."""
    hundredths = -int(-share * 10_000 // 1)
    return f"{hundredths / 100:.2f} %"
