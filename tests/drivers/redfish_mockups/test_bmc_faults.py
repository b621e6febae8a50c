"""A BMC that fails, and recorded ones: sessions, reboots, certificates, odd answers; each ends in the right error."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from drivers.bmc import connect
from drivers.bmc.tray import ComputeTray
from harness.capabilities import LeakState
from harness.controls import (
    Boot,
    PowerState,
)
from harness.errors import Misbehaved, Refused, Unreachable, Unsupported
from harness.quantities import Quality
from tests.drivers.redfish_peer import impatient

if TYPE_CHECKING:
    from tests.drivers.redfish_mockups.conftest import Connect, Mockup, Run, Serve

NOW = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)
V1 = "/redfish/v1"
SYSTEM, CHASSIS, MANAGER = f"{V1}/Systems/S", f"{V1}/Chassis/Tray", f"{V1}/Managers/M"
RESET, LOG = f"{SYSTEM}/Actions/ComputerSystem.Reset", f"{MANAGER}/LogServices/Log"
SENSORS = f"{CHASSIS}/Sensors"
Json = dict[str, Any]


async def readings(tray: ComputeTray) -> dict[str, Any]:
    return {each.channel.quantity: each.reading for each in await tray.sample()}


def test_the_session_limit_is_no_wrong_password(tree: Mockup, serve: Serve, reach: Connect) -> None:
    tree.most_sessions = 0

    async def scenario() -> None:
        async with serve(tree):
            tray = connect(reach(tree, "tray-01", NOW))
            with pytest.raises(Unreachable, match="all its sessions are taken"):
                await tray.open()
            tree.most_sessions = 1  # somebody logged out: the next call works, nothing is latched
            await tray.open()
            await tray.close()
            assert tree.tokens == set()

    asyncio.run(scenario())


def test_a_wrong_secret_is_tried_exactly_once(tree: Mockup, serve: Serve, reach: Connect) -> None:
    tree.password = "another"

    async def scenario() -> None:
        async with serve(tree):
            tray = connect(reach(tree, "tray-01", NOW))
            for _ in range(3):
                with pytest.raises(Refused):
                    await tray.open()
            await tray.close()
            assert tree.logins == 1

    asyncio.run(scenario())


def test_a_reboot_in_mid_call_loses_the_session_and_nothing_else(tree: Mockup, serve: Serve, reach: Connect) -> None:
    async def scenario() -> None:
        async with serve(tree):
            tray = connect(reach(tree, "tray-01", NOW))
            await tray.open()
        with pytest.raises(Unreachable):  # it is down
            await tray.sample()
        tree.tokens.clear()
        async with serve(tree):  # and back, at the same address, knowing nobody
            assert (await readings(tray))["accelerator.power"].value == 700.0
            await tray.close()
        assert tree.logins == 2

    asyncio.run(scenario())


def test_a_certificate_changed_in_between_gets_neither_token_nor_password(
    tree: Mockup, serve: Serve, serve_other: Serve, reach: Connect
) -> None:
    async def scenario() -> None:
        async with serve(tree):
            tray = connect(reach(tree, "tray-01", NOW))
            await tray.open()
        tree.requests.clear()
        async with serve_other(tree):
            with pytest.raises(Misbehaved, match="pins"):
                await tray.sample()
            assert tree.requests == []
        async with serve(tree):
            assert (await readings(tray))["accelerator.power"].value == 700.0
            await tray.close()

    asyncio.run(scenario())


def test_a_slow_answer_is_not_taken_for_the_next_one(tree: Mockup, run: Run) -> None:
    released = asyncio.Event()

    async def slow(_: web.Request, __: Json) -> web.StreamResponse | None:
        await released.wait()
        return None

    async def scenario(tray: ComputeTray) -> None:
        tree.hooks["GET", SYSTEM] = slow
        with impatient(tray._wire, 0.3), pytest.raises(Unreachable, match="no answer within"):
            await tray.power()
        del tree.hooks["GET", SYSTEM]
        released.set()
        assert await tray.power() is PowerState.OFF

    run(tree, scenario)


def test_members_already_expanded_are_taken_as_they_are(tree: Mockup, run: Run) -> None:
    """A recorded Liteon shelf expands though nobody asked."""
    bodies = [tree.tree.pop(f"{SENSORS}/{name}") for name in "TP"]
    tree.tree[SENSORS]["Members"] = bodies

    async def scenario(tray: ComputeTray) -> None:
        assert [channel.quantity for channel in tray.channels()][:2] == ["accelerator.power", "accelerator.temperature"]

    run(tree, scenario)


@pytest.mark.parametrize("lost", ["Systems", "Managers", "EventService", "UpdateService", "TelemetryService"])
def test_a_missing_link_takes_what_is_behind_it_and_no_more(tree: Mockup, run: Run, lost: str) -> None:
    tree.tree[V1].pop(lost, None)

    async def scenario(tray: ComputeTray) -> None:
        assert len(await tray.sample()) == len(tray.channels())
        if lost == "Systems":
            with pytest.raises(Unsupported, match="no computer system"):
                await tray.power()

    run(tree, scenario)


def test_null_members_are_no_members(tree: Mockup, run: Run) -> None:
    tree.tree[f"{SYSTEM}/Processors"]["Members"] = None

    async def scenario(tray: ComputeTray) -> None:
        assert await tray.parts() == ()

    run(tree, scenario)


def test_a_recorded_gb300_tray_says_what_a_person_reads_in_the_tree(
    recorded: Callable[[str], Mockup], run: Run
) -> None:
    async def scenario(tray: ComputeTray) -> None:
        integrity = await tray.integrity()
        assert len(integrity) == 14
        gpu = next(each for each in integrity if each.name == "HGX_IRoT_GPU_0")
        assert (gpu.protocol, gpu.version, gpu.enabled, gpu.measures, gpu.part) == (
            "SPDM",
            "1.1.0",
            True,
            True,
            "accelerator-0",
        )
        assert await tray.power() is PowerState.ON
        assert await tray.boot() == Boot("None", "Disabled")
        (https,) = await tray.certificates()
        assert https.name == "Managers/BMC_0/NetworkProtocol/HTTPS/Certificates/1"
        assert (https.subject, len(https.fingerprint)) == ("CN=testhost, O=OpenBMC", 64)
        leaks = await tray.leaks()
        assert [leak.state for leak in leaks] == [LeakState.DRY] * 4
        # ResetActionInfo was not captured, so nothing forbids; a static server then knows no such action.
        with pytest.raises(Misbehaved, match="404"):
            await tray.set_power(PowerState.OFF)

    run(recorded("gb300-compute-tray"), scenario)


def test_a_recorded_gb300_tray_is_sampled_by_its_metric_reports(recorded: Callable[[str], Mockup], run: Run) -> None:
    """At the hour of its recording its reports are fresh: two of them replace the sensors of four accelerators."""
    tree = recorded("gb300-compute-tray")

    async def scenario(tray: ComputeTray) -> None:
        tree.requests.clear()
        samples = await tray.sample()
        reports = {path for _, path in tree.requests if "/MetricReports/" in path}
        assert reports >= {f"{V1}/TelemetryService/MetricReports/HGX_PlatformEnvironmentMetrics_0"}
        singles = [path for _, path in tree.requests if "/Sensors/" in path]
        powers = [each for each in samples if each.channel.quantity == "accelerator.power"]
        assert len(powers) == 4
        assert all(each.reading.quality is Quality.GOOD for each in powers)
        assert not any("GPU" in path and "Power" in path for path in singles)

    run(tree, scenario, now=datetime(2026, 6, 29, 8, 5, 30, tzinfo=UTC))


def test_the_certificates_of_a_public_server_are_listed(recorded: Callable[[str], Mockup], run: Run) -> None:
    async def scenario(tray: ComputeTray) -> None:
        found = await tray.certificates()
        assert found
        assert all(each.name and each.valid_from and each.valid_until for each in found)
        assert all(each.valid_from < each.valid_until for each in found if each.valid_from and each.valid_until)
        assert await tray.integrity()

    run(recorded("public-liquid-cooled-server"), scenario)
