"""The pysnmp way: GET, GETBULK and SET over SNMP v2c and v3, one engine for one device and one event loop.

Facts behind the rules (measured with pysnmp 7.1.30): an engine shared by two event loops hangs; a cached engine ID
outlives the unit it came from; `bulk_walk_cmd` on a dead device never ends. Hence an engine of our own, dropped after
silence, and a walk of our own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from pyasn1.type import univ  # type: ignore[import-untyped]
from pysnmp.error import PySnmpError  # type: ignore[import-untyped]
from pysnmp.hlapi.v3arch import asyncio as api  # type: ignore[import-untyped]
from pysnmp.proto import errind, rfc1902, rfc1905  # type: ignore[import-untyped]

from drivers.transports.snmp_wire import Agent, Column, Credentials, ExchangeFailed, Failure, Oid, Value, dotted

AUTH_PROTOCOLS = {
    "MD5": api.USM_AUTH_HMAC96_MD5,
    "SHA": api.USM_AUTH_HMAC96_SHA,
    "SHA224": api.USM_AUTH_HMAC128_SHA224,
    "SHA256": api.USM_AUTH_HMAC192_SHA256,
    "SHA384": api.USM_AUTH_HMAC256_SHA384,
    "SHA512": api.USM_AUTH_HMAC384_SHA512,
}
# AES192 and AES256 are the Blumenthal draft, as in net-snmp; with a trailing C keys are expanded as Cisco does.
PRIVACY_PROTOCOLS = {
    "DES": api.USM_PRIV_CBC56_DES,
    "AES128": api.USM_PRIV_CFB128_AES,
    "AES192": api.USM_PRIV_CFB192_AES_BLUMENTHAL,
    "AES256": api.USM_PRIV_CFB256_AES_BLUMENTHAL,
    "AES192C": api.USM_PRIV_CFB192_AES,
    "AES256C": api.USM_PRIV_CFB256_AES,
}

# RFC 3416, section 3: error-status.
_STATUS = {
    1: ("tooBig", Failure.NONSENSE),
    2: ("noSuchName", Failure.UNSUPPORTED),
    3: ("badValue", Failure.REFUSED),
    4: ("readOnly", Failure.REFUSED),
    5: ("genErr", Failure.NONSENSE),
    6: ("noAccess", Failure.REFUSED),
    7: ("wrongType", Failure.UNSUPPORTED),
    8: ("wrongLength", Failure.UNSUPPORTED),
    9: ("wrongEncoding", Failure.UNSUPPORTED),
    10: ("wrongValue", Failure.UNSUPPORTED),
    11: ("noCreation", Failure.UNSUPPORTED),
    12: ("inconsistentValue", Failure.REFUSED),
    13: ("resourceUnavailable", Failure.NONSENSE),
    14: ("commitFailed", Failure.NONSENSE),
    15: ("undoFailed", Failure.NONSENSE),
    16: ("authorizationError", Failure.REFUSED),
    17: ("notWritable", Failure.REFUSED),
    18: ("inconsistentName", Failure.UNSUPPORTED),
}
MAKING = 10.0
"""Wall seconds for loading the engine's tables and for finding the agent's address: our judgement."""
_TOO_BIG = 1
_V3 = 3
"""The message processing model of SNMP v3 (RFC 3411, 5: snmpV3)."""
_WIDTH = 10
"""Columns asked for in one GETBULK; with 10 … 20 rows each that fills one UDP datagram and no more."""

_Answer = tuple[Any, Any, Any, Sequence[Any]]


class _TooBig(Exception):
    """The agent cannot put the answer into one message: ask for less."""


class EngineWire:
    """SNMP by pysnmp. The engine is made on first use and belongs to the event loop that runs then."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self._engine: Any = None
        self._target: Any = None
        self._making = asyncio.Lock()
        self._answered = False
        self._busy = 0
        self._stale = False

    async def get(self, oids: Sequence[Oid]) -> dict[Oid, Value]:
        try:
            rows = await self._exchange(api.get_cmd, [api.ObjectType(api.ObjectIdentity(oid)) for oid in oids])
        except _TooBig:
            if len(oids) == 1:
                raise ExchangeFailed(Failure.NONSENSE, f"tooBig for the single value {dotted(oids[0])}") from None
            half = len(oids) // 2
            return {**await self.get(oids[:half]), **await self.get(oids[half:])}
        if [oid for oid, _ in rows] != list(oids):
            raise ExchangeFailed(
                Failure.NONSENSE, "the answer is to another question: its OIDs are not those asked for"
            )
        return dict(rows)

    async def walk(self, columns: Sequence[Column], budget: int, *, repetitions: int = 0) -> None:
        """See `Wire`; `repetitions` are rows a request, by default those of the agent."""
        repetitions, width = repetitions or self._agent.repetitions, _WIDTH
        while live := [column for column in columns if not column.done][:width]:
            if budget <= 0:
                raise ExchangeFailed(Failure.NONSENSE, f"the table below {dotted(live[0].oid)} does not end")
            budget -= 1
            try:
                rows = await self._bulk([column.last for column in live], repetitions)
            except _TooBig:
                if repetitions == width == 1:
                    raise ExchangeFailed(Failure.NONSENSE, f"tooBig for one row of {dotted(live[0].oid)}") from None
                repetitions, width = max(1, repetitions // 2), (width if repetitions > 1 else max(1, width // 2))
                continue
            if not rows:
                raise ExchangeFailed(Failure.NONSENSE, "an empty answer to GETBULK")
            # RFC 3416, 4.2.3: repetitions are row by row, and the last row may be cut short.
            for number, (oid, value) in enumerate(rows):
                live[number % len(live)].take(oid, value)

    async def prepare(self) -> None:
        """Make the engine, if there is none: on a busy station that takes as long as an agent may for its answer.

        Raises TimeoutError where it is not made within MAKING: a name server may never answer.
        """
        async with asyncio.timeout(MAKING):
            await self._ready()

    async def set(self, oid: Oid, value: int) -> None:
        """Write one INTEGER, once. Raises TimeoutError where nothing came back: it may have been done or not."""
        try:
            await self._exchange(api.set_cmd, [api.ObjectType(api.ObjectIdentity(oid), rfc1902.Integer32(value))])
        except _TooBig:
            raise ExchangeFailed(Failure.NONSENSE, "tooBig for a single INTEGER") from None

    def engine_id(self) -> bytes:
        if self._engine is None or self._target is None or self._agent.credentials.version != 3:
            return b""
        messages = self._engine.message_processing_subsystems[_V3]
        found, _, _ = messages.get_peer_engine_info(self._target.TRANSPORT_DOMAIN, self._target.transport_address)
        return b"" if found is None else bytes(found)

    def reset(self) -> None:
        # An engine that never got an answer, and one of v2c, has cached nothing: keep it, making one is dear.
        self._stale = self._answered and self._agent.credentials.version == 3

    def close(self) -> None:
        engine, self._engine, self._target = self._engine, None, None
        self._answered = self._stale = False
        if engine is not None:
            engine.close_dispatcher()

    async def _bulk(self, cursors: Sequence[Oid], repetitions: int) -> list[tuple[Oid, Value]]:
        async def bulk(*arguments: Any, **options: Any) -> _Answer:
            engine, auth, target, context, *bindings = arguments
            answer: _Answer = await api.bulk_cmd(engine, auth, target, context, 0, repetitions, *bindings, **options)
            return answer

        return await self._exchange(bulk, [api.ObjectType(api.ObjectIdentity(oid)) for oid in cursors])

    async def _exchange(
        self, command: Callable[..., Awaitable[_Answer]], bindings: list[Any]
    ) -> list[tuple[Oid, Value]]:
        engine, target = await self._ready()
        garbled = _parse_errors(engine)
        auth = _login(self._agent.credentials)
        self._busy += 1
        try:
            indication, status, index, rows = await command(
                engine, auth, target, api.ContextData(), *bindings, lookupMib=False
            )
        except PySnmpError as error:
            raise ExchangeFailed(Failure.NONSENSE, str(error)) from error
        finally:
            self._busy -= 1
        if indication is not None:
            if isinstance(indication, errind.RequestTimedOut) and _parse_errors(engine) > garbled:
                raise ExchangeFailed(Failure.NONSENSE, "an answer that is no SNMP message")
            raise _failed(indication)
        self._answered = True
        if int(status) == _TOO_BIG:
            raise _TooBig
        if int(status):
            word, failure = _STATUS.get(int(status), (f"error-status {int(status)}", Failure.NONSENSE))
            position = int(index) - 1
            what = f" for {dotted(tuple(rows[position][0]))}" if 0 <= position < len(rows) else ""
            raise ExchangeFailed(failure, f"{word}{what}")
        return [(tuple(name), _plain(value)) for name, value in rows]

    async def _ready(self) -> tuple[Any, Any]:
        async with self._making:
            if self._stale and not self._busy:  # never from under somebody who waits for his answer
                self.close()
            if self._engine is None:
                # Loading its tables takes a tenth of a second, too long for the loop that interlocks run on.
                self._engine = await asyncio.to_thread(api.SnmpEngine)
            if self._target is None:  # also where the one who was making it was cancelled half way
                kind = api.Udp6TransportTarget if ":" in self._agent.host else api.UdpTransportTarget
                try:
                    target = await kind.create(
                        (self._agent.host, self._agent.port), timeout=self._agent.timeout, retries=0
                    )
                except PySnmpError as error:
                    self.close()
                    raise ExchangeFailed(Failure.SILENT, f"no address: {error}") from error
                _hear_only(target)
                self._target = target
            return self._engine, self._target


def _hear_only(target: Any) -> None:
    """Let through what comes from the address that is asked, and nothing else: pysnmp looks at the request-id alone."""
    opened = target.open_client_mode

    def open_narrowed() -> Any:
        transport = opened()
        received = transport.datagram_received

        def heard(datagram: bytes, source: Sequence[Any]) -> None:
            if tuple(source[:2]) == tuple(target.transport_address[:2]):
                received(datagram, source)

        transport.datagram_received = heard
        return transport

    target.open_client_mode = open_narrowed


def _login(credentials: Credentials) -> Any:
    if credentials.version == 2 and credentials.community is not None:
        return api.CommunityData(credentials.community.reveal(), mpModel=1)  # noqa: S508 - some PDUs have no v3
    if credentials.auth is None or credentials.privacy is None:
        raise ExchangeFailed(Failure.REFUSED, "no keys were given")
    return api.UsmUserData(
        credentials.user,
        authKey=credentials.auth.reveal(),
        privKey=credentials.privacy.reveal(),
        authProtocol=AUTH_PROTOCOLS[credentials.auth_protocol],
        privProtocol=PRIVACY_PROTOCOLS[credentials.privacy_protocol],
    )


def _failed(indication: Any) -> Exception:
    if isinstance(indication, errind.RequestTimedOut):
        return TimeoutError()
    refusals = (
        errind.WrongDigest,
        errind.UnknownUserName,
        errind.UnknownSecurityName,
        errind.UnsupportedSecurityLevel,
        errind.AuthenticationFailure,
        errind.AuthenticationError,
        errind.DecryptionError,
    )
    failure = Failure.REFUSED if isinstance(indication, refusals) else Failure.NONSENSE
    return ExchangeFailed(failure, str(indication))


def _plain(value: Any) -> Value:
    if isinstance(value, rfc1905.NoSuchObject | rfc1905.NoSuchInstance | rfc1905.EndOfMibView):
        return None
    if isinstance(value, rfc1902.IpAddress):
        return str(value.prettyPrint())
    if isinstance(value, rfc1902.OctetString | rfc1902.Opaque):
        return bytes(value)
    if isinstance(value, univ.ObjectIdentifier):
        return tuple(value)
    if isinstance(value, univ.Null):
        return None
    return int(value)


def _parse_errors(engine: Any) -> int:
    """How many messages this engine could not decode (SNMPv2-MIB snmpInASNParseErrs)."""
    (counter,) = engine.get_mib_builder().import_symbols("__SNMPv2-MIB", "snmpInASNParseErrs")
    return int(counter.syntax)
