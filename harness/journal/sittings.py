"""The sittings of a run: from its start, or from where it was taken up again, to where it broke or ended.

Pure functions of the journal, like the verdict. Spans are those of the monotonic clock, which no setting of the
station's clock changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from harness.journal import events as e

FINISHED = "finished"
INTERRUPTED = "interrupted: the journal stops there"


@dataclass(frozen=True, slots=True)
class Sitting:
    """One sitting. `first` and `last` are the wall times of its entries, `seconds` its span by the monotonic clock."""

    number: int
    station: str
    operator: str
    token: int
    """The fencing token under which this station held the rack; 0 where the journal does not say."""
    first: str
    last: str
    seconds: float
    ended: str
    """FINISHED, INTERRUPTED, or who stopped it and what tripped."""
    torn: bool
    """Whether its last line was cut off while it was written; known of those that another follows."""
    stands: tuple[str, ...]
    """Steps of earlier sittings that stand."""
    again: tuple[e.Repeated, ...]
    watchdog: tuple[e.WatchdogActed, ...]
    """What the watchdog did after this sitting."""
    lost: tuple[e.TelemetryLost, ...]
    """Telemetry of this sitting that could not be recovered."""
    jumps: tuple[float, ...]
    """Seconds by which the wall clock jumped."""
    unconfirmed: tuple[str, ...]
    """What was not confirmed safe when it ended."""


def last_sitting(seen: Sequence[e.Event]) -> Sequence[e.Event]:
    """The events since the run was last taken up again; all of them where it never was."""
    starts = [index for index, event in enumerate(seen) if isinstance(event, e.Resumed)]
    return seen[starts[-1] :] if starts else seen


def irregularities(seen: Sequence[e.Event]) -> tuple[str, ...]:
    """What no run writes: two starts, an end in the middle, a holder whose token is not greater than the one before."""
    found = []
    if sum(isinstance(event, e.RunStarted) for event in seen) > 1:
        found.append("the journal holds the start of more than one run")
    for event, following in pairwise(seen):
        if isinstance(event, e.RunFinished) and not isinstance(following, e.Resumed):
            found.append("the journal goes on after its end without having been taken up again")
    numbers = [event.sitting for event in seen if isinstance(event, e.Resumed)]
    if numbers != list(range(2, len(numbers) + 2)):
        found.append("the journal leaves out a sitting")
    tokens = [event.token for event in seen if isinstance(event, e.Claimed)]
    if any(later <= earlier for earlier, later in pairwise(tokens)):
        found.append("a station wrote that no longer held the rack: its token is not greater than the one before")
    return tuple(dict.fromkeys(found))


def gone(seen: Iterable[e.Event]) -> dict[str, str]:
    """Devices that were out of reach at the end and what was said of it: lost or never opened, and not back since."""
    found: dict[str, str] = {}
    for event in seen:
        if isinstance(event, e.DeviceLost) or (isinstance(event, e.DeviceFailed) and not event.step):
            found[event.device] = event.text
        elif isinstance(event, e.DeviceBack):
            found.pop(event.device, None)
    return found


def sittings(entries: Sequence[e.Entry]) -> tuple[Sitting, ...]:
    """Every sitting of a run, oldest first; none of a journal without entries."""
    starts = [index for index, entry in enumerate(entries) if isinstance(entry.event, e.Resumed)]
    cuts = [0, *starts, len(entries)] if entries else [0]
    parts = [entries[first:last] for first, last in pairwise(cuts)]
    return tuple(
        _sitting(number, part, parts[number] if number < len(parts) else ()) for number, part in enumerate(parts, 1)
    )


def _sitting(number: int, part: Sequence[e.Entry], following: Sequence[e.Entry]) -> Sitting:
    events = [entry.event for entry in part]
    after = [entry.event for entry in following]
    begun = next((event for event in events if isinstance(event, e.RunStarted | e.Resumed)), None)
    taken = next((event for event in events if isinstance(event, e.TakenUp)), None)
    return Sitting(
        number=number,
        station=begun.station if begun else "",
        operator=begun.operator if begun else "",
        token=next((event.token for event in events if isinstance(event, e.Claimed)), 0),
        first=part[0].wall,
        last=part[-1].wall,
        seconds=max(0.0, part[-1].mono - part[0].mono),
        ended=_ended(events),
        torn=any(isinstance(event, e.Resumed) and event.torn for event in after[:1]),
        stands=taken.stands if taken else (),
        again=taken.again if taken else (),
        watchdog=tuple(event for event in after if isinstance(event, e.WatchdogActed)),
        lost=tuple(event for event in after if isinstance(event, e.TelemetryLost)),
        jumps=tuple(event.seconds for event in events if isinstance(event, e.ClockJumped)),
        unconfirmed=tuple(name for event in events if isinstance(event, e.MadeSafe) for name in event.unconfirmed),
    )


def _ended(events: Sequence[e.Event]) -> str:
    why = [f"interlock {event.interlock}: {event.text}" for event in events if isinstance(event, e.Tripped)]
    why += [f"stopped by {event.by}: {event.text}" for event in events if isinstance(event, e.StopRequested)]
    if why:
        return why[0]
    return FINISHED if isinstance(events[-1], e.RunFinished) else INTERRUPTED
