"""The gufo-snmp way: bulk reads in Rust at a tenth of pysnmp's cost, where the package is installed. It cannot SET.

It tells failures apart less finely than pysnmp, so the transport asks again by pysnmp before it passes judgement.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from drivers.transports.snmp_wire import Agent, Column, ExchangeFailed, Failure, Oid, Value, dotted, parse_oid

if TYPE_CHECKING:
    from gufo.snmp.aio import SnmpSession

_PROTOCOLS = {"MD5": "Md5Key", "SHA": "Sha1Key", "SHA224": "Sha224Key", "SHA256": "Sha256Key", "SHA384": "Sha384Key"}
_AUTH = {**_PROTOCOLS, "SHA512": "Sha512Key"}
_PRIVACY = {"DES": "DesKey", "AES128": "Aes128Key"}  # longer keys: two drafts of key expansion; pysnmp names them
_TIME_WINDOW = 60.0
"""Wall seconds after which boots and time of a v3 engine are asked for again; RFC 3414, 2.2.3 allows 150 s."""


_NO_MESSAGE = "an answer that is no SNMP message"


def _panicked(error: BaseException) -> bool:
    """Whether this is a panic of gufo-snmp's Rust: 0.13 reads beyond an answer that is shorter than it claims to be.

    Its class stands outside of Exception and cannot be imported, so it is known by name.
    """
    return type(error).__name__ == "PanicException"


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """What the library raises inside is told in our words. The same octets are now no message, now a panic."""
    from gufo.snmp import SnmpAuthError, SnmpDecodeError, SnmpError

    try:
        yield
    except SnmpAuthError as error:
        raise ExchangeFailed(Failure.REFUSED, str(error)) from error
    except SnmpDecodeError as error:
        raise ExchangeFailed(Failure.NONSENSE, f"{_NO_MESSAGE} ({error})") from error
    except SnmpError as error:
        raise ExchangeFailed(Failure.NONSENSE, str(error) or type(error).__name__) from error
    except BaseException as error:
        if not _panicked(error):
            raise
        raise ExchangeFailed(Failure.NONSENSE, _NO_MESSAGE) from error


def fast_wire(agent: Agent) -> FastWire | None:
    """A fast way to read from this agent, or None where the package or a protocol is missing."""
    try:
        import gufo.snmp  # noqa: F401
    except ImportError:
        return None
    credentials = agent.credentials
    if credentials.version == 3 and credentials.privacy_protocol not in _PRIVACY:
        return None
    return FastWire(agent)


class FastWire:
    """SNMP reads by gufo-snmp, over one session that is made on first use."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self._session: SnmpSession | None = None
        self._refreshed = 0.0

    async def get(self, oids: Sequence[Oid]) -> dict[Oid, Value]:
        with _told():
            session = await self._ready()
            found = await session.get_many([dotted(oid) for oid in oids])
        answers = {parse_oid(name): _plain(value) for name, value in found.items()}
        return {oid: answers.get(oid) for oid in oids}

    async def walk(self, columns: Sequence[Column], budget: int) -> None:
        rows = budget * self._agent.repetitions
        with _told():
            session = await self._ready()
            for column in columns:
                async for name, value in session.getbulk(dotted(column.oid), self._agent.repetitions):
                    rows -= 1
                    if rows < 0:
                        raise ExchangeFailed(Failure.NONSENSE, f"the table below {dotted(column.oid)} does not end")
                    column.take(parse_oid(name), _plain(value))
                    if column.done:
                        break
                column.done = True

    def engine_id(self) -> bytes:
        version = self._agent.credentials.version
        return self._session.get_engine_id() if self._session is not None and version == 3 else b""

    def reset(self) -> None:
        self.close()

    def close(self) -> None:
        self._session = None  # the socket closes with the object

    async def _ready(self) -> SnmpSession:
        if self._session is None:
            self._session = self._connect(await self._address())
            self._refreshed = 0.0
        if self._agent.credentials.version == 3 and time.monotonic() - self._refreshed > _TIME_WINDOW:
            await self._session.refresh()
            self._refreshed = time.monotonic()
        return self._session

    async def _address(self) -> str:
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(self._agent.host, self._agent.port, type=socket.SOCK_DGRAM)
        return str(found[0][4][0])

    def _connect(self, address: str) -> SnmpSession:
        from gufo import snmp
        from gufo.snmp.aio import SnmpSession

        agent, credentials = self._agent, self._agent.credentials
        if credentials.version == 2 and credentials.community is not None:
            community = credentials.community.reveal()
            return SnmpSession(address, agent.port, community=community, timeout=agent.timeout)
        if credentials.auth is None or credentials.privacy is None:
            raise ExchangeFailed(Failure.REFUSED, "no keys were given")
        user = snmp.User(
            credentials.user,
            auth_key=getattr(snmp, _AUTH[credentials.auth_protocol])(credentials.auth.reveal().encode()),
            priv_key=getattr(snmp, _PRIVACY[credentials.privacy_protocol])(credentials.privacy.reveal().encode()),
        )
        return SnmpSession(address, agent.port, user=user, timeout=agent.timeout)


def _plain(value: str | bytes | float | None) -> Value:
    """gufo gives OIDs and IP addresses as text; four small arcs are an address, anything else an OID."""
    if isinstance(value, float):
        return str(value).encode()  # Opaque float (net-snmp); pysnmp shows the octets, nothing of ours reads either
    if isinstance(value, str):
        arcs = parse_oid(value)
        return value if len(arcs) == 4 and max(arcs) < 256 else arcs
    return value
