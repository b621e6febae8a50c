"""The first moments of a resumed run: what happened meanwhile, loads and outlets put in order, what stands."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, MutableSet
from datetime import datetime

from harness.capabilities import PowerOutlets
from harness.connection import Driver
from harness.errors import DeviceError
from harness.journal import events as e
from harness.journal.sittings import gone
from harness.plan import HELD
from harness.resuming.resumption import Resumption
from harness.resuming.standing import dark_outlets, doubts, lasting, take_up
from harness.workload import JobState, Reattachment, Workload

LEFT_OVER = "end what still runs of before"


class TakingUp:
    """Takes a broken run up again; `unopened` are the devices that could not be reached now."""

    def __init__(
        self,
        resumption: Resumption,
        drivers: Mapping[str, Driver],
        unopened: Mapping[str, DeviceError],
        record: Callable[[e.Event], None],
    ) -> None:
        self._resumption = resumption
        self._watchdog = resumption.watchdog()
        self._entries = resumption.broken.journal.entries
        self._open = {name: driver for name, driver in drivers.items() if name not in unopened}
        self._record = record
        self._is_same = False

    def tell_the_break(self) -> None:
        """What the watchdog did, and which devices that were gone are back."""
        for acted in self._watchdog:
            self._record(acted)
        last = self._entries[-1]
        for device in gone(entry.event for entry in self._entries):
            if device in self._open:
                self._record(e.DeviceBack(device, max(0.0, round(_since(last.wall), 3))))

    async def put_in_order(self, dark: MutableSet[str], box: float) -> None:
        """End the loads of before, which no step waits for any more, and switch on what a step had switched off.

        Each action may take `box` wall seconds and is recorded with whether it was confirmed. What cannot be switched
        on stays in `dark`.
        """
        hosts = {name: driver for name, driver in self._open.items() if isinstance(driver, Workload)}
        off = dark_outlets(self._entries, self._watchdog)
        for outlet in off:
            dark.add(outlet)
        await asyncio.gather(
            *(self._act(name, LEFT_OVER, _end_loads(host), box) for name, host in hosts.items()),
            *(self._light(outlet, dark, box) for outlet in off),
        )

    def decide(self, found: Mapping[str, e.Fingerprinted], tiers: Mapping[str, str]) -> tuple[e.TakenUp, str]:
        """What stands and what is run again; and, where devices at new addresses are others, why the run must stop."""
        resumption = self._resumption
        doubtful = doubts(self._entries, found, tiers)
        self._is_same = not doubtful and not resumption.changed
        strangers = [doubtful[name] for name in resumption.moved if name in doubtful]
        taken = take_up(resumption.broken.summary, self._entries, found, tiers, resumption.changed)
        if not strangers:
            return taken, ""
        return taken, (
            f"the bay has other addresses than before, and these do not prove to be the same: {'; '.join(strangers)}. "
            "Dock the rack that the run began with, or start a new run"
        )

    def lasting(self) -> dict[str, object]:
        """What steps left for later ones and still holds.

        Time under a load counts only where nothing in the rack and nothing that judges it has changed.
        """
        found = lasting(self._entries)
        return {name: value for name, value in found.items() if self._is_same or not name.startswith(HELD)}

    async def _light(self, place: str, dark: MutableSet[str], box: float) -> None:
        pdu, _, outlet = place.partition("/")
        driver = self._open.get(pdu)
        if isinstance(driver, PowerOutlets) and await self._act(
            pdu, f"switch outlet {outlet} back on", _switch_on(driver, outlet), box
        ):
            dark.discard(place)
            self._record(e.Switched(place, on=True))

    async def _act(self, device: str, action: str, work: Awaitable[str], box: float) -> bool:
        began = time.monotonic()
        try:
            async with asyncio.timeout(box):
                text, confirmed = await work, True
        except TimeoutError:
            text, confirmed = f"not confirmed within {box:.1f} s: go and look", False
        except DeviceError as error:
            text, confirmed = str(error), False
            self._record(e.DeviceFailed("", device, type(error).__name__, str(error)))
        self._record(e.SafetyAction(device, action, confirmed, text, round(time.monotonic() - began, 3)))
        return confirmed


async def _end_loads(host: Workload) -> str:
    known = await host.jobs() if isinstance(host, Reattachment) else ()
    running = sorted(job.name for job in known if job.state is JobState.RUNNING)
    await host.stop_all()
    return f"ended {', '.join(running)}" if running else "no load was running"


async def _switch_on(pdu: PowerOutlets, outlet: str) -> str:
    await pdu.switch(outlet, on=True)
    return "reads back as on"


def _since(stamp: str) -> float:
    return time.time() - datetime.fromisoformat(stamp).timestamp()
