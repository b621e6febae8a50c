"""Rack time: the wall clock on hardware, a faster one in simulation.

Harness and simulated rack share one epoch and one pace, so that a plan of hours runs in minutes unchanged.
Deadlines at the wire, interlock latencies and leases stay in wall time.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta


@dataclass(frozen=True, slots=True)
class Clock:
    """Tells rack time and waits in it.

    `pace` is rack seconds per wall second. `epoch` is the instant (UTC) at which rack time and wall time agreed, and
    `started` the system-wide monotonic clock at that instant, in seconds.
    """

    pace: float
    epoch: datetime
    started: float

    @classmethod
    def real(cls) -> Clock:
        """Rack time is wall time."""
        return cls(1.0, datetime.now(UTC), time.monotonic())

    def elapsed(self) -> float:
        """Rack seconds since the epoch."""
        return (time.monotonic() - self.started) * self.pace

    def now(self) -> datetime:
        """The present instant in rack time, UTC."""
        return self.epoch + timedelta(seconds=self.elapsed())

    async def sleep(self, seconds: float) -> None:
        """Wait `seconds` of rack time."""
        await asyncio.sleep(max(0.0, seconds) / self.pace)
