"""What a faulty device keeps from being judged, as a journal tells it: the other way of being caught.

A device that lies, stalls or falls silent cannot be measured. The check that is there for it then ends INCONCLUSIVE,
and names the device: whatever follows, the run is no pass any more.
"""

from __future__ import annotations

from harness.journal import events as e
from harness.proof.results import Fault, device_of


class Untold:
    """Follows the events of one run, in their order."""

    def __init__(self, fault: Fault) -> None:
        self._fault = fault
        self._wanted = {fault.check, f"{fault.check}@{fault.subject}"}
        self._declaring: frozenset[str] = frozenset()
        self._taken = False
        self._lost: str | None = None
        """When the device fell silent, rack time; None while it answers."""
        self._failed: str | None = None
        """When it failed the present step; None where it did not."""

    def take(self, event: e.Event, rack: str) -> tuple[str, str] | None:
        """Take note of an event; step and rack time where with it the check could not be judged."""
        match event:
            case e.Planned():
                self._declaring = frozenset(each.step for each in event.steps if self._wanted & set(each.measures))
            case e.StepStarted():
                self._taken, self._failed = False, None
            case e.Measured() if (event.key, event.subject) == (self._fault.check, self._fault.subject):
                self._taken = True
                if event.judgement == "unjudged":
                    return event.step, rack
            case e.DeviceFailed() if self._is_its(event.device):
                if event.step:
                    self._failed = self._failed or self._lost or rack
                else:
                    self._lost = self._lost or rack
            case e.DeviceLost() if self._is_its(event.device):
                self._lost = self._lost or rack
            case e.DeviceBack() if self._is_its(event.device):
                self._lost = None
            case e.StepFinished() if event.outcome != "stopped" and event.step in self._declaring:
                if self._failed is not None and not self._taken:
                    return event.step, self._failed
        return None

    def _is_its(self, device: str) -> bool:
        """Whether a device is the faulty one, or an endpoint in the same slot: a tray's host."""
        own = self._fault.device or device_of(self._fault.subject)
        return device == own or device.startswith(f"{own}-")
