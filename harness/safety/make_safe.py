"""Making a rack safe: stop the loads, keep the coolant until the heat is gone, then cut the outlets.

Every action runs in parallel over its devices, is boxed in time, never raises, and is recorded with whether the device
confirmed it by reading back. Doing it twice, also at the same time, comes to the same as doing it once.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, MutableSet, Sequence
from dataclasses import dataclass, field

from harness.capabilities import PowerOutlets
from harness.clock import Clock
from harness.connection import Driver
from harness.journal.events import Event, MadeSafe, SafetyAction
from harness.rack.definition import RackDefinition
from harness.workload import JobState, Workload

DARK_HOST = 0.2
"""Wall seconds that hosts get to confirm their loads' end once the power is confirmed off."""
LETTING_GO = 0.5
"""Wall seconds that an action gets to end once its time is over; then it is left behind."""
CUTS = ("never", "when_cool", "at_once")
"""How far to go with the outlets, mildest first."""


@dataclass(frozen=True, slots=True)
class Safing:
    """What making safe needs of a session."""

    definition: RackDefinition
    drivers: Mapping[str, Driver]
    clock: Clock
    record: Callable[[Event], None]
    hottest: Callable[[], float | None]
    """The hottest accelerator now, degC; None while unknown."""
    dark: MutableSet[str] = field(default_factory=set)
    """Outlets that a step left switched off: back on, unless the power is to be cut."""
    unopened: Collection[str] = ()
    """Devices that have to be opened before anything can be asked of them."""
    _opening: dict[str, asyncio.Task[None]] = field(default_factory=dict)

    async def run(self, reason: str, cut_power: str) -> MadeSafe:
        """Make the rack safe and record it; `cut_power` is one of `CUTS`."""
        if cut_power == "at_once":
            actions = await self._cut_at_once()
        else:
            actions = await self._stop_loads()
            if cut_power == "never":
                actions += await self._restore_outlets()
            if cut_power == "when_cool":
                actions.append(await self._cool())
                actions += await self._cut_outlets()
        unconfirmed = tuple(f"{a.device}: {a.action}" for a in actions if not a.confirmed)
        event = MadeSafe(reason, not unconfirmed, unconfirmed)
        self.record(event)
        return event

    async def _stop_loads(self) -> list[SafetyAction]:
        hosts = {name: driver for name, driver in self.drivers.items() if isinstance(driver, Workload)}
        return list(await asyncio.gather(*(self._stop_host(name, host) for name, host in hosts.items())))

    async def _cut_at_once(self) -> list[SafetyAction]:
        """Outlets first and loads beside them: where the power is confirmed off, no load runs whatever a host says."""
        loads = asyncio.ensure_future(self._stop_loads())
        outlets = await self._cut_outlets()
        if outlets and all(action.confirmed for action in outlets):
            _, late = await asyncio.wait([loads], timeout=DARK_HOST)
            if late:
                loads.cancel()
                await asyncio.wait([loads], timeout=DARK_HOST)
            if late or loads.cancelled():
                text = "every outlet reads back as off"
                dark = SafetyAction("rack", "stop loads", confirmed=True, text=text, took=0.0)
                self.record(dark)
                return [*outlets, dark]
        return [*outlets, *await loads]

    async def _stop_host(self, name: str, host: Workload) -> SafetyAction:
        async def stop() -> str:
            await self._opened(name)
            running = [job.name for job in await host.stop_all() if job.state is JobState.RUNNING]
            if running:
                raise RuntimeError(f"still running: {', '.join(running)}")
            return "no load is running"

        return await self._act(name, "stop loads", stop)

    async def _cut_outlets(self) -> list[SafetyAction]:
        return await self._switch_outlets([feed.outlet for feed in self.definition.feeds], on=False)

    async def _restore_outlets(self) -> list[SafetyAction]:
        return await self._switch_outlets(sorted(self.dark), on=True)

    async def _switch_outlets(self, outlets: Sequence[str], *, on: bool) -> list[SafetyAction]:
        actions: list[Awaitable[SafetyAction]] = []
        for place in outlets:
            pdu, _, outlet = place.partition("/")
            driver = self.drivers.get(pdu)
            if isinstance(driver, PowerOutlets):
                actions.append(self._switch(pdu, driver, outlet, on=on))
        return list(await asyncio.gather(*actions))

    async def _switch(self, name: str, pdu: PowerOutlets, outlet: str, *, on: bool) -> SafetyAction:
        word = "on" if on else "off"

        async def switch() -> str:
            await self._opened(name)
            state = await pdu.switch(outlet, on=on)
            if state.on is not on:
                raise RuntimeError(f"it does not read back as {word}")
            return f"reads back as {word}"

        action = await self._act(name, f"switch outlet {outlet} {'back on' if on else 'off'}", switch)
        if on and action.confirmed:
            self.dark.discard(f"{name}/{outlet}")
        return action

    async def _opened(self, name: str) -> None:
        """Open a device that is not open yet, once for all that is to be asked of it."""
        if name in self.unopened:
            if name not in self._opening:
                self._opening[name] = asyncio.ensure_future(self.drivers[name].open())
            await asyncio.shield(self._opening[name])

    async def _cool(self) -> SafetyAction:
        limits = self.definition.model.make_safe

        async def cool() -> str:
            while True:
                hottest = self.hottest()
                if hottest is not None and hottest < limits.cool_below:
                    return f"hottest accelerator {hottest:.0f} degC"
                await self.clock.sleep(1.0)

        return await self._act("rack", "keep coolant until cool", cool, limits.cooling_time / self.clock.pace)

    async def _act(
        self, device: str, action: str, work: Callable[[], Awaitable[str]], within: float | None = None
    ) -> SafetyAction:
        """One action, boxed in wall seconds; whatever goes wrong becomes its text."""
        box = self.definition.model.make_safe.action_time if within is None else within
        began = time.monotonic()
        doing = asyncio.ensure_future(work())
        doing.add_done_callback(_heard)
        try:
            ended, _ = await asyncio.wait([doing], timeout=box)
            if ended:
                text, confirmed = doing.result(), True
            else:
                text, confirmed = f"not confirmed within {box:.1f} s: go and look", False
        except (Exception, asyncio.CancelledError) as error:
            if not doing.done():
                raise  # it is making safe as a whole that was called off
            text, confirmed = f"{error}" or type(error).__name__, False
        finally:
            if not doing.done():
                doing.cancel()
                await asyncio.wait([doing], timeout=LETTING_GO)  # a library may swallow it: then it is left behind
        event = SafetyAction(device, action, confirmed, text, round(time.monotonic() - began, 3))
        self.record(event)
        return event


def _heard(task: asyncio.Future[str]) -> None:
    """What comes of an action that was left behind is nobody's affair any more."""
    if not task.cancelled():
        task.exception()


def stronger(one: str, other: str) -> str:
    """The more drastic of two ways to cut the power."""
    return max(one, other, key=CUTS.index)
