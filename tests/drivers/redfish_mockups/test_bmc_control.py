"""A BMC that is told to do something: power, boot source, log and tasks. Sent once, counted when it reads back."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from drivers.bmc import connect
from drivers.bmc.tray import ComputeTray
from harness.connection import Connection
from harness.controls import (
    Attestation,
    Boot,
    BootOverride,
    Certificates,
    EventStream,
    LogControl,
    PowerControl,
    PowerState,
)
from harness.errors import Misbehaved, Unreachable, Unsupported

if TYPE_CHECKING:
    from tests.drivers.redfish_mockups.conftest import Mockup, Run

NOW = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)
V1 = "/redfish/v1"
SYSTEM, CHASSIS, MANAGER = f"{V1}/Systems/S", f"{V1}/Chassis/Tray", f"{V1}/Managers/M"
RESET, LOG = f"{SYSTEM}/Actions/ComputerSystem.Reset", f"{MANAGER}/LogServices/Log"
SENSORS = f"{CHASSIS}/Sensors"
Json = dict[str, Any]


def ref(path: str) -> Json:
    return {"@odata.id": path}


def resetting(tree: Mockup, *, status: int = 204, **headers: str) -> None:
    """The system obeys its Reset action."""

    async def reset(_: web.Request, body: Json) -> web.StreamResponse:
        tree.change(SYSTEM, PowerState="On" if body["ResetType"].endswith("On") else "Off")
        return web.Response(status=status, headers=headers)

    tree.hooks["POST", RESET] = reset


def test_it_has_the_controls_of_a_compute_tray() -> None:
    tray = connect(Connection("tray-01", "https://127.0.0.1", now=lambda: NOW))
    kinds: tuple[type, ...] = (PowerControl, BootOverride, LogControl, Certificates, Attestation, EventStream)
    assert all(isinstance(tray, kind) for kind in kinds)


def test_power_is_switched_by_the_stated_target_and_read_back(tree: Mockup, run: Run) -> None:
    resetting(tree)

    async def scenario(tray: ComputeTray) -> None:
        assert await tray.power() is PowerState.OFF
        assert await tray.set_power(PowerState.ON) is PowerState.ON
        assert await tray.set_power(PowerState.ON) is PowerState.ON  # already so: nothing is sent
        assert await tray.set_power(PowerState.OFF) is PowerState.OFF
        await tray.set_power(PowerState.ON)
        await tray.set_power(PowerState.OFF, force=True)
        sent = [body["ResetType"] for body in tree.bodies if "ResetType" in body]
        assert sent == ["On", "GracefulShutdown", "On", "ForceOff"]
        with pytest.raises(ValueError, match="On or Off"):
            await tray.set_power(PowerState.POWERING_ON)

    run(tree, scenario)


def test_power_that_does_not_read_back_is_misbehaviour_and_sent_once(tree: Mockup, run: Run) -> None:
    async def ignore(_: web.Request, __: Json) -> web.StreamResponse:
        return web.Response(status=204)

    tree.hooks["POST", RESET] = ignore

    async def scenario(tray: ComputeTray) -> None:
        with pytest.raises(Misbehaved, match=r"still reads Off after 0\.4 s"):
            await tray.set_power(PowerState.ON)
        assert tree.writes() == [("POST", RESET)]

    run(tree, scenario, change_timeout=0.4)


def test_a_command_whose_answer_was_lost_counts_if_it_reads_back(tree: Mockup, run: Run) -> None:
    async def obey_and_die(request: web.Request, body: Json) -> web.StreamResponse:
        tree.change(SYSTEM, PowerState="On")
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    tree.hooks["POST", RESET] = obey_and_die

    async def scenario(tray: ComputeTray) -> None:
        assert await tray.set_power(PowerState.ON) is PowerState.ON
        assert tree.writes() == [("POST", RESET)]

    run(tree, scenario)


def test_what_is_not_among_the_allowable_values_is_not_sent(tree: Mockup, run: Run) -> None:
    tree.change(
        SYSTEM,
        PowerState="On",
        Actions={"#ComputerSystem.Reset": {"target": RESET, "@Redfish.ActionInfo": f"{SYSTEM}/ResetActionInfo"}},
    )
    tree.tree[f"{SYSTEM}/ResetActionInfo"] = {
        "Parameters": [{"Name": "ResetType", "AllowableValues": ["On", "ForceOff"]}]
    }

    async def scenario(tray: ComputeTray) -> None:
        with pytest.raises(Unsupported, match="it offers On, ForceOff"):
            await tray.set_power(PowerState.OFF)
        assert tree.writes() == []

    run(tree, scenario)


@pytest.mark.parametrize("end", ["Completed", "gone", "no body"])
def test_a_task_is_followed_to_its_end(tree: Mockup, run: Run, end: str) -> None:
    resetting(tree, status=202, Location=f"{V1}/TaskService/TaskMonitors/1", **{"Retry-After": "0"})
    looks = 0

    async def monitor(_: web.Request, __: Json) -> web.StreamResponse:
        nonlocal looks
        looks += 1
        if looks < 3:
            return web.json_response({"TaskState": "Running"}, status=202, headers={"Retry-After": "0"})
        if end == "gone":
            return web.json_response({}, status=404)
        return web.Response(status=204) if end == "no body" else web.json_response({"TaskState": end})

    tree.hooks["GET", f"{V1}/TaskService/TaskMonitors/1"] = monitor

    async def scenario(tray: ComputeTray) -> None:
        assert await tray.set_power(PowerState.ON) is PowerState.ON
        assert looks == 3

    run(tree, scenario)


def test_a_task_that_fails_says_why(tree: Mockup, run: Run) -> None:
    resetting(tree, status=202, Location=f"{V1}/T/1")
    tree.tree[f"{V1}/T/1"] = {"TaskState": "Exception", "Messages": [{"Message": "no fan"}]}

    async def scenario(tray: ComputeTray) -> None:
        with pytest.raises(Misbehaved, match="ended in Exception: no fan"):
            await tray.set_power(PowerState.ON)

    run(tree, scenario)


def test_a_task_that_never_ends_ends_with_the_deadline(tree: Mockup, run: Run) -> None:
    async def accept(_: web.Request, __: Json) -> web.StreamResponse:
        return web.Response(status=202, headers={"Location": f"{V1}/T/1"})

    tree.hooks["POST", RESET] = accept
    tree.tree[f"{V1}/T/1"] = {"TaskState": "Running"}

    async def scenario(tray: ComputeTray) -> None:
        with pytest.raises(Unreachable, match="its task is still Running"):
            await tray.set_power(PowerState.ON)

    run(tree, scenario, change_timeout=0.4)


def test_the_boot_source_goes_to_the_settings_object_under_its_etag(tree: Mockup, run: Run) -> None:
    pending = f"{SYSTEM}/Settings"
    tree.change(SYSTEM, **{"@Redfish.Settings": {"SettingsObject": ref(pending)}})
    allowed = {"BootSourceOverrideTarget@Redfish.AllowableValues": ["None", "Pxe", "Hdd"]}
    tree.change(SYSTEM, Boot={"BootSourceOverrideTarget": "None", "BootSourceOverrideEnabled": "Disabled"} | allowed)
    tree.tree[pending] = {"@odata.id": pending, "Boot": {"BootSourceOverrideTarget": "None"}}

    async def scenario(tray: ComputeTray) -> None:
        assert await tray.set_boot("Pxe") == Boot("Pxe", "Once")
        assert tree.writes() == [("PATCH", pending)]
        assert any("If-Match" in headers for headers in tree.headers)
        assert await tray.boot() == Boot("Pxe", "Once")
        assert (await tray.set_boot("None")).enabled == "Disabled"
        with pytest.raises(Unsupported, match="it offers None, Pxe, Hdd"):
            await tray.set_boot("Usb")

        async def changed(_: web.Request, __: Json) -> web.StreamResponse:
            return web.json_response({"error": {"message": "changed meanwhile"}}, status=412)

        tree.hooks["PATCH", pending] = changed
        with pytest.raises(Misbehaved, match="HTTP 412: changed meanwhile"):
            await tray.set_boot("Hdd")

    run(tree, scenario)


def test_a_log_is_archived_cleared_and_read_back(tree: Mockup, run: Run) -> None:
    async def clear(_: web.Request, __: Json) -> web.StreamResponse:
        entry = {"Id": "3", "Created": NOW.isoformat(), "Severity": "OK", "Message": "log cleared"}
        tree.change(f"{LOG}/Entries", Members=[{"@odata.id": f"{LOG}/Entries/3"} | entry])
        return web.Response(status=204)

    tree.hooks["POST", f"{LOG}/Clear"] = clear

    async def scenario(tray: ComputeTray) -> None:
        assert [entry.message for entry in await tray.clear_log()] == ["m1", "m2"]
        assert [entry.message for entry in await tray.entries()] == ["log cleared"]
        tree.hooks["POST", f"{LOG}/Clear"] = ignore
        with pytest.raises(Misbehaved, match="still reads 1"):
            await tray.clear_log()
        tree.change(LOG, Actions={})
        with pytest.raises(Unsupported, match="cannot be cleared"):
            await tray.clear_log()

    async def ignore(_: web.Request, __: Json) -> web.StreamResponse:
        return web.Response(status=204)

    run(tree, scenario, change_timeout=0.4)
