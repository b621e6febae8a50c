"""What every way of speaking SNMP shares: values, failures, credentials and the cursor of a walk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from harness.connection import Secret

Oid = tuple[int, ...]
"""An object identifier, as (1, 3, 6, 1, 2, 1, 1, 1, 0)."""

Value = int | bytes | str | Oid | None
"""One value: a number, an octet string, an IP address (str), an OID; None where the agent has no such object."""


class Failure(StrEnum):
    """How an exchange failed."""

    SILENT = "silent"
    REFUSED = "refused"
    NONSENSE = "nonsense"
    UNSUPPORTED = "unsupported"
    REPLACED = "replaced"


class ExchangeFailed(Exception):
    """One exchange failed; the transport turns it into a DeviceError."""

    def __init__(self, failure: Failure, seen: str) -> None:
        self.failure = failure
        self.seen = seen
        super().__init__(seen)


@dataclass(frozen=True, slots=True)
class Credentials:
    """How to log in: SNMP v2c with a community, or v3 authPriv (RFC 3414, RFC 3826) with a user and two keys."""

    version: int
    community: Secret | None = None
    user: str = ""
    auth: Secret | None = None
    auth_protocol: str = "SHA256"
    privacy: Secret | None = None
    privacy_protocol: str = "AES128"


@dataclass(frozen=True, slots=True)
class Agent:
    """One SNMP agent and how patiently it is asked. `timeout` is in wall seconds, for one exchange."""

    host: str
    port: int
    credentials: Credentials
    timeout: float = 1.0
    repetitions: int = 20
    """Rows asked for in one GETBULK."""


@dataclass(slots=True)
class Column:
    """The cursor of one column in a walk; `rows` maps index to value."""

    oid: Oid
    last: Oid = ()
    done: bool = False
    rows: dict[Oid, Value] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.last = self.last or self.oid

    def take(self, oid: Oid, value: Value) -> None:
        """Take one row of an answer; raises ExchangeFailed where the agent goes round in circles."""
        if self.done:
            return
        if value is None or oid[: len(self.oid)] != self.oid:
            self.done = True
            return
        if oid <= self.last:
            raise ExchangeFailed(Failure.NONSENSE, f"OIDs do not increase: {dotted(oid)} after {dotted(self.last)}")
        self.rows[oid[len(self.oid) :]] = value
        self.last = oid


class Wire(Protocol):
    """One way of exchanging messages with one agent. Raises ExchangeFailed, and TimeoutError on silence."""

    async def get(self, oids: Sequence[Oid]) -> dict[Oid, Value]: ...

    async def walk(self, columns: Sequence[Column], budget: int) -> None:
        """Fill the columns that are not done, with at most `budget` requests."""
        ...

    def engine_id(self) -> bytes:
        """The SNMP engine that the last v3 exchange was with (RFC 3411, 5); empty where there was none."""
        ...

    def reset(self) -> None:
        """Forget the peer: after a silence the unit may have been replaced by one with another engine ID."""
        ...

    def close(self) -> None: ...


def dotted(oid: Oid) -> str:
    """`1.3.6.1.2.1`."""
    return ".".join(str(arc) for arc in oid)


def parse_oid(text: str) -> Oid:
    """The OID of a dotted text; raises ValueError."""
    return tuple(int(arc) for arc in text.split("."))
