"""SNMP transport: reads with one retry, writes never retried, every failure translated.

Standards: RFC 3416 (protocol operations), RFC 3414 and 7860 (user-based security), RFC 3826 (AES). Reads go by
gufo-snmp where it is installed and by pysnmp where not; an attempt that failed is repeated once, by pysnmp, over a
fresh engine where v3 had an old one. In v3 the first read after opening or after a failure is pysnmp's: it hears that a
key is refused, which gufo-snmp takes for silence, and a wrong key that is sent again and again may lock the user out.

A unit that was replaced by another one at the same address is reported as Misbehaved, by every read until the link is
closed: nothing that is read from it is evidence on the first one. In v3 every message names the engine it is for, so a
changed snmpEngineID says it (RFC 3411, 5); v2c knows no session, so snmpEngineID, sysObjectID and, where the driver
knows where it stands, the serial number are read with the first answer, after every failure and every ten seconds. An
agent that has none of them cannot be told apart there. Writes are not held up by it: who switches reads back, and what
is to be off is switched off whoever answers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import TypeVar

from drivers.transports.address import (
    check_options,
    host_and_port,
    number_option,
    required_secret,
    split_address,
    word_option,
    wrong,
)
from drivers.transports.peer import Peer
from drivers.transports.snmp_engine import AUTH_PROTOCOLS, PRIVACY_PROTOCOLS, EngineWire
from drivers.transports.snmp_fast import fast_wire
from drivers.transports.snmp_wire import Agent, Column, Credentials, ExchangeFailed, Failure, Oid, Value, Wire, dotted
from harness.connection import Connection
from harness.errors import DeviceError, Misbehaved, Refused, Unreachable, Unsupported

__all__ = ["OPTIONS", "Oid", "SnmpLink", "Value", "connect_snmp"]

OPTIONS = ("version", "auth_protocol", "privacy_protocol", "timeout", "fast")
T = TypeVar("T")

_MARKS: Mapping[str, Oid] = {
    "snmpEngineID": (1, 3, 6, 1, 6, 3, 10, 2, 1, 1, 0),
    "sysObjectID": (1, 3, 6, 1, 2, 1, 1, 2, 0),
}
"""What tells one v2c agent from another (SNMP-FRAMEWORK-MIB, RFC 3411; SNMPv2-MIB, RFC 3418)."""
_REQUESTS = 1000
"""Requests that one walk may take; a table that needs more does not end."""
_WALK_DEADLINE = 20.0
"""Wall seconds that one walk may take in all."""
_SLACK = 0.5
"""Wall seconds beyond the time-out: pysnmp looks at its timers every half second."""

_REPLACED_ADVICE = (
    "Find out whether the unit or its address was exchanged; what was measured before holds for the first unit only: "
    "start the run again. A unit that lost its engine ID in a restart looks the same"
)


def connect_snmp(
    connection: Connection, *, repetitions: int = 20, block: int = 20, concurrency: int = 1, serial: Oid | None = None
) -> SnmpLink:
    """A link to the agent of this connection; the network is not touched. Raises DefinitionError.

    `repetitions` are rows a GETBULK, `block` values a GET, `concurrency` reads in flight: what the profile knows, as it
    knows the OID of the `serial` number, by which one v2c unit is told from another of its model.
    """
    host, port = host_and_port(connection, split_address(connection, ["snmp"]), 161)
    timeout = number_option(connection, "timeout", 1.0, 0.05, 60.0)
    agent = Agent(host, port, _credentials(connection), timeout, repetitions)
    wires: list[Wire] = [] if connection.options.get("fast") is False else [*filter(None, [fast_wire(agent)])]
    return SnmpLink(connection.device, agent, wires, block=block, concurrency=concurrency, serial=serial)


def _credentials(connection: Connection) -> Credentials:
    version = int(number_option(connection, "version", 3, 2, 3))
    if version == 2:
        return Credentials(2, community=required_secret(connection, "community"))
    if not connection.user:
        raise wrong(connection, "user", "SNMP v3 needs a user; for v2c set `options: {version: 2}`")
    auth, privacy = required_secret(connection, "auth"), required_secret(connection, "privacy")
    for secret in (auth, privacy):
        if len(secret.reveal()) < 8:
            raise wrong(connection, "secrets", f"{secret.name!r} is shorter than 8 characters (RFC 3414, 11.2)")
    return Credentials(
        3,
        user=connection.user,
        auth=auth,
        auth_protocol=word_option(connection, "auth_protocol", "SHA256", AUTH_PROTOCOLS),
        privacy=privacy,
        privacy_protocol=word_option(connection, "privacy_protocol", "AES128", PRIVACY_PROTOCOLS),
    )


def check_snmp_options(connection: Connection, *extra: str) -> None:
    """Raises DefinitionError on options that neither this transport nor the driver (`extra`) knows."""
    check_options(connection, (*OPTIONS, *extra))


class SnmpLink:
    """One SNMP agent. Reads are retried once, writes never; every call ends within a deadline."""

    def __init__(
        self, device: str, agent: Agent, wires: Sequence[Wire], *, block: int, concurrency: int, serial: Oid | None
    ) -> None:
        self._device = device
        self._agent = agent
        self._engine = EngineWire(agent)
        self._wires: tuple[Wire, ...] = (*wires, self._engine) if wires else (self._engine, self._engine)
        self._accepted = False
        """Whether the last read went well, and so the keys are those of the agent."""
        self._peer = Peer()
        self._marks: Mapping[str, Oid] = {**_MARKS, "serial number": serial} if serial else _MARKS
        self._block = block
        self._reading = asyncio.Semaphore(concurrency if not wires else 1)  # a gufo session is one conversation

    @property
    def deadline(self) -> float:
        """Wall seconds within which a read of one message, or a write, has ended once it is its turn.

        A walk that goes on getting answers takes two times `_WALK_DEADLINE` at most.
        """
        return len(self._wires) * (self._patience + self._agent.timeout + _SLACK)

    @property
    def _patience(self) -> float:
        """Wall seconds for one attempt: v3 asks for the engine first."""
        return self._agent.timeout * (2 if self._agent.credentials.version == 3 else 1) + _SLACK

    async def get(self, oids: Iterable[Oid]) -> dict[Oid, Value]:
        """The values of these OIDs; None where the agent has no such object. Raises DeviceError."""
        wanted = list(dict.fromkeys(oids))
        found: dict[Oid, Value] = {}
        for start in range(0, len(wanted), self._block):
            part = wanted[start : start + self._block]
            attempted = f"SNMP GET {dotted(part[0])}" + (f" and {len(part) - 1} more" if len(part) > 1 else "")

            async def get(wire: Wire, part: list[Oid] = part) -> dict[Oid, Value]:
                answers = await wire.get(part)
                missing = [oid for oid in part if answers[oid] is None]
                if missing and wire is not self._engine:
                    # gufo-snmp shows an error-status as if the objects were not there; pysnmp tells which it is.
                    answers |= await self._engine.get(missing)
                return answers

            found |= await self._read(attempted, get, self._patience)
        return found

    async def walk(self, columns: Iterable[Oid]) -> dict[Oid, dict[Oid, Value]]:
        """These columns whole, each as index to value; empty where the agent has none of it. Raises DeviceError."""
        cursors = [Column(oid) for oid in columns]
        if not cursors:
            return {}

        async def walk(wire: Wire) -> None:
            # A second attempt goes on where the first one stopped; only pysnmp can start in mid-column.
            if wire is not self._engine and not any(cursor.rows for cursor in cursors):
                await wire.walk(cursors, _REQUESTS)
                for cursor in cursors:
                    cursor.done = False
                # gufo-snmp shows an error in mid-table as its end: one look behind each end tells.
                await self._engine.walk(cursors, _REQUESTS, repetitions=1)
            else:
                await self._engine.walk(cursors, _REQUESTS)

        await self._read(f"SNMP walk of {dotted(cursors[0].oid)}", walk, _WALK_DEADLINE)
        return {cursor.oid: cursor.rows for cursor in cursors}

    async def set(self, oid: Oid, value: int) -> None:
        """Write one INTEGER, once; the caller reads it back. Raises DeviceError."""
        attempted = f"SNMP SET {dotted(oid)} = {value}"
        try:
            await self._engine.prepare()
            async with asyncio.timeout(self._agent.timeout * 2 + _SLACK):
                await self._engine.set(oid, value)
        except TimeoutError:
            self._engine.reset()
            self._peer.doubt()
            raise Unreachable(
                self._device, attempted, "no answer; it may have been done or not", self._silence_advice()
            ) from None
        except ExchangeFailed as failed:
            raise self._translated(attempted, failed) from failed

    async def close(self) -> None:
        """Release sockets and engine, and forget who answered; may be called twice."""
        self._peer.forget()
        self._accepted = False
        for wire in dict.fromkeys(self._wires):
            wire.close()

    async def _read(self, attempted: str, exchange: Callable[[Wire], Awaitable[T]], deadline: float) -> T:
        failed: ExchangeFailed | None = None
        async with self._reading:
            trusted = self._accepted or self._agent.credentials.version == 2
            self._accepted = False
            for wire in self._wires if trusted else (self._engine, self._engine):
                try:
                    if wire is self._engine:
                        await self._engine.prepare()
                    async with asyncio.timeout(deadline):
                        found = await exchange(wire)
                    await self._recognise()
                    self._accepted = True
                    return found
                except TimeoutError:
                    # What was heard before says more than silence now.
                    failed = failed or ExchangeFailed(Failure.SILENT, f"no answer within {self._agent.timeout:g} s")
                except OSError as error:
                    failed = failed or ExchangeFailed(Failure.SILENT, str(error))
                except ExchangeFailed as seen:
                    failed = seen
                    if seen.failure is Failure.REPLACED:
                        break
                    if wire is self._engine and seen.failure in (Failure.REFUSED, Failure.UNSUPPORTED):
                        break  # the fast way words its failures too broadly to stop at
                except BaseException:
                    # Cancelled in mid-exchange: a late answer must find nobody who waits for another one.
                    self._reset()
                    raise
                self._reset()
        raise self._translated(attempted, failed or ExchangeFailed(Failure.SILENT, "no answer"))

    async def _recognise(self) -> None:
        """Raises ExchangeFailed where another unit answers than the one that answered first; see the module."""
        if self._agent.credentials.version == 3:
            engines = {wire.engine_id().hex() for wire in dict.fromkeys(self._wires)} - {""}
            changes = [self._peer.meet({"snmpEngineID": engine}) for engine in engines]
        elif self._peer.due:
            changes = [self._peer.meet(await self._read_marks())]
        else:
            return
        if different := ", ".join(filter(None, changes)):
            raise ExchangeFailed(Failure.REPLACED, f"another unit answers at this address: {different}")

    async def _read_marks(self) -> dict[str, str]:
        """What a v2c agent says of itself. One that never said anything need not answer."""
        try:
            async with asyncio.timeout(self._agent.timeout + _SLACK):
                found = await self._engine.get(list(self._marks.values()))
        except (TimeoutError, OSError, ExchangeFailed):
            if self._peer.known:
                raise
            return {}
        return {name: _shown(found[oid]) for name, oid in self._marks.items()}

    def _reset(self) -> None:
        self._peer.doubt()
        for wire in self._wires:
            wire.reset()

    def _translated(self, attempted: str, failed: ExchangeFailed) -> DeviceError:
        if failed.failure is Failure.SILENT:
            return Unreachable(self._device, attempted, failed.seen, self._silence_advice())
        if failed.failure is Failure.REFUSED:
            return Refused(self._device, attempted, failed.seen, self._refusal_advice())
        if failed.failure is Failure.UNSUPPORTED:
            return Unsupported(self._device, attempted, failed.seen, "Check that the profile fits this device")
        if failed.failure is Failure.REPLACED:
            return Misbehaved(self._device, attempted, failed.seen, _REPLACED_ADVICE)
        advice = "Restart the device's SNMP agent; if it stays, record the exchange and report its firmware"
        return Misbehaved(self._device, attempted, failed.seen, advice)

    def _silence_advice(self) -> str:
        secret = "a wrong community" if self._agent.credentials.version == 2 else "a wrong privacy key"
        return (
            f"Check power, cable and address {self._agent.host}:{self._agent.port}, and the agent's access list; "
            f"{secret} looks the same"
        )

    def _refusal_advice(self) -> str:
        if self._agent.credentials.version == 2:
            return "Check that this community may do so; it was not tried again"
        user = self._agent.credentials.user
        return f"Check user {user!r}, its authentication key and protocol, and its rights; it was not tried again"


def _shown(value: Value) -> str:
    if value is None:
        return ""
    if isinstance(value, bytes):
        return value.decode("ascii") if all(32 <= octet < 127 for octet in value) else value.hex()
    return dotted(value) if isinstance(value, tuple) else str(value)
