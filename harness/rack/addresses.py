"""Cross-checks of addresses: plausible for the driver, and of one device only."""

from __future__ import annotations

import ipaddress
import posixpath
import re
from collections.abc import Iterator, Mapping
from urllib.parse import SplitResult, urlsplit

from harness.errors import Problem
from harness.rack.bay import Endpoint
from harness.rack.document import Document, Place

SCHEMES: Mapping[str, tuple[str, ...]] = {
    "bmc": ("https",),
    "host": ("ssh",),
    "console": ("serial", "socket", "rfc2217"),
    "switch": ("snmp",),
    "pdu": ("snmp", "https"),
    "power_shelf": ("modbus+rtu", "modbus+tcp", "modbus+rtu+tcp", "https"),
    "cdu": ("modbus+tcp", "modbus+rtu", "modbus+rtu+tcp", "https", "snmp"),
}
"""Driver to the URL schemes it understands; see `harness.connection.Connection`."""

SERIAL = ("serial", "modbus+rtu")
"""Schemes whose URL names a device file of the station."""

PORTS = {"https": 443, "ssh": 22, "snmp": 161, "modbus+tcp": 502}
UNITS = ("unit", "units", "batteries", "manager")
"""Options that tell the addresses on a Modbus line apart; the last two name a profile first, `orv3-bbu:64,65`."""


def check_addresses(document: Document, devices: Mapping[str, Endpoint]) -> Iterator[Problem]:
    """What is wrong with the addresses of a bay. A Modbus line may be shared where the unit addresses differ."""
    taken: dict[tuple[str, str], list[str]] = {}
    for name, endpoint in devices.items():
        place: Place = ("devices", name, "address")
        wrong = _fault(endpoint)
        if wrong:
            yield document.problem(place, wrong)
            continue
        found = normal(endpoint.address)
        for other in taken.get(found, []):
            if not _share(endpoint, devices[other]):
                yield document.problem(place, f"{other} has the same address; each device needs its own")
        taken.setdefault(found, []).append(name)
    yield from _check_data(document, devices)


def normal(address: str) -> tuple[str, str]:
    """Transport and place of an address, the same for all its spellings: `("tcp", "10.0.0.1:443")`."""
    url = urlsplit(address)
    if url.scheme in SERIAL:
        return "line", posixpath.normpath(url.path)
    transport = "udp" if url.scheme == "snmp" else "tcp"
    return transport, f"{_host(url.hostname or '')}:{url.port or PORTS.get(url.scheme, 0)}"


def _fault(endpoint: Endpoint) -> str:
    """What is wrong with one address; never shows it, it may hold a password."""
    if any(character.isspace() or not character.isprintable() for character in endpoint.address):
        return "an address holds no spaces and no line ends"
    try:
        url = urlsplit(endpoint.address)
        port = url.port
    except ValueError:
        return "this is no URL: its host or port cannot be read"
    schemes = SCHEMES.get(endpoint.driver)
    if schemes is None:
        return ""
    if url.scheme not in schemes:
        return (
            f"the driver {endpoint.driver} needs an address that begins with {' or '.join(f'{s}://' for s in schemes)}"
        )
    if "@" in url.netloc:
        return "an address holds no user and no password: use 'user' and 'secrets'"
    return _fault_of_place(url, port)


def _fault_of_place(url: SplitResult, port: int | None) -> str:
    if url.scheme in SERIAL:
        if url.netloc or not url.path.startswith("/"):
            return f"a serial line is written {url.scheme}:///dev/ttyUSB0 (three slashes)"
        return ""
    if not url.hostname:
        return f"the host is missing: {url.scheme}://host:port"
    if port == 0 or (port is None and url.scheme not in PORTS):
        return f"the port is missing: {url.scheme}://host:port"
    return ""


def _host(name: str) -> str:
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        return name.lower().rstrip(".")


def _share(one: Endpoint, other: Endpoint) -> bool:
    """Whether two devices are told apart by their Modbus unit addresses."""
    if not all(endpoint.address.startswith("modbus+") for endpoint in (one, other)):
        return False
    left, right = _units(one), _units(other)
    return bool(left and right) and not left & right


def _units(endpoint: Endpoint) -> set[str]:
    texts = [str(endpoint.options[key]).rpartition(":")[2] for key in UNITS if key in endpoint.options]
    words = [word.partition("@")[0].strip() for text in texts for word in re.split("[,;]", text)]
    return {word.lstrip("0") or "0" for word in words if word}


def _check_data(document: Document, devices: Mapping[str, Endpoint]) -> Iterator[Problem]:
    """An address on the data network (`options: data.nic-0`) belongs to one interface of the whole rack."""
    taken: dict[str, str] = {}
    for name, endpoint in devices.items():
        for option, value in endpoint.options.items():
            if option.startswith("data."):
                first = taken.setdefault(_host(str(value)), f"{name} {option}")
                if first != f"{name} {option}":
                    place: Place = ("devices", name, "options", option)
                    yield document.problem(place, f"{first} has the same address; each interface needs its own")
