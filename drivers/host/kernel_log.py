"""A host's kernel log, read again and again without losing a message between two readings.

`dmesg` prints the kernel's ring buffer, which forgets its oldest messages. Where it has forgotten some that were not
read before, the journal is asked for them (journalctl(1), `-k -b -o json --all`); where that does not have them either,
the log has a gap, and a log with a gap proves nothing.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta

from drivers.inband import ParseError, dmesg
from drivers.inband.kernel import Line, Ruling, judge
from drivers.transports.ssh import Completed
from harness.capabilities import LogEntry
from harness.errors import DeviceError, Misbehaved, Refused, Unsupported

ASKED = "cat /proc/sys/kernel/random/boot_id; cut -d ' ' -f 1 /proc/uptime; dmesg --json"
FIELDS = "MESSAGE,PRIORITY,_BOOT_ID,_TRANSPORT,_SOURCE_MONOTONIC_TIMESTAMP"
JOURNAL = f"journalctl -k -b -o json --all --no-pager -q --output-fields={FIELDS} 2>/dev/null"
BEGINNING = 5.0
"""Seconds since boot by which the first message of a whole log has come; the first one is printed at 0."""
_ATTEMPT = "read the kernel log"


class KernelLog:
    """The messages of the present boot, each with what it means by the log policy (`drivers.inband.kernel`).

    An entry's identity is `BOOT/SECONDS/DIGEST/NUMBER`: the same at every reading and from dmesg and journal alike, and
    another one after a restart. The rule of a follower names the identity of what it follows.
    """

    def __init__(self, device: str, run: Callable[[str], Awaitable[Completed]], now: Callable[[], datetime]) -> None:
        self._device = device
        self._run = run
        self._now = now
        self._boot = ""
        self._known: tuple[dmesg.KernelMessage, ...] = ()
        """What was read of this boot so far."""

    async def read(self) -> tuple[LogEntry, ...]:
        """Every message of the present boot, oldest first.

        Raises Refused where the user may not read it, Unsupported without a dmesg that prints JSON, Misbehaved where
        the log is empty, garbled, or has lost messages that were never read.
        """
        done = await self._run(ASKED)
        if done.exit_code != 0:
            raise self._no_log(done)
        first, _, rest = done.out.partition("\n")
        uptime, _, text = rest.partition("\n")
        boot = first.strip()
        try:
            up = float(uptime)
            if not boot:
                raise ParseError("the host does not say which boot it is of")
            found = dmesg.parse(text)
        except ValueError as error:
            raise self._misbehaved(str(error), "Run dmesg --json by hand on the host.", done.out[:2000]) from error
        known = self._known if boot == self._boot else ()
        messages = await self._without_gap(boot, known, found)
        self._boot, self._known = boot, messages
        # A long log takes a while, and the interlocks share this loop.
        return await asyncio.to_thread(log_entries, boot, up, messages, self._now())

    async def _without_gap(
        self, boot: str, known: tuple[dmesg.KernelMessage, ...], found: tuple[dmesg.KernelMessage, ...]
    ) -> tuple[dmesg.KernelMessage, ...]:
        """What was known, and what is new; raises Misbehaved where something between them is lost."""
        oldest = found[0].time if found else float("inf")
        newest = known[-1].time if known else 0.0
        kept = tuple(each for each in known if each.time < oldest)
        if found and oldest <= max(newest, BEGINNING):
            return (*kept, *found)
        journal = await self._journal(boot)
        between = tuple(each for each in journal if (not known or newest < each.time) and each.time < oldest)
        if journal and journal[0].time <= max(newest, BEGINNING):
            return (*kept, *between, *found)
        if found and not known:
            return found  # nothing was read before, so nothing that was seen is lost; intake begins here
        raise self._misbehaved(
            "it is empty" if not known else "it has lost messages since it was read last, and there is no journal",
            "Boot with a larger buffer (log_buf_len=16M) or keep a journal, do not clear the log, and run again.",
            "",
        )

    async def _journal(self, boot: str) -> tuple[dmesg.KernelMessage, ...]:
        """The journal's kernel messages of this boot; none where there is no journal that can be read."""
        done = await self._run(JOURNAL)
        try:
            messages = dmesg.parse_journal(done.out) if done.exit_code == 0 else ()
        except ParseError:
            return ()  # what is missing is said by who asked
        return messages if not dmesg.reboots(messages, boot) else ()

    def _misbehaved(self, seen: str, advice: str, exchange: str) -> Misbehaved:
        return Misbehaved(self._device, _ATTEMPT, seen, advice, exchange)

    def _no_log(self, done: Completed) -> DeviceError:
        said = done.err.strip()[:300]
        if "not permitted" in said.lower():
            return Refused(self._device, _ATTEMPT, said, "Let this user read it: sysctl kernel.dmesg_restrict=0.")
        return Unsupported(
            self._device, _ATTEMPT, f"exit code {done.exit_code}: {said}", "Install util-linux 2.38 or newer."
        )


def log_entries(
    boot: str, uptime: float, messages: Sequence[dmesg.KernelMessage], now: datetime
) -> tuple[LogEntry, ...]:
    """Entries with instants by the host's uptime, none later than now; equal messages of one instant are numbered."""
    seen: dict[str, int] = {}
    idents: list[str] = []
    for each in messages:
        digest = hashlib.sha256(each.text.encode(errors="replace")).hexdigest()[:12]
        ident = f"{boot}/{each.time:.6f}/{digest}"
        seen[ident] = seen.get(ident, 0) + 1
        idents.append(f"{ident}/{seen[ident]}")
    rulings = judge([Line(each.time, each.level, each.text) for each in messages])
    return tuple(
        LogEntry(ident, _instant(each.time, uptime, now), ruling.severity, each.text, ruling.consequence, name)
        for ident, each, ruling in zip(idents, messages, rulings, strict=True)
        for name in (_rule_name(ruling, idents),)
    )


def _instant(since_boot: float, uptime: float, now: datetime) -> datetime:
    return now - timedelta(seconds=max(0.0, min(uptime - since_boot, uptime)))


def _rule_name(ruling: Ruling, idents: Sequence[str]) -> str:
    return ruling.rule if ruling.root is None else f"{ruling.rule}, follows {idents[ruling.root]}"
