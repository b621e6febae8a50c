"""The event logs of a tray: LogServices of its managers and systems (LogEntry 1.17), oldest entry first."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from drivers.bmc.tree import member_paths, read_members
from drivers.bmc.values import Json, instant, link, natural, text
from drivers.transports.redfish import RedfishWire
from harness.capabilities import LogEntry, Severity
from harness.errors import Misbehaved

KINDS = frozenset({"", "SEL", "Event", "Multiple"})
NOT_LOGS = ("dump", "post", "debug", "journal", "crash")
"""Services that keep files, codes or consoles instead of events; some BMCs give them no LogEntryType."""
MOST = 20_000
UNDATED = datetime(1970, 1, 1, tzinfo=UTC)
_SEVERITIES = {"OK": Severity.OK, "Warning": Severity.WARNING, "Critical": Severity.CRITICAL}


async def read_logs(wire: RedfishWire, owners: Sequence[str], device: str) -> tuple[LogEntry, ...]:
    """Every entry of every event log below `owners`; raises Misbehaved where a log is too long to be read whole."""
    found: dict[str, LogEntry] = {}
    for owner in dict.fromkeys(owner for owner in owners if owner):
        services = await read_members(wire, owner, device)
        for path, service in services.items():
            if is_event_log(service):
                for each in await _read_entries(wire, link(service, "Entries"), device):
                    entry = log_entry(path, each)
                    found[entry.ident] = entry
    return tuple(sorted(found.values(), key=lambda entry: (entry.at, natural(entry.ident))))


def is_event_log(service: Json) -> bool:
    """Whether a LogService holds events."""
    ident = text(service, "Id").lower()
    return text(service, "LogEntryType") in KINDS and not any(word in ident for word in NOT_LOGS)


def log_entry(service: str, entry: Json) -> LogEntry:
    """One entry. A severity that is unknown or missing is critical: what nobody can place is not harmless."""
    ident = "/".join(service.strip("/").split("/")[2:]) + "/" + (text(entry, "Id") or link(entry).rsplit("/", 1)[-1])
    severity = _SEVERITIES.get(text(entry, "Severity") or text(entry, "EventSeverity"), Severity.CRITICAL)
    at = instant(entry.get("EventTimestamp")) or instant(entry.get("Created")) or UNDATED
    return LogEntry(ident, at, severity, text(entry, "Message") or text(entry, "MessageId") or text(entry, "Name"))


async def _read_entries(wire: RedfishWire, path: str, device: str) -> list[Json]:
    """Entries as the collection gives them in full (DSP0266 requires it of log entries), else read one by one."""
    if not path:
        return []
    listed = await member_paths(wire, path, device)
    if len(listed) > MOST:
        raise Misbehaved(
            device, f"read {path}", f"{len(listed)} entries", "Archive and clear the log, then start again."
        )
    bare = [member for member, said in listed.items() if len(said) <= 1]
    read = await wire.gather(bare)
    return [each for each in (read.get(member, said) for member, said in listed.items()) if each is not None]
