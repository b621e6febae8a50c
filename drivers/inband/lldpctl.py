"""LLDP neighbours of a host as lldpd tells them: `lldpctl -f json0`, also `-f json`.

Seen: 1.0.16, both recorded. Sources: lldpctl(8), lldpd src/client/json_writer.c. json0 has lists everywhere; json makes
an object of a list of one and a key of a name, so that interfaces, chassis and identifiers change their shape with
their number. No neighbour is `{"lldp": [{}]}` or `{"lldp": {}}`, which is an answer; no answer is not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from drivers.inband import ParseError
from drivers.inband.finding import Finding, Verdict
from drivers.inband.strict_json import read_object
from harness.capabilities import Neighbour

TOOL = "lldpctl"
_PARTS = {"id", "name", "descr", "mgmt-ip", "mgmt-iface", "capability"}
"""What a chassis holds; another name above such an object is the system's own."""
_OPAQUE = ("mac", "ip")
_NUMBER = re.compile(r"\d{1,9}")


@dataclass(frozen=True, slots=True)
class Seen:
    """One neighbour on one interface. Texts are empty where it does not send them; addresses in lower case."""

    interface: str
    protocol: str
    """`LLDP`, or that of the neighbour: `CDPv2` …"""
    system: str
    chassis: str
    port: str
    """Its own identifier of the port."""
    port_kind: str
    """What the identifier is: `mac`, `ifname`, `local` …"""
    port_description: str

    @property
    def remote_port(self) -> str:
        """The name of the far port: its description where the identifier is an address or a bare number."""
        opaque = self.port_kind in _OPAQUE or (self.port_kind == "local" and _NUMBER.fullmatch(self.port))
        named = bool(self.port_description) and not any(each.isspace() for each in self.port_description)
        return self.port_description if opaque and named else self.port


def parse(text: str) -> tuple[Seen, ...]:
    """Every neighbour, ordered by interface; raises ParseError."""
    top = read_object(text, TOOL).get("lldp")
    if not isinstance(top, list | dict):
        raise ParseError(f"{TOOL}: there is no answer of lldpd")
    found = [_neighbour(name, interface) for root in _items(top) for name, interface in _named(root.get("interface"))]
    return tuple(sorted(found, key=lambda seen: (seen.interface, seen.system, seen.port)))


def neighbours(seen: tuple[Seen, ...]) -> tuple[Neighbour, ...]:
    """The same in the words of the harness."""
    return tuple(Neighbour(each.interface, each.system, each.remote_port, each.chassis) for each in seen)


def _items(found: object) -> list[dict[str, Any]]:
    """What json0 has as a list of objects and json as one object or a list; nothing where absent."""
    listed: list[Any] = [] if found is None else found if isinstance(found, list) else [found]
    if not all(isinstance(each, dict) for each in listed):
        raise ParseError(f"{TOOL}: an object was expected")
    return listed


def _named(found: object) -> Iterator[tuple[str, dict[str, Any]]]:
    """Names and objects of `[{"name": N, …}]` (json0), `{N: {…}}` and `[{N: {…}}, …]` (json)."""
    for each in _items(found):
        if "via" in each or "chassis" in each:
            name = each.get("name")
            if not isinstance(name, str) or not name:
                raise ParseError(f"{TOOL}: an interface without its name")
            yield name, each
            continue
        for name, value in each.items():
            for one in _items(value):
                yield name, one


def _neighbour(name: str, interface: dict[str, Any]) -> Seen:
    chassis, port = _chassis(interface.get("chassis")), _only(interface.get("port"), "port")
    port_id, chassis_id = _only(port.get("id"), "port identifier"), _only(chassis.get("id"), "chassis identifier")
    via = interface.get("via")
    return Seen(
        interface=name,
        protocol=via if isinstance(via, str) else "",
        system=_word(chassis.get("name")),
        chassis=_identifier(chassis_id),
        port=_identifier(port_id),
        port_kind=_word(port_id.get("type")),
        port_description=_word(port.get("descr")),
    )


def _only(found: object, what: str) -> dict[str, Any]:
    items = _items(found)
    if len(items) != 1:
        raise ParseError(f"{TOOL}: {len(items)} of {what} of one neighbour")
    return items[0]


def _chassis(found: object) -> dict[str, Any]:
    """The chassis with its `name`, which json has as the key above it where there is one."""
    chassis = _only(found, "chassis")
    if "id" in chassis or not chassis:
        return chassis
    if len(chassis) != 1 or set(chassis) & _PARTS:
        raise ParseError(f"{TOOL}: a chassis without its identifier")
    name, inner = next(iter(chassis.items()))
    return _only(inner, "chassis") | {"name": name}


def _word(found: object) -> str:
    """A text, or the `value` of an object or of a list of one."""
    if found is None:
        return ""
    if isinstance(found, list):
        found = _only(found, "value")
    if isinstance(found, dict):
        found = found.get("value", "")
    if not isinstance(found, str):
        raise ParseError(f"{TOOL}: {found!r:.60} is no text")
    return found.strip()


def _identifier(found: dict[str, Any]) -> str:
    word = _word(found.get("value"))
    if not word:
        raise ParseError(f"{TOOL}: an identifier without its value")
    return word.lower() if _word(found.get("type")) == "mac" else word


def findings(seen: tuple[Seen, ...], *, cabled: tuple[str, ...]) -> tuple[Finding, ...]:
    """An interface of `cabled` that sees nobody is FAIL; one that sees two neighbours is WARN: which is meant?"""
    found = []
    for name in cabled:
        systems = [each for each in seen if each.interface == name]
        if not systems:
            found.append(Finding(Verdict.FAIL, name, "no neighbour is seen: no cable, no link, or LLDP is off there"))
        elif len(systems) > 1:
            names = ", ".join(each.system or each.chassis for each in systems)
            found.append(Finding(Verdict.WARN, name, f"{len(systems)} neighbours: {names}"))
    return tuple(found)
