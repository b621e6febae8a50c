"""A guard with everything around it: a watchdog and a loop that only remember, and what the guard said."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness.clock import Clock
from harness.errors import DeviceError
from harness.rack.definition import RackDefinition
from harness.safety.guard import Guard, Run
from harness.telemetry.window import Window

NOW = datetime(2026, 11, 23, tzinfo=UTC)
OWN = {
    "role": "station", "quantity": "disk.free", "unit": "octet", "min": 10, "blames": "rig", "max_silence": 60,
    "when_silent": "trip", "cut_power": "never", "advice": "Go and look.", "source": "test",
}  # fmt: skip
STALL = OWN | {"quantity": "loop.stall", "unit": "s", "min": None, "max": 1}
SAMPLER = OWN | {"quantity": "sampler.stall", "unit": "s", "min": None, "max": 5}


@dataclass
class Dog:
    """A watchdog that only remembers what it was told."""

    told: list[object] = field(default_factory=list)
    gone: Callable[[str], None] = lambda _why: None

    def call(self, gone: Callable[[str], None]) -> None:
        self.gone = gone

    def darkened(self, outlets: tuple[str, ...]) -> None:
        self.told.append(outlets)

    def cutting(self, cut: str) -> None:
        self.told.append(cut)

    def relieve(self, why: str) -> None:
        self.told.append(f"relieve: {why}")

    def dismiss(self) -> None:
        self.told.append("dismissed")

    async def beat(self) -> None:
        self.told.append("beat")


@dataclass
class Loop:
    """The rack's loop as the guard sees it; `here` is whether it is asked on the loop's own thread."""

    here: bool = True
    watched: list[Callable[[float], None]] = field(default_factory=list)
    later: list[tuple[Any, ...]] = field(default_factory=list)

    @property
    def is_here(self) -> bool:
        return self.here

    def watch(self, stalled: Callable[[float], None]) -> None:
        self.watched.append(stalled)

    def call_soon(self, *call: object) -> None:
        self.later.append(call)


@dataclass
class Scene:
    """A guard with everything around it, and what it said."""

    rack: RackDefinition
    dog: Dog | None = field(default_factory=Dog)
    loop: Loop = field(default_factory=Loop)
    said: list[object] = field(default_factory=list)
    window: Window = field(default_factory=Window)
    clock: Any = field(default_factory=Clock.real)
    drivers: dict[str, Any] = field(default_factory=dict)
    run_dir: Path = Path()

    def guard(self) -> Guard:
        def blind(error: DeviceError) -> None:
            self.said.append(error)

        run = Run(
            definition=self.rack, drivers=self.drivers, clock=self.clock, run_dir=self.run_dir, window=self.window,
            loop=self.loop, opened=set(self.drivers), record=self.said.append, blind=blind,  # type: ignore[arg-type]
            halt=lambda why: self.said.append(f"halt: {why}"), stop=lambda by, why: self.said.append((by, why)),
        )  # fmt: skip
        return Guard(run, self.dog)  # type: ignore[arg-type]

    def do(self, work: Callable[[Guard], Awaitable[None]]) -> list[object]:
        async def main() -> None:
            await work(self.guard())

        asyncio.run(main())
        return self.said
