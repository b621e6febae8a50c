"""lldpctl: the same neighbours out of json0 and json, whatever their number does to the shape."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from drivers.inband import ParseError
from drivers.inband.finding import Verdict
from drivers.inband.lldpctl import Seen, findings, neighbours, parse
from harness.capabilities import Neighbour

Recorded = Callable[[str], str]
Mutations = Callable[[str, int, int], Iterator[str]]
MAC = "7A:EE:EC:B9:42:7F"


def one(system: str = "leaf-1", port: str = "swp1", kind: str = "ifname", descr: str = "to rack 7") -> dict[str, Any]:
    chassis: dict[str, Any] = {"id": {"type": "mac", "value": MAC}, "descr": "x"}
    return {
        "via": "LLDP",
        "chassis": {system: chassis} if system else chassis,
        "port": {"id": {"type": kind, "value": port}, "descr": descr, "ttl": "120"},
    }


def document(interface: Any) -> str:
    return json.dumps({"lldp": {"interface": interface}})


@pytest.mark.parametrize("name", ["lldpctl-1.0.16-json0.json", "lldpctl-1.0.16-json.json"])
def test_the_recorded_neighbour_in_both_formats(recorded: Recorded, name: str) -> None:
    (seen,) = parse(recorded(name))
    assert seen == Seen("v0", "LLDP", "vm", "7a:ee:ec:b9:42:7f", "7a:ee:ec:b9:42:7f", "mac", "v1")
    assert neighbours((seen,)) == (Neighbour("v0", "vm", "v1", "7a:ee:ec:b9:42:7f"),)
    assert findings((seen,), cabled=("v0",)) == ()
    assert [each.verdict for each in findings((seen,), cabled=("v0", "v2"))] == [Verdict.FAIL]


@pytest.mark.parametrize("text", ['{"lldp": [{}]}', '{"lldp": {}}'])
def test_no_neighbour_is_an_answer(text: str) -> None:
    assert parse(text) == ()


def test_one_interface_two_interfaces_and_two_neighbours_in_json() -> None:
    assert [each.interface for each in parse(document({"eth0": one()}))] == ["eth0"]
    assert [each.interface for each in parse(document([{"eth1": one()}, {"eth0": one()}]))] == ["eth0", "eth1"]
    both = parse(document([{"eth0": one("leaf-2")}, {"eth0": one("leaf-1")}]))
    assert [each.system for each in both] == ["leaf-1", "leaf-2"]
    assert [each.verdict for each in findings(both, cabled=("eth0",))] == [Verdict.WARN]


def test_a_neighbour_that_does_not_send_its_name() -> None:
    (seen,) = parse(document({"eth0": one("")}))
    assert (seen.system, seen.chassis) == ("", MAC.lower())


@pytest.mark.parametrize(
    ("port", "kind", "descr", "expected"),
    [
        ("swp1", "ifname", "to rack 7", "swp1"),
        (MAC, "mac", "swp1", "swp1"),
        (MAC, "mac", "to rack 7", MAC.lower()),
        ("17", "local", "Ethernet17", "Ethernet17"),
        ("Eth1/1", "local", "uplink", "Eth1/1"),
    ],
)
def test_the_name_of_the_far_port(port: str, kind: str, descr: str, expected: str) -> None:
    assert parse(document({"eth0": one(port=port, kind=kind, descr=descr)}))[0].remote_port == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[]",
        '{"lldp": null}',
        '{"lldp": "none"}',
        '{"lldp": [1]}',
        document({"eth0": one()})[:-1],
        document({"eth0": one() | {"chassis": {}}}),
        document({"eth0": one() | {"port": None}}),
        document({"eth0": one() | {"port": {"id": {"type": "mac"}}}}),
        document({"eth0": one() | {"chassis": {"a": {"id": {"value": "x"}}, "b": {"id": {"value": "y"}}}}}),
        document([one()]),
        document("eth0"),
    ],
)
def test_what_is_missing_or_doubtful_is_refused(text: str) -> None:
    with pytest.raises(ParseError):
        parse(text)


def test_spoilt_outputs_end_in_a_result_or_a_parse_error(recorded: Recorded, mutations: Mutations) -> None:
    for name in ("lldpctl-1.0.16-json0.json", "lldpctl-1.0.16-json.json"):
        for spoilt in mutations(recorded(name), 22, 400):
            with contextlib.suppress(ParseError):
                found = parse(spoilt)
                neighbours(found)
                findings(found, cabled=("v0",))
