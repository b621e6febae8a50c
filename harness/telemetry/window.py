"""The window: the newest sample of every channel and its recent past, for steps, interlocks and the screen."""

from __future__ import annotations

import bisect
import math
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from harness.quantities import Channel, Sample


@dataclass(slots=True)
class _Series:
    latest: Sample
    arrived: datetime
    """When the latest time stamp was first seen, rack time."""
    times: list[datetime] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)


class Window:
    """Keeps `horizon` rack seconds of every channel in memory; safe to use from any thread.

    One time stamp is one sample: a value that is read twice counts once, so repeating an old value is no evidence.
    """

    def __init__(self, horizon: float = 3600.0) -> None:
        if not horizon > 0:
            raise ValueError(f"a window of {horizon} s keeps nothing")
        self._horizon = timedelta(seconds=horizon)
        self._series: dict[Channel, _Series] = {}
        self._lock = threading.Lock()

    def add(self, samples: Iterable[Sample], when: datetime | None = None) -> None:
        """Take in what was just sampled. `when` is the arrival in rack time; the samples' own stamps where None."""
        with self._lock:
            for sample in samples:
                self._add(sample, when or sample.reading.at)

    def _add(self, sample: Sample, when: datetime) -> None:
        at = sample.reading.at
        series = self._series.get(sample.channel)
        if series is None:
            series = self._series[sample.channel] = _Series(sample, when)
        elif series.latest.reading.at != at:
            series.arrived = when
        series.latest = sample
        index = bisect.bisect_left(series.times, at)
        if index < len(series.times) and series.times[index] == at:
            series.samples[index] = sample
        else:
            series.times.insert(index, at)
            series.samples.insert(index, sample)
        old = bisect.bisect_left(series.times, when - self._horizon)
        del series.times[:old]
        del series.samples[:old]

    def latest(self, channel: Channel) -> Sample | None:
        """The sample that arrived last on a channel, whatever its quality; None where none ever did."""
        with self._lock:
            series = self._series.get(channel)
            return None if series is None else series.latest

    def history(
        self, device: str, quantity: str, part: str | None = None, since: datetime | None = None
    ) -> tuple[Sample, ...]:
        """The samples of a quantity, oldest first, from `since` on where given; of every part where `part` is None.

        Samples that cannot be judged are among them: see `harness.telemetry.statistics.usable`.
        """
        with self._lock:
            found = [
                (channel, series)
                for channel, series in self._series.items()
                if channel.device == device and channel.quantity == quantity and part in (None, channel.part)
            ]
            samples = [
                sample
                for _, series in found
                for sample in series.samples[0 if since is None else bisect.bisect_left(series.times, since) :]
            ]
        return tuple(sorted(samples, key=lambda sample: (sample.reading.at, sample.channel)))

    def channels(self, device: str | None = None, quantity: str | None = None) -> tuple[Channel, ...]:
        """The channels seen so far, in order; those of one device or quantity where given."""
        with self._lock:
            seen = list(self._series)
        return tuple(
            sorted(c for c in seen if device in (None, c.device) and quantity in (None, c.quantity)),
        )

    def age(self, channel: Channel, now: datetime) -> float:
        """How old the latest value is, in rack seconds at `now`; infinite where none ever came.

        Counted from the value's own time stamp or from its arrival, whichever is longer ago: a device whose clock is
        ahead cannot look fresh for ever.
        """
        with self._lock:
            series = self._series.get(channel)
            if series is None:
                return math.inf
            since = min(series.latest.reading.at, series.arrived)
        return max(0.0, (now - since).total_seconds())
