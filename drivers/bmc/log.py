"""The event logs of a tray: LogServices of its managers and systems (LogEntry 1.17), read oldest first, cleared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from drivers.resources.members import member_paths, read_members
from drivers.resources.values import Json, instant, link, natural, text
from drivers.resources.writing import Writer, find_action
from drivers.transports.redfish import RedfishWire
from harness.capabilities import LogEntry, Severity
from harness.errors import Misbehaved, Unsupported

KINDS = frozenset({"", "SEL", "Event", "Multiple"})
NOT_LOGS = ("dump", "post", "debug", "journal", "crash")
"""Services that keep files, codes or consoles instead of events; some BMCs give them no LogEntryType."""
CLEAR = "#LogService.ClearLog"
MOST = 20_000
UNDATED = datetime(1970, 1, 1, tzinfo=UTC)
_SEVERITIES = {"OK": Severity.OK, "Warning": Severity.WARNING, "Critical": Severity.CRITICAL}


async def read_logs(wire: RedfishWire, owners: Sequence[str], device: str) -> tuple[LogEntry, ...]:
    """Every entry of every event log below `owners`; raises Misbehaved where a log is too long to be read whole."""
    return await _entries_of(wire, await _event_logs(wire, owners, device), device)


async def clear_logs(writer: Writer, owners: Sequence[str]) -> tuple[LogEntry, ...]:
    """Clear every event log below `owners` and give what was in them; see `harness.controls.LogControl`.

    An entry that arrives after the archive is read and before a log is cleared is lost, as with any client.
    """
    wire, device = writer.wire, writer.device
    services = await _event_logs(wire, owners, device)
    actions = {path: await find_action(wire, service, CLEAR) for path, service in services.items()}
    fixed = sorted(path for path, action in actions.items() if action is None)
    if fixed or not actions:
        seen = f"{', '.join(fixed)} cannot be cleared" if fixed else "it has no event log"
        raise Unsupported(device, "clear its event log", seen, "Nothing was cleared; archive the log as it is.")
    archived = await _entries_of(wire, services, device)
    lost = [await writer.act(f"clear {path}", action, {}) for path, action in actions.items() if action is not None]
    old = {(entry.ident, entry.at) for entry in archived}

    async def left() -> int:
        return sum((entry.ident, entry.at) in old for entry in await _entries_of(wire, services, device))

    await writer.confirm("clear its event log", left, lambda count: count == 0, "; ".join(filter(None, lost)))
    return archived


def is_event_log(service: Json) -> bool:
    """Whether a LogService holds events."""
    ident = text(service, "Id").lower()
    return text(service, "LogEntryType") in KINDS and not any(word in ident for word in NOT_LOGS)


def log_entry(service: str, entry: Json) -> LogEntry:
    """One entry. A severity that is unknown or missing is critical: what nobody can place is not harmless."""
    ident = "/".join(service.strip("/").split("/")[2:]) + "/" + (text(entry, "Id") or link(entry).rsplit("/", 1)[-1])
    at = instant(entry.get("EventTimestamp")) or instant(entry.get("Created")) or UNDATED
    message = text(entry, "Message") or text(entry, "MessageId") or text(entry, "Name")
    return LogEntry(ident, at, severity_of(entry), message)


def severity_of(entry: Json) -> Severity:
    """The severity of a log entry or event; unknown or missing is critical."""
    return _SEVERITIES.get(text(entry, "Severity") or text(entry, "EventSeverity"), Severity.CRITICAL)


async def _event_logs(wire: RedfishWire, owners: Sequence[str], device: str) -> dict[str, Json]:
    found: dict[str, Json] = {}
    for owner in dict.fromkeys(owner for owner in owners if owner):
        services = await read_members(wire, owner, device)
        found.update({path: service for path, service in services.items() if is_event_log(service)})
    return found


async def _entries_of(wire: RedfishWire, services: Mapping[str, Json], device: str) -> tuple[LogEntry, ...]:
    found: dict[str, LogEntry] = {}
    for path, service in services.items():
        for each in await _read_entries(wire, link(service, "Entries"), device):
            entry = log_entry(path, each)
            found[entry.ident] = entry
    return tuple(sorted(found.values(), key=lambda entry: (entry.at, natural(entry.ident))))


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
