"""Probing what was recorded: every agent and every bus is called by its name, from what a person reads of it.

Between prober and agent stands a relay that sees every message: nothing is ever set, and a wrong secret is sent once.
"""

from __future__ import annotations

import asyncio
import select
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from drivers.recognition import candidates, fitting
from harness.connection import Candidate, Connection, Option, Secret
from harness.errors import DefinitionError
from harness.probing import Found, Target, probe
from tests.drivers.conftest import CAPTURES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.drivers.conftest import Agents, Line

WALKS = CAPTURES / "snmprec"
ROOTS = ("1.3.6.1.2.1", "1.0.8802", "1.3.6.1.4.1")
SAFE = {0xA0, 0xA1, 0xA5}
"""GetRequest, GetNextRequest, GetBulkRequest (RFC 3416); a SetRequest is 0xA3."""

# Read from sysDescr and sysObjectID (IANA private enterprise numbers) and the label on the device, not from our code.
READ_BY_A_PERSON = {
    "switch/cumulus_bgp": ("switch", "cumulus"),  # 40310 Cumulus Networks, "Cumulus-linux"
    "switch/dell-sonic": ("switch", "sonic"),  # 4413 Broadcom, "SONiC Software Version"
    "switch/junos_qfx5130-32cd-evo": ("switch", "juniper-qfx"),  # 2636 Juniper, "qfx5130-32cd"
    "pdu/eatonpdu_2": ("pdu", "eaton-g3"),  # 534.6.6.7 Eaton ePDU
    "pdu/liebert_mph2rg": ("pdu", "liebert-mph2"),  # 476.1.42 Liebert GP agent
    "pdu/raritan-pdu_px3": ("pdu", "raritan-px2"),  # 13742.6 Raritan PDU2-MIB, "PX3-5493U-K2"
    "pdu/sentry4_switched8i": ("pdu", "servertech-sentry4"),  # 1718.4 Sentry4-MIB
    "pdu/snmpsimdata_apc-8932": ("pdu", "apc-rpdu2"),  # 318.1.3.4.6 rPDU2
    "pdu/vertiv-pdu_mg02e4w1": ("pdu", "vertiv-geist-v5"),  # 21239.42.1.52 Geist
    "cooling/rittal-lcp_cmciii-pu-lcp": ("cdu", "rittal-lcp"),  # 2606.7 Rittal CMC III, "LCP"
}
NAMELESS = {"pdu/sentry4_switched8i"}
"""Recordings without model and serial; whoever records a device may leave them out, and then it has to be said."""


class Relay:
    """Carries datagrams to an agent and back, and keeps those that went to it."""

    def __init__(self, port: int) -> None:
        self.asked: list[bytes] = []
        self._port = port
        self._socket = _loopback()
        self.address = f"snmp://127.0.0.1:{self._socket.getsockname()[1]}"
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._carry)
        self._thread.start()

    def close(self) -> None:
        self._ended.set()
        self._thread.join()
        self._socket.close()

    def _carry(self) -> None:
        towards: dict[Any, socket.socket] = {}
        callers: dict[socket.socket, Any] = {}
        while not self._ended.is_set():
            ready, _, _ = select.select([self._socket, *callers], [], [], 0.05)
            for end in ready:
                message, sender = end.recvfrom(65536)
                if end is not self._socket:
                    self._socket.sendto(message, callers[end])
                    continue
                self.asked.append(message)
                if sender not in towards:
                    towards[sender] = _loopback()
                    callers[towards[sender]] = sender
                towards[sender].sendto(message, ("127.0.0.1", self._port))
        for end in callers:
            end.close()


def _loopback() -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.bind(("127.0.0.1", 0))
    return made


@contextmanager
def relayed(port: int) -> Iterator[Relay]:
    made = Relay(port)
    try:
        yield made
    finally:
        made.close()


def fields(octets: bytes) -> list[tuple[int, bytes]]:
    """The values one after the other in BER (X.690 8.1), tag and contents."""
    found, at = [], 0
    while at < len(octets):
        tag, long, at = octets[at], octets[at + 1], at + 2
        if long & 0x80:
            count = long & 0x7F
            long, at = int.from_bytes(octets[at : at + count], "big"), at + count
        found.append((tag, octets[at : at + long]))
        at += long
    return found


def purpose(message: bytes) -> int:
    """The tag of the PDU in a message of version 1 or 2c (RFC 1901)."""
    ((_, inside),) = fields(message)
    return fields(inside)[2][0]


def is_authenticated(message: bytes) -> bool:
    """Whether a message of version 3 carries a digest made with the secret (RFC 3412, msgFlags)."""
    ((_, inside),) = fields(message)
    return bool(fields(fields(inside)[1][1])[2][1][0] & 1)


def found_at(address: str, secrets: dict[str, str] | None = None, user: str = "", **options: Option) -> Found:
    hidden = {name: Secret(name, value) for name, value in (secrets or {}).items()}
    connection = Connection("it", address, user=user, secrets=hidden, options=options, now=lambda: datetime.now(UTC))
    (found,) = probe([Target(connection)])
    return found


def test_the_table_has_every_recording() -> None:
    if not WALKS.is_dir():
        pytest.skip("recorded walks are not part of this repository")
    assert {f"{file.parent.name}/{file.stem}" for file in WALKS.glob("*/*.snmprec")} == set(READ_BY_A_PERSON)


@pytest.mark.parametrize("name", READ_BY_A_PERSON)
def test_a_recorded_agent_is_called_by_its_name_and_only_read(
    agents: Agents, recorded: Callable[[str], dict[str, list[str]]], name: str
) -> None:
    with relayed(agents.start(recorded(name), roots=ROOTS)) as relay:
        found = found_at(relay.address, {"community": "public"}, version=2, timeout=10)
    assert (found.driver, found.profile) == READ_BY_A_PERSON[name], found.problems
    assert found.samples
    assert {purpose(message) for message in relay.asked} <= SAFE
    nameless = [problem for problem in found.problems if "names neither model nor serial" in problem]
    assert bool(nameless) == (name in NAMELESS)


# As these families call themselves (facts of recordings that are not at hand), and what no profile can tell.
@pytest.mark.parametrize(
    ("kind", "said", "names"),
    [
        ((30065, 1), "Arista Networks EOS version 4.33.6M running on an Arista Networks DCS-7280", ["arista-eos"]),
        ((9, 12), "Cisco NX-OS(tm) Nexus9000 C93180YC-FX3, Software (NXOS 64-bit)", ["cisco-nxos"]),
        ((9, 1), "Cisco IOS Software, C2960 Software", ["standard-switch"]),
        ((674, 11000), "Dell EMC Networking OS10 Enterprise.", ["dell-os10"]),
        ((8072, 3, 2, 10), "SONiC Software Version: SONiC.202311 - HwSku: ACS-MSN2700", ["sonic"]),
        ((47196, 4), "HPE ANW JL717C 8360-32Y4C v2 Switch LL.10.16.1006", ["standard-switch"]),
        ((2636, 1), "Juniper Networks, Inc. mx480 internet router, kernel JUNOS 21.4", ["standard-switch"]),
        ((318, 1, 3, 4, 5), "APC Web/SNMP Management Card", ["apc-rpdu", "apc-rpdu2"]),
        ((1718, 3), "Sentry Switched CDU", ["servertech-sentry3"]),
        ((2606, 7), "Rittal CMC III PU", ["standard-switch"]),
    ],
)
def test_families_by_what_they_say(kind: tuple[int, ...], said: str, names: list[str]) -> None:
    assert [name for _, name in fitting((1, 3, 6, 1, 4, 1, *kind), said, bridge=True)] == names
    if names == ["standard-switch"]:
        assert fitting((1, 3, 6, 1, 4, 1, *kind), said, bridge=False) == ()


def test_an_agent_that_nobody_knows_is_not_recognised_and_said_so(agents: Agents) -> None:
    table = {
        "1.3.6.1.2.1.1.1.0": ["octet", b"a printer".hex(" ")],
        "1.3.6.1.2.1.1.2.0": ["objectid", ".1.3.6.1.4.1.99999.1"],
        "1.3.6.1.2.1.1.7.0": ["integer", "72"],
    }
    with relayed(agents.start(table, roots=("1.3.6.1.2.1.1",))) as relay:
        found = found_at(relay.address, {"community": "public"}, version=2, timeout=10)
    assert (found.driver, len(found.problems)) == ("", 1)
    assert "no driver and profile of Rackproof fit" in found.problems[0]
    assert {purpose(message) for message in relay.asked} <= SAFE


def test_a_wrong_key_is_sent_once(agents: Agents) -> None:
    with relayed(agents.start()) as relay:
        wrong = {"auth": "not-the-right-key", "privacy": "private-key"}
        found = found_at(relay.address, wrong, "bench", timeout=10)
    assert (found.driver, len(found.problems)) == ("", 1)
    assert sum(map(is_authenticated, relay.asked)) == 1
    assert "not-the-right-key" not in found.problems[0]


def test_a_wrong_community_is_silence_and_only_repeated_as_what_was_lost(agents: Agents) -> None:
    """Version 2c has no refusal (RFC 3584 5.2.1): what is repeated is one and the same datagram."""
    with relayed(agents.start()) as relay:
        found = found_at(relay.address, {"community": "wrong"}, version=2, timeout=0.3)
    assert (found.driver, len(found.problems)) == ("", 1)
    assert 1 <= len(relay.asked) <= 3
    assert {purpose(message) for message in relay.asked} <= SAFE


def words(text: str, count: int) -> list[int]:
    octets = text.encode().ljust(2 * count, b"\0")
    return [int.from_bytes(octets[at : at + 2], "big") for at in range(0, 2 * count, 2)]


def unit(**texts: tuple[int, str, int]) -> dict[int, int]:
    """Registers with names in them: first register, text, how many registers."""
    return {first + at: word for first, text, count in texts.values() for at, word in enumerate(words(text, count))}


# Where the names begin in the Open Rack v3 register maps (OpenBMC rackmon).
SUPPLY = unit(
    part=(0, "700-0", 8), model=(8, "PSU-3", 8), made=(16, "2025", 8), serial=(24, "S1", 16), os=(48, "1.0", 4)
)
PUMPS = unit(part=(6596, "RPU-P", 8), model=(6604, "RPU-M", 8), serial=(6616, "S2", 8), os=(6632, "2.0", 4))
BATTERY = unit(maker=(0, "M", 8), model=(8, "BBU-3", 8), part=(24, "700-1", 8), os=(56, "1", 4), serial=(64, "S3", 16))


@pytest.mark.parametrize(
    ("number", "registers", "driver", "profile"),
    [
        (200, SUPPLY, "power_shelf", "orv3-psu"),
        (208, SUPPLY, "power_shelf", "orv3-hpr-psu"),
        (64, BATTERY, "power_shelf", "orv3-bbu"),
        (12, PUMPS, "cdu", "orv3-rpu"),
    ],
)
def test_a_unit_on_a_bus_by_its_registers_and_its_number(
    line: Line, number: int, registers: dict[int, int], driver: str, profile: str
) -> None:
    line.units[number] = registers
    name = "unit" if driver == "cdu" else "units"
    connection = Connection("it", line.address(), options={name: number, "timeout": 10}, now=lambda: datetime.now(UTC))

    async def ask() -> Sequence[Candidate]:
        return await candidates(connection)()

    fits = asyncio.run(ask())
    assert (fits[0].driver, fits[0].profile) == (driver, profile)
    assert not line.written


def test_a_unit_that_has_no_names_is_not_recognised(line: Line) -> None:
    line.units[1] = dict.fromkeys(range(80), 0)
    found = found_at(line.address(), timeout=0.3)
    assert (found.driver, len(found.problems)) == ("", 1)
    assert not line.written


def test_a_bus_on_which_nobody_answers_names_what_to_say(line: Line) -> None:
    found = found_at(line.address(), timeout=0.1)
    assert "Name its number on the bus with --option unit=NUMBER" in found.problems[0]


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("10.0.4.21", "does not say what to speak; it begins with one of https://, snmp://"),
        ("htps://10.0.4.21", "did you mean 'https'"),
        ("smnp://10.0.4.21", "did you mean 'snmp'"),
        ("telnet://10.0.4.21", "begins with one of"),
        ("", "begins with one of"),
        ("snmp://10.0.4.21:99999", "is no URL"),
        ("ssh://10.0.4.21", "give a user"),
        ("serial://ttyS0", "serial:///dev/NAME"),
    ],
)
def test_an_address_that_cannot_be_meant_is_refused_before_the_first_contact(address: str, words: str) -> None:
    with pytest.raises(DefinitionError, match=words):
        candidates(Connection("it", address, now=lambda: datetime.now(UTC)))
