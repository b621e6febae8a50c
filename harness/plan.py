"""What a plan's step is handed: the rack, its devices, and `measure`.

This is the whole vocabulary of a plan: roles, capabilities, limit keys. No address, no protocol, no number.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, MutableSet, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeVar

from harness.capabilities import Firmware, Identified, Part, PowerOutlets
from harness.clock import Clock
from harness.connection import Driver
from harness.each import Result, each
from harness.errors import DeviceError, PlanError, Unsupported
from harness.evidence import Evidence
from harness.journal.events import Kept, Switched
from harness.limits import Judgement
from harness.quantities import Quality, Reading, Unit, Value
from harness.rack.definition import DeviceEntry, RackDefinition
from harness.telemetry.window import Window
from harness.watching import RackWatch

HELD = "time under "
"""How what is kept of the time under a load is called, before the load's name."""

C = TypeVar("C")
T = TypeVar("T")


class StepSession(Protocol):
    """The part of a session that a step may reach through what it is handed."""

    @property
    def definition(self) -> RackDefinition: ...

    @property
    def clock(self) -> Clock: ...

    @property
    def watch(self) -> RackWatch: ...

    @property
    def evidence(self) -> Evidence: ...

    @property
    def stopped(self) -> str: ...

    @property
    def dark(self) -> MutableSet[str]: ...

    @property
    def kept(self) -> dict[str, object]: ...

    @property
    def touched(self) -> set[str]: ...

    def driver(self, device: str) -> Driver: ...


@dataclass(frozen=True)
class Device:
    """One device as a plan sees it."""

    entry: DeviceEntry
    session: StepSession

    @property
    def name(self) -> str:
        """Its name, as `tray-03` or `tray-03-host`."""
        return self.entry.name

    @property
    def slot(self) -> str:
        """The slot it belongs to: the subject of what is measured on its parts."""
        return self.entry.slot

    def ask(self, capability: type[C]) -> C:
        """The device as one of `harness.capabilities`; raises Unsupported, or why it could not be opened."""
        driver = self.session.driver(self.name)
        if not isinstance(driver, capability):
            raise Unsupported(self.name, f"ask for {capability.__name__}", "its driver cannot do that")
        return driver

    def can(self, capability: type[object]) -> bool:
        """Whether it has a capability at all."""
        return isinstance(self.session.driver(self.name), capability)

    @property
    def lost(self) -> DeviceError | None:
        """Why its telemetry is silent at present; None while it answers."""
        return self.session.watch.lost.get(self.name)

    def data_address(self, interface: str) -> str:
        """Address of one of its interfaces on the data network, from the bay; raises PlanError where it has none."""
        address = self.entry.endpoint.options.get(f"data.{interface}")
        if not isinstance(address, str):
            raise PlanError(f"the bay has no option data.{interface} for {self.name}: traffic needs its address")
        return address

    def subject(self, part: str = "") -> str:
        """What to call a part of this device in a measurement: `tray-03/accelerator-2`."""
        return f"{self.slot}/{part}" if part else self.slot

    def bom(self, kind: str) -> tuple[str, ...]:
        """The parts of a kind that the BOM gives this device, by place: `accelerator-0` …"""
        return tuple(name for spec in self.entry.assembly.parts if spec.kind == kind for name in spec.names())

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Devices:
    """All devices of one role."""

    members: tuple[Device, ...]
    session: StepSession

    def __iter__(self) -> Iterator[Device]:
        return iter(self.members)

    def __len__(self) -> int:
        return len(self.members)

    async def each(self, work: Callable[[Device], Awaitable[T]]) -> tuple[tuple[Device, T], ...]:
        """Run `work` on all of them at once.

        Returns device and value of those that answered; a device that failed is recorded, which makes the step
        inconclusive, and is left out.
        """
        results: Sequence[Result[Device, T]] = await each(self.members, work)
        answered: list[tuple[Device, T]] = []
        for result in results:
            if result.error is not None:
                self.session.evidence.device_failed(result.error)
            else:
                answered.append((result.device, result.value))  # type: ignore[arg-type]  # no error: a value
        return tuple(answered)


@dataclass(frozen=True)
class Measure:
    """Records measurements of one step. Never raises for a value, only for a plan that contradicts itself."""

    session: StepSession
    declared: tuple[str, ...]

    def __call__(
        self,
        key: str,
        value: Value | Reading | None,
        subject: str,
        *,
        expected: Value | Sequence[Value] | None = None,
    ) -> Judgement:
        """Judge `value` against the limit `key` and record it.

        A bare value is taken to be in the limit's unit and true now; None says that there was nothing to read.
        `expected` gives the definition's own value(s) for limits that are `by_definition`.
        """
        if key not in self.declared and f"{key}@{subject}" not in self.declared:
            raise PlanError(f"{key} of {subject} is measured but not declared in this step's measures(...)")
        limit = self.session.definition.limit(key)
        if limit.by_definition == (expected is None):
            need = "needs" if limit.by_definition else "takes no"
            raise PlanError(f"{key} {need} an expected value: it is {limit.describe()}")
        reading = value if isinstance(value, Reading) else self._reading(value, limit.unit)
        return self.session.evidence.measured(limit, reading, subject, _values(expected))

    def _reading(self, value: Value | None, unit: Unit) -> Reading:
        now = self.session.clock.now()
        if value is None:
            return Reading(float("nan"), unit, now, Quality.ABSENT)
        return Reading(value, unit, now)


def _values(expected: Value | Sequence[Value] | None) -> tuple[Value, ...]:
    if expected is None:
        return ()
    if isinstance(expected, str | int | float | bool):
        return (expected,)
    return tuple(expected)


@dataclass(frozen=True)
class Rack:
    """The rack as a plan sees it: its definition, its time, and what telemetry has seen."""

    session: StepSession

    @property
    def definition(self) -> RackDefinition:
        """Model, bay and unit."""
        return self.session.definition

    @property
    def window(self) -> Window:
        """The telemetry of the last hour of rack time."""
        return self.session.watch.window

    def now(self) -> datetime:
        """Rack time, UTC."""
        return self.session.clock.now()

    def devices(self, role: str) -> Devices:
        """All devices of a role."""
        entries = self.definition.role(role)
        self.session.touched.update(entry.name for entry in entries)
        return Devices(tuple(Device(entry, self.session) for entry in entries), self.session)

    def device(self, name: str) -> Device:
        """One device by name."""
        self.session.touched.add(name)
        return Device(self.definition.device(name), self.session)

    @contextlib.asynccontextmanager
    async def without(self, outlets: Sequence[str]) -> AsyncIterator[None]:
        """Have outlets of the power map (`pdu-a/3`) off while inside, and on again after; both read back.

        Where the run is stopped in between, the outlets are no longer this step's: making safe restores them, or cuts
        the others as well, as the reason for stopping asks. Raises DeviceError.
        """
        dark = self.session.dark
        try:
            for outlet in outlets:
                self.session.evidence.record(Switched(outlet, on=False))
                dark.add(outlet)
                await self._switch(outlet, on=False)
            yield
        finally:
            failed: list[DeviceError] = []
            for outlet in [name for name in outlets if name in dark and not self.session.stopped]:
                try:
                    await self._switch(outlet, on=True)
                    dark.discard(outlet)
                    self.session.evidence.record(Switched(outlet, on=True))
                except DeviceError as error:
                    # The others must come back all the same; this one stays known as dark.
                    failed.append(error)
            if failed:
                raise failed[0]

    async def _switch(self, outlet: str, *, on: bool) -> None:
        pdu, _, name = outlet.partition("/")
        await self.device(pdu).ask(PowerOutlets).switch(name, on=on)

    def keep(self, name: str, value: object, *, lasts: bool = False) -> None:
        """Leave something for a later step of the same run.

        What `lasts` still holds after the run was interrupted and taken up again: what was read, as plain JSON values.
        All else (a load, a steady state, an instant) is gone then, and the step that left it is run again.
        Raises PlanError where something that lasts is no JSON value.
        """
        text = ""
        if lasts:
            try:
                text = json.dumps(value, sort_keys=True, allow_nan=False)
            except (TypeError, ValueError) as error:
                raise PlanError(f"what lasts must be plain values, and {name!r} is not: {error}") from error
            if json.loads(text) != value:
                raise PlanError(
                    f"what lasts must be plain values, and {name!r} reads back otherwise: use lists and texts"
                )
        self.session.evidence.record(Kept(self.session.evidence.step, name, lasts, text))
        self.session.kept[name] = value

    def kept(self, name: str, kind: type[T]) -> T:
        """What an earlier step left; raises PlanError where it is not there, since nothing may be assumed."""
        value = self.session.kept.get(name)
        if not isinstance(value, kind):
            raise PlanError(f"no earlier step has left {name!r}: the plan's order is broken or that step failed")
        return value

    def failed(self, error: DeviceError) -> None:
        """Record that a device could not be used; the step becomes inconclusive."""
        self.session.evidence.device_failed(error)

    def coverage(self, device: str, since: tuple[int, int] | None = None) -> tuple[int, int]:
        """Sweeps due and taken of a device so far, or since an earlier answer of this call."""
        return self.session.watch.coverage(device, since)

    def attach(self, name: str, text: str, what: str) -> None:
        """Keep a text as evidence with the run."""
        self.session.evidence.attach(name, text, what)

    def inventoried(
        self, device: Device, found: Identified, firmware: Sequence[Firmware], parts: Sequence[Part]
    ) -> None:
        """Keep what a device said of itself and its parts: the as-found record on the certificate."""
        self.session.evidence.inventoried(device.slot, found, firmware, parts)

    def progress(self, text: str, elapsed: float, total: float) -> None:
        """Show how far a long step is, in rack seconds or in pieces of work."""
        self.session.evidence.progress(text, elapsed, total)

    async def wait(self, duration: str, text: str) -> None:
        """Wait for a duration of the model, showing how far it is."""
        await self.wait_seconds(self.definition.duration(duration), text)

    async def wait_seconds(self, seconds: float, text: str) -> None:
        """Wait rack seconds, showing how far it is."""
        clock = self.session.clock
        began = clock.elapsed()
        while (elapsed := clock.elapsed() - began) < seconds:
            self.session.evidence.progress(text, elapsed, seconds)
            await clock.sleep(min(seconds - elapsed, max(1.0, seconds / 50, 0.25 * clock.pace)))
        self.session.evidence.progress(text, seconds, seconds)
