"""Changing a resource: actions by the target that it states, PATCH with its ETag, tasks, and the read-back.

Nothing here is ever sent twice. Where the answer to a write was lost, only reading back can tell what became of it.
Standard: DSP0266 1.21: actions 7.8, PATCH 7.6.2, ETags 7.7, settings resources 9.10, tasks 13.6.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from drivers.resources.values import Json, entries, link, section, text
from drivers.transports.redfish import RedfishWire, Reply
from harness.errors import Misbehaved, Unreachable, Unsupported

T = TypeVar("T")
LOOK_AGAIN = 0.5
"""Wall seconds between two looks at a task or at what was changed."""
_RUNNING = frozenset({"New", "Starting", "Running", "Pending", "Stopping", "Cancelling", "Service", "Suspended"})
_FAILED = frozenset({"Exception", "Killed", "Cancelled", "Interrupted"})


@dataclass(frozen=True, slots=True)
class Action:
    """One action: where to POST it, and the values that its parameter takes; empty where the service does not say."""

    target: str
    allowed: tuple[str, ...]

    def takes(self, value: str) -> bool:
        """Whether the value may be sent; a service that lists none is asked to judge for itself."""
        return not self.allowed or value in self.allowed


async def find_action(wire: RedfishWire, resource: Json, name: str, parameter: str = "") -> Action | None:
    """The action `#Type.Name` of a resource; None where it has none. Raises DeviceError.

    The target is the one stated (DMTF's own PDU has targets without `/Actions/`). The values come from
    `@Redfish.AllowableValues`, else from the resource behind `@Redfish.ActionInfo`.
    """
    said = section(resource, "Actions", name)
    target = text(said, "target")
    if not target:
        return None
    listed = said.get(f"{parameter}@Redfish.AllowableValues")
    where = text(said, "@Redfish.ActionInfo")
    if not isinstance(listed, list) and parameter and where:
        parameters = entries((await wire.find(where) or {}).get("Parameters"))
        listed = next((each.get("AllowableValues") for each in parameters if text(each, "Name") == parameter), None)
    return Action(target, tuple(str(each) for each in listed) if isinstance(listed, list) else ())


@dataclass(frozen=True, slots=True)
class Writer:
    """What changes resources of one device; `deadline` is what a change may take until it reads back, wall seconds."""

    wire: RedfishWire
    device: str
    deadline: float

    async def act(self, attempt: str, action: Action, body: Mapping[str, object]) -> str:
        """Send an action once and wait for its task; returns what was lost on the way, empty where all was confirmed.

        Raises DeviceError where the device refused it or its task failed; an answer that never came is no refusal.
        """
        return await self._write(attempt, "POST", action.target, body)

    async def patch(self, attempt: str, path: str, change: Mapping[str, object]) -> tuple[str, str]:
        """PATCH a resource, or its settings object where it has one, under the ETag that was read.

        Returns the path that was written and what was lost on the way, as `act`; raises DeviceError.
        """
        found = await self.wire.fetch(path)
        if found is None:
            raise Unsupported(self.device, attempt, f"{path} does not exist", "Open the device again.")
        pending = link(found.body, "@Redfish.Settings", "SettingsObject")
        settings = await self.wire.fetch(pending) if pending else None
        path, found = (pending, settings) if settings is not None else (path, found)
        return path, await self._write(attempt, "PATCH", path, change, found.etag)

    async def finish_task(self, attempt: str, reply: Reply) -> None:
        """Return once the task behind a 202 has ended well; raises DeviceError.

        A monitor that has gone (404) is a task that nobody keeps any more: what it did has to be read back.
        """
        if reply.status != 202:
            return
        monitor = reply.location or text(reply.body, "TaskMonitor") or link(reply.body)
        if not monitor:
            advice = "Look at what it did; its firmware is at fault."
            raise Misbehaved(self.device, attempt, "202 Accepted without a task monitor", advice)
        until = time.monotonic() + self.deadline
        pause = LOOK_AGAIN if reply.retry_after is None else reply.retry_after
        while (found := await self.wire.fetch(monitor)) is not None:
            state = text(found.body, "TaskState")
            if state in _FAILED or (state == "Completed" and text(found.body, "TaskStatus") == "Critical"):
                words = "; ".join(text(each, "Message") for each in entries(found.body.get("Messages")))
                seen = f"its task ended in {state}: {words or 'no reason given'}"
                raise Misbehaved(self.device, attempt, seen, "See the device's own log.")
            if state == "Completed" or (found.status != 202 and state not in _RUNNING):
                return
            pause = pause if found.retry_after is None else found.retry_after
            if time.monotonic() + pause > until:
                seen = f"its task is still {state or 'running'} after {self.deadline:g} s"
                raise Unreachable(self.device, attempt, seen, "Wait for it or look at the device's list of tasks.")
            await asyncio.sleep(pause)

    async def confirm(
        self, attempt: str, look: Callable[[], Awaitable[T]], wanted: Callable[[T], bool], lost: str = ""
    ) -> T:
        """Look until what was changed reads back as wanted; raises Misbehaved where it does not in time.

        A device that does not answer for a while is looked at again; `lost` is what was already missing.
        """
        until = time.monotonic() + self.deadline
        while True:
            failure: Unreachable | None = None
            seen = ""
            try:
                found = await look()
                if wanted(found):
                    return found
                seen = f"it still reads {found}"
            except Unreachable as error:
                failure = error
            left = until - time.monotonic()
            if left <= 0:
                break
            await asyncio.sleep(min(LOOK_AGAIN, left))
        if failure is not None:
            raise failure
        hint = f"; the answer to the command was lost: {lost}" if lost else ""
        raise Misbehaved(
            self.device, attempt, f"{seen} after {self.deadline:g} s{hint}", "Look at the device and at its own log."
        )

    async def _write(self, attempt: str, method: str, path: str, body: Mapping[str, object], etag: str = "") -> str:
        try:
            reply = await self.wire.write(method, path, body, etag)
        except Unreachable as error:
            return error.seen
        await self.finish_task(attempt, reply)
        return ""
