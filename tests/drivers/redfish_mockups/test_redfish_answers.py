"""Answers that are not as the standard has them: each has one stated meaning, and one test.

The meanings stand in the table of docs/devices.md; the first test keeps table and tests together. A tray with one
accelerator is served over TLS, and each test spoils one answer.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from drivers.bmc import connect
from drivers.bmc.tray import ComputeTray
from harness.capabilities import LeakState
from harness.controls import PowerState
from harness.errors import Misbehaved, Refused, Unreachable
from harness.quantities import Quality, Reading

if TYPE_CHECKING:
    from tests.drivers.redfish_mockups.conftest import Connect, Mockup, Run, Serve

PAGE = Path(__file__).parents[3] / "docs" / "devices.md"
NOW = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)
V1 = "/redfish/v1"
SYSTEM, CHASSIS, MANAGER = f"{V1}/Systems/S", f"{V1}/Chassis/Tray", f"{V1}/Managers/M"
GPU, SENSORS = f"{SYSTEM}/Processors/G", f"{CHASSIS}/Sensors"
TEMPERATURE, POWER = f"{SENSORS}/T", f"{SENSORS}/P"
EXPANDS = {"ExpandQuery": {"NoLinks": True, "Levels": True}}
Json = dict[str, Any]


def ref(path: str) -> Json:
    return {"@odata.id": path}


async def temperature(tray: ComputeTray) -> Reading:
    return next(each.reading for each in await tray.sample() if each.channel.quantity == "accelerator.temperature")


async def temperature_listed(tray: ComputeTray) -> Any:
    return next(each for each in await tray.sensors() if each.name.endswith("/T"))


@pytest.fixture
def spoilt(tree: Mockup, run: Run) -> Callable[..., None]:
    """Checks what becomes of a temperature sensor with some properties changed: sampled, and in the list of sensors."""

    def check(quality: Quality, value: float | None = None, **changes: Any) -> None:
        async def scenario(tray: ComputeTray) -> None:
            tree.change(TEMPERATURE, **changes)
            for reading in (await temperature(tray), (await temperature_listed(tray)).reading):
                assert reading.quality is quality
                assert reading.usable is (quality is Quality.GOOD)
                if value is not None:
                    assert reading.value == value

        run(tree, scenario)

    return check


def test_the_table_of_meanings_is_that_of_these_tests() -> None:
    told = re.findall(r"^\| .+ \| .+ \| `(test_[a-z0-9_]+)` \|$", PAGE.read_text("utf-8"), re.MULTILINE)
    mine = re.findall(r"^def (test_[a-z0-9_]+)", Path(__file__).read_text("utf-8"), re.MULTILINE)
    assert [name for name in mine if name != "test_the_table_of_meanings_is_that_of_these_tests"] == told


def test_a_number_sent_as_a_string_is_that_number(spoilt: Callable[..., None]) -> None:
    spoilt(Quality.GOOD, 52.5, Reading=" 52.5 ", Thresholds={"UpperCritical": {"Reading": "87"}})


@pytest.mark.parametrize("said", ["nan", "NaN", "inf", "-Infinity", "1e999", "hot", "", True, [50.0], {}])
def test_what_is_no_finite_number_is_bad(spoilt: Callable[..., None], said: Any) -> None:
    spoilt(Quality.BAD, Reading=said)


def test_null_is_bad_and_never_zero(spoilt: Callable[..., None]) -> None:
    spoilt(Quality.BAD, Reading=None)


@pytest.mark.parametrize("age", [3600.0, -3600.0], ids=["an hour old", "an hour ahead"])
def test_an_old_time_stamp_is_stale_however_fresh_the_answer(spoilt: Callable[..., None], age: float) -> None:
    spoilt(Quality.STALE, ReadingTime=(NOW - timedelta(seconds=age)).isoformat())


@pytest.mark.parametrize("stamp", ["1970-01-01T00:00:00Z", "yesterday", None, 5])
def test_a_time_stamp_that_says_nothing_makes_the_value_as_old_as_its_answer(
    spoilt: Callable[..., None], stamp: Any
) -> None:
    spoilt(Quality.GOOD, 50.0, ReadingTime=stamp)


def test_critical_on_an_absent_part_is_absent_and_neither_well_nor_ill(tree: Mockup, run: Run) -> None:
    absent = {"State": "Absent", "Health": "Critical"}
    tree.change(TEMPERATURE, Reading=None, Status=absent)
    tree.change(GPU, Status=absent)

    async def scenario(tray: ComputeTray) -> None:
        listed = await temperature_listed(tray)
        assert (listed.present, listed.healthy, listed.reading.quality) == (False, None, Quality.ABSENT)
        assert (await temperature(tray)).quality is Quality.ABSENT
        (part,) = await tray.parts()
        assert (part.present, part.healthy) == (False, None)

    run(tree, scenario)


@pytest.mark.parametrize("unit", ["F", "C", "W", "furlong", ""])
def test_a_unit_that_is_unknown_or_not_of_its_kind_is_bad(spoilt: Callable[..., None], unit: str) -> None:
    spoilt(Quality.BAD, ReadingUnits=unit)


def test_a_value_marked_stale_in_a_fresh_report_is_stale(tree: Mockup, run: Run) -> None:
    def report(*, stale: bool) -> Json:
        values = [
            {"MetricProperty": path, "MetricValue": said, "Timestamp": NOW.isoformat()}
            | {"Oem": {"Vendor": {"MetricValueStale": stale}}}
            for path, said in ((TEMPERATURE, "51"), (POWER, "710"))
        ]
        return {"@odata.id": f"{V1}/TS/R/1", "MetricValues": values}

    tree.change(V1, TelemetryService=ref(f"{V1}/TS"))
    tree.tree |= {
        f"{V1}/TS": {"MetricReports": ref(f"{V1}/TS/R")},
        f"{V1}/TS/R": {"Members": [ref(f"{V1}/TS/R/1")]},
        f"{V1}/TS/R/1": report(stale=False),
    }

    async def scenario(tray: ComputeTray) -> None:
        reading = await temperature(tray)
        assert (reading.value, reading.quality) == (51.0, Quality.GOOD)
        tree.tree[f"{V1}/TS/R/1"] = report(stale=True)
        assert (await temperature(tray)).quality is Quality.STALE

    run(tree, scenario)


@pytest.mark.parametrize("lost", ["Sensors", "ThermalSubsystem", "PowerSubsystem", "NetworkAdapters", "Assembly"])
def test_a_missing_link_takes_what_is_behind_it_and_no_more(tree: Mockup, run: Run, lost: str) -> None:
    tree.tree[CHASSIS].pop(lost, None)

    async def scenario(tray: ComputeTray) -> None:
        assert [part.name for part in await tray.parts()] == ["accelerator-0"]
        assert (await temperature(tray)).quality is (Quality.ABSENT if lost == "Sensors" else Quality.GOOD)
        assert len(await tray.sensors()) == (0 if lost == "Sensors" else 2)

    run(tree, scenario)


def test_a_link_that_leads_to_nothing_is_no_link(tree: Mockup, run: Run) -> None:
    tree.change(CHASSIS, **{name: ref(f"{V1}/Nowhere") for name in ("PowerSubsystem", "Assembly", "NetworkAdapters")})
    tree.tree[SENSORS]["Members"].append(ref(f"{SENSORS}/Gone"))

    async def scenario(tray: ComputeTray) -> None:
        assert [part.name for part in await tray.parts()] == ["accelerator-0"]
        assert len(await tray.sensors()) == 2

    run(tree, scenario)


def test_a_link_to_another_host_is_never_followed(tree: Mockup, run: Run) -> None:
    async def scenario(tray: ComputeTray) -> None:
        tree.tree[SYSTEM]["@Redfish.Settings"] = {"SettingsObject": ref("//127.0.0.2/redfish/v1/Systems/S")}
        with pytest.raises(Misbehaved, match="another host"):
            await tray.boot()

    run(tree, scenario)


@pytest.mark.parametrize("members", [None, [], {}, "none", [None, 5, {}]])
def test_members_that_are_no_list_of_links_are_none(tree: Mockup, run: Run, members: Any) -> None:
    tree.tree[f"{SYSTEM}/Processors"]["Members"] = members

    async def scenario(tray: ComputeTray) -> None:
        assert await tray.parts() == ()

    run(tree, scenario)


def test_a_member_listed_twice_is_one(tree: Mockup, run: Run) -> None:
    tree.tree[f"{SYSTEM}/Processors"]["Members"] *= 2

    async def scenario(tray: ComputeTray) -> None:
        assert [part.name for part in await tray.parts()] == ["accelerator-0"]

    run(tree, scenario)


def test_two_bodies_under_one_path_are_none(tree: Mockup, run: Run) -> None:
    """Expanded, the power bears the temperature's path (DMTF's own CDU does that): both are read by themselves."""
    tree.change(V1, ProtocolFeaturesSupported=EXPANDS)
    bodies = [tree.tree[TEMPERATURE], tree.tree[POWER] | ref(TEMPERATURE)]

    async def expanded(_: web.Request, __: Json) -> web.StreamResponse:
        return web.json_response({"Members": bodies})

    tree.hooks["GET", f"{SENSORS}?$expand=.($levels=1)"] = expanded

    async def scenario(tray: ComputeTray) -> None:
        found = {each.name.rsplit("/", 1)[-1]: each.reading.value for each in await tray.sensors()}
        assert found == {"T": 50.0, "P": 700.0}
        assert (await temperature(tray)).value == 50.0

    run(tree, scenario)


def test_expansion_that_drops_properties_is_not_used(tree: Mockup, run: Run) -> None:
    tree.change(V1, ProtocolFeaturesSupported=EXPANDS)
    query = f"{SENSORS}?$expand=.($levels=1)"
    dropping = [{k: v for k, v in tree.tree[path].items() if k != "ReadingUnits"} for path in (TEMPERATURE, POWER)]

    async def expanded(_: web.Request, __: Json) -> web.StreamResponse:
        return web.json_response({"Members": dropping})

    tree.hooks["GET", query] = expanded

    async def scenario(tray: ComputeTray) -> None:
        tree.requests.clear()
        assert (await temperature(tray)).value == 50.0
        assert ("GET", query) not in tree.requests

    run(tree, scenario)


@pytest.mark.parametrize("status", [400, 405, 501])
def test_expansion_that_is_offered_and_refused_is_not_used(tree: Mockup, run: Run, status: int) -> None:
    tree.change(V1, ProtocolFeaturesSupported=EXPANDS)

    async def refuse(_: web.Request, __: Json) -> web.StreamResponse:
        return web.json_response({"error": {"message": "no such query"}}, status=status)

    tree.hooks["GET", f"{SENSORS}?$expand=.($levels=1)"] = refuse

    async def scenario(tray: ComputeTray) -> None:
        assert (await temperature(tray)).value == 50.0
        assert len(await tray.sensors()) == 2

    run(tree, scenario)


def test_pages_that_never_end_are_misbehaviour(tree: Mockup, serve: Serve, reach: Connect) -> None:
    tree.tree[SENSORS]["Members@odata.nextLink"] = SENSORS

    async def scenario() -> None:
        async with serve(tree):
            tray = connect(reach(tree, "tray-01", NOW))
            with pytest.raises(Misbehaved, match="never end"):
                await tray.open()
            await tray.close()

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "body", [b"<html>busy</html>", b"", b'{"Reading": 1', b"[]", b'{"Id": "a", "Id": "b"}', b"\xff"]
)
def test_a_body_that_is_no_json_object_is_misbehaviour(tree: Mockup, run: Run, body: bytes) -> None:
    async def garbled(_: web.Request, __: Json) -> web.StreamResponse:
        return web.Response(body=body, content_type="application/json")

    async def scenario(tray: ComputeTray) -> None:
        tree.hooks["GET", SYSTEM] = garbled
        with pytest.raises(Misbehaved, match="JSON"):
            await tray.power()

    run(tree, scenario)


def test_busy_with_retry_after_is_waited_for(tree: Mockup, run: Run) -> None:
    asked = 0

    async def busy(_: web.Request, __: Json) -> web.StreamResponse | None:
        nonlocal asked
        asked += 1
        return web.json_response({}, status=503, headers={"Retry-After": "0"}) if asked < 3 else None

    async def scenario(tray: ComputeTray) -> None:
        tree.hooks["GET", SYSTEM] = busy
        assert await tray.power() is PowerState.OFF
        assert asked == 3

    run(tree, scenario)


def test_busy_for_longer_than_the_deadline_is_unreachable_at_once(tree: Mockup, run: Run) -> None:
    async def busy(_: web.Request, __: Json) -> web.StreamResponse:
        return web.json_response({}, status=503, headers={"Retry-After": "600"})

    async def scenario(tray: ComputeTray) -> None:
        tree.hooks["GET", SYSTEM] = busy
        tree.requests.clear()
        with pytest.raises(Unreachable, match="busy, HTTP 503"):
            await tray.power()
        assert tree.requests == [("GET", SYSTEM)]

    run(tree, scenario)


def test_accepted_without_a_task_monitor_is_misbehaviour(tree: Mockup, run: Run) -> None:
    async def accept(_: web.Request, __: Json) -> web.StreamResponse:
        return web.Response(status=202)

    async def scenario(tray: ComputeTray) -> None:
        tree.hooks["POST", f"{SYSTEM}/Actions/ComputerSystem.Reset"] = accept
        with pytest.raises(Misbehaved, match="202 Accepted without a task monitor"):
            await tray.set_power(PowerState.ON)

    run(tree, scenario)


def test_no_session_left_is_no_wrong_password(tree: Mockup, serve: Serve, reach: Connect) -> None:
    tree.most_sessions = 0

    async def scenario() -> None:
        async with serve(tree):
            tray = connect(reach(tree, "tray-01", NOW))
            with pytest.raises(Unreachable, match="all its sessions are taken"):
                await tray.open()
            tree.most_sessions = 1
            await tray.open()
            await tray.close()

    asyncio.run(scenario())


def test_a_lost_session_is_renewed_once_and_the_read_repeated(tree: Mockup, run: Run) -> None:
    async def scenario(tray: ComputeTray) -> None:
        tree.tokens.clear()  # the BMC was restarted, or another client pushed us out
        assert (await temperature(tray)).value == 50.0
        assert tree.logins == 2

    run(tree, scenario)


def test_a_refused_login_is_never_tried_again(tree: Mockup, serve: Serve, reach: Connect) -> None:
    tree.password = "another"

    async def scenario() -> None:
        async with serve(tree):
            tray = connect(reach(tree, "tray-01", NOW))
            for _ in range(2):
                with pytest.raises(Refused):
                    await tray.open()
            await tray.close()
        assert tree.logins == 1

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("detector", "state"),
    [
        ({"DetectorState": "Critical"}, LeakState.WET),
        ({"DetectorState": "OK", "Status": {"Health": "Warning"}}, LeakState.FAULT),
        ({"DetectorState": "Unavailable"}, LeakState.UNKNOWN),
        ({}, LeakState.UNKNOWN),
    ],
)
def test_a_roll_up_that_says_ok_hides_no_leak(tree: Mockup, run: Run, detector: Json, state: LeakState) -> None:
    leak = f"{CHASSIS}/TS/L"
    tree.change(CHASSIS, ThermalSubsystem=ref(f"{CHASSIS}/TS"))
    tree.tree |= {
        f"{CHASSIS}/TS": {"LeakDetection": ref(leak)},
        leak: {"LeakDetectors": ref(f"{leak}/D"), "Status": {"Health": "OK", "HealthRollup": "OK"}},
        f"{leak}/D": {"Members": [ref(f"{leak}/D/1")]},
        f"{leak}/D/1": ref(f"{leak}/D/1") | detector,
    }

    async def scenario(tray: ComputeTray) -> None:
        assert [found.state for found in await tray.leaks()] == [state]
        wet = next(each.reading for each in await tray.sample() if each.channel.quantity == "leak.wet")
        assert wet.value == 1

    run(tree, scenario)


@pytest.mark.parametrize(
    "said", ["$PRODUCT_SERIAL_NUMBER", "0x0000000000000000", "N/A", "To be filled by O.E.M.", None]
)
def test_a_label_that_nobody_filled_in_is_empty(tree: Mockup, run: Run, said: Any) -> None:
    tree.change(GPU, SerialNumber=said, PartNumber=said, Manufacturer=said)
    tree.change(CHASSIS, Assembly=ref(f"{CHASSIS}/Assembly"))
    tree.tree[f"{CHASSIS}/Assembly"] = {"Assemblies": [{"MemberId": "0", "SerialNumber": said, "PartNumber": said}]}

    async def scenario(tray: ComputeTray) -> None:
        (part,) = await tray.parts()
        assert (part.name, part.serial, part.part_number, part.manufacturer) == ("accelerator-0", "", "", "")

    run(tree, scenario)
