"""Probing services: recorded trees by their driver, a wrong password once, and nothing sent but a login."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from aiohttp import web

from harness import probing
from harness.connection import Secret
from harness.probing import Found, Target, described

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.drivers.redfish_mockups.conftest import Connect, Mockup, Serve

SESSIONS = "/redfish/v1/SessionService/Sessions"

# Read from the service roots and what they link to, not by our code.
READ_BY_A_PERSON = {
    "gb300-compute-tray": "bmc",  # a system with four GPUs
    "public-liquid-cooled-server": "bmc",  # a system; its loop is a part of the chassis
    "public-cooling-unit": "cdu",  # ThermalEquipment, one CDU
    "public-pdu": "pdu",  # PowerEquipment, rack PDUs
    "public-power-shelf": "power_shelf",  # PowerEquipment, power shelves
}


def probed(serve: Serve, reach: Connect, mockup: Mockup, password: str = "battery", driver: str = "") -> Found:
    """What is found at a mock-up."""

    async def scenario() -> Found:
        async with serve(mockup):
            reached = reach(mockup, "it", datetime.now(UTC))
            connection = replace(reached, secrets={"password": Secret("p", password)})
            (found,) = await probing._probe_all([probing._prepared(Target(connection, driver))])
            return found

    return asyncio.run(scenario())


def only_logged_in(mockup: Mockup) -> bool:
    """Whether nothing was sent but reads, logins, and the end of the sessions so begun."""
    sent = {(method, path.rpartition("/")[0] if method == "DELETE" else path) for method, path in mockup.requests}
    writes = {each for each in sent if each[0] != "GET"}
    return writes <= {("POST", SESSIONS), ("DELETE", SESSIONS)} and not mockup.tokens


@pytest.mark.parametrize("name", READ_BY_A_PERSON)
def test_a_recorded_tree_is_called_by_its_driver_and_only_read(
    serve: Serve, reach: Connect, recorded: Callable[[str], Mockup], name: str
) -> None:
    mockup = recorded(name)
    found = probed(serve, reach, mockup)
    assert (found.driver, found.profile) == (READ_BY_A_PERSON[name], ""), found.problems
    assert found.identity is not None
    assert found.identity.model
    assert {"Identity", "Telemetry"} <= set(found.capabilities)
    rows = described(found)["readings"]
    assert isinstance(rows, list)
    assert any(row["value"] is not None for row in rows)
    assert only_logged_in(mockup)


@pytest.mark.parametrize("driver", ["", "bmc"])
def test_a_wrong_password_is_sent_once(serve: Serve, reach: Connect, tree: Mockup, driver: str) -> None:
    found = probed(serve, reach, tree, "not-this-one", driver)
    assert (tree.logins, found.driver, len(found.problems)) == (1, "", 1)
    assert "not-this-one" not in found.problems[0]
    assert only_logged_in(tree)


def test_a_service_without_anything_known_is_not_recognised(serve: Serve, reach: Connect, tree: Mockup) -> None:
    tree.tree["/redfish/v1/Systems"]["Members"] = []
    found = probed(serve, reach, tree)
    assert found.driver == ""
    assert "no driver and profile of Rackproof fit" in found.problems[0]
    assert only_logged_in(tree)


def test_a_device_that_is_something_else_than_was_said_is_a_problem(
    serve: Serve, reach: Connect, recorded: Callable[[str], Mockup]
) -> None:
    """Somebody gave the PDU the address of the shelf."""
    mockup = recorded("public-power-shelf")
    found = probed(serve, reach, mockup, driver="bmc")
    assert found.problems
    assert only_logged_in(mockup)


def test_a_service_that_ends_in_mid_answer_is_a_problem_and_no_traceback(
    serve: Serve, reach: Connect, tree: Mockup
) -> None:
    async def cut(request: web.Request, _body: object) -> web.StreamResponse | None:
        assert request.transport is not None
        request.transport.abort()
        return None

    tree.hooks["GET", "/redfish/v1/Systems"] = cut
    found = probed(serve, reach, tree)
    assert (found.driver, len(found.problems)) == ("", 1)
    assert only_logged_in(tree)
