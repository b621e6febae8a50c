"""The condition of one interlock on one device: which sensors are out of bounds, since when, and how many must be.

A value out of bounds stays so until a good one inside them comes: samples that cannot be judged take nothing back.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from harness.quantities import Sample
from harness.rack.model import Interlock


@dataclass(slots=True)
class Outside:
    """One subject that is out of bounds: the worst is not kept, the newest is."""

    subject: str
    since: float
    text: str
    value: float
    samples: int = 0
    stamp: str = ""


@dataclass(slots=True)
class Condition:
    """What an interlock knows of one device. Times are those of a monotonic clock, wall seconds."""

    spec: Interlock
    outside: dict[str, Outside] = field(default_factory=dict)
    blind: set[str] = field(default_factory=set)
    """Sensors whose last reading could not be judged."""
    seen: set[str] = field(default_factory=set)

    def take(self, samples: Sequence[Sample], now: float) -> bool:
        """Take in fresh samples; whether there was one of the watched quantity and all of those were good."""
        mine = [sample for sample in samples if sample.channel.quantity == self.spec.quantity]
        for sample in mine:
            self._take_one(sample, now)
        return bool(mine) and all(sample.reading.usable for sample in mine)

    def _take_one(self, sample: Sample, now: float) -> None:
        subject, spec = sample.channel.subject, self.spec
        self.seen.add(subject)
        if not sample.reading.usable:
            self.blind.add(subject)
            return
        self.blind.discard(subject)
        try:
            value = sample.reading.to(spec.unit).number
        except ValueError:
            value = float("nan")
        low = float("-inf") if spec.min is None else spec.min
        high = float("inf") if spec.max is None else spec.max
        if low <= value <= high:
            self.outside.pop(subject, None)
            return
        text = f"{sample.channel} is {value:g} {spec.unit}"
        found = self.outside.setdefault(subject, Outside(subject, now, text, value))
        found.text, found.value = text, value
        stamp = sample.reading.at.isoformat()
        if stamp != found.stamp:  # one time stamp is one sample, however often it is read
            found.samples, found.stamp = found.samples + 1, stamp

    def tripped(self, now: float) -> Iterator[Outside]:
        """The subjects that have been out of bounds for long enough, if enough of them are.

        Where no further sample comes, a value that is not taken back within `max_silence` counts as confirmed.
        """
        spec = self.spec
        ripe = [each for each in self.outside.values() if self._is_ripe(each, now)]
        blind = len(self.blind - set(self.outside))
        # A sensor that gives nothing is no vote against: two of three become one of the two that are left.
        needed = max(1, min(spec.votes, len(self.seen)) - blind)
        if len(ripe) >= needed:
            yield from ripe

    def _is_ripe(self, each: Outside, now: float) -> bool:
        lasted = now - each.since
        if lasted >= self.spec.hold + self.spec.max_silence:
            return True
        return each.samples >= self.spec.samples and lasted >= self.spec.hold
