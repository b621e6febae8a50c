"""DMTF's public mock-up of a CDU, through the real driver over a real TLS socket.

What is expected was read in the tree by a person.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from drivers.cdu import connect as connect_cdu
from drivers.cdu.equipment import RedfishCdu
from harness.capabilities import (
    Leak,
    LeakState,
)
from harness.controls import CoolantMode
from harness.errors import Misbehaved, Unsupported
from harness.quantities import Quality, Unit

if TYPE_CHECKING:
    from tests.drivers.redfish_mockups.conftest import Mockup, Run

NOW = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)
CDU = "/redfish/v1/ThermalEquipment/CDUs/1"
LOOP = f"{CDU}/SecondaryCoolantConnectors/1"


def test_a_public_cdu_is_read_right(recorded: Callable[[str], Mockup], run: Run) -> None:
    async def scenario(cdu: RedfishCdu) -> None:
        who = await cdu.identify()
        assert (who.manufacturer, who.model, who.part_number) == ("Contoso", "BRRR4000", "ICE-9")
        assert (who.serial, who.firmware) == ("29347ZT536", "3.2.0")
        loop = await cdu.coolant()
        # The excerpt says 42 L/min; the sensor that it names as its source says 79.6 L/min.
        assert (loop.flow.value, loop.flow.unit) == (79.6, Unit.LITRE_PER_MINUTE)
        assert (loop.supply_temperature.value, loop.return_temperature.value) == (30.0, 48.0)
        assert loop.supply_pressure is not None
        assert loop.return_pressure is not None
        assert (loop.supply_pressure.value, loop.return_pressure.value) == (103.0, 137.0)
        # Pump 2 has failed and says so; the reservoir has no link, only its place.
        assert [(pump.name, pump.running, pump.healthy) for pump in await cdu.pumps()] == [
            ("pump-1", True, True),
            ("pump-2", False, False),
        ]
        assert [(part.name, part.kind, part.healthy) for part in await cdu.parts()] == [
            ("pump-1", "pump", True),
            ("pump-2", "pump", False),
            ("filter-1", "filter", True),
            ("reservoir-1", "reservoir", True),
        ]
        # Named by the groups of LeakDetection only: it links to no collection.
        assert await cdu.leaks() == (Leak("Moisture", LeakState.DRY), Leak("Overflow", LeakState.DRY))
        samples = await cdu.sample()
        assert [each.channel for each in samples] == list(cdu.channels())
        assert {each.channel.quantity for each in samples} >= {"coolant.flow", "leak.wet"}
        assert all(each.reading.quality is Quality.GOOD for each in samples)
        assert await cdu.mode() is CoolantMode.AUTOMATIC
        # Set points without a DataSourceUri can be read and not written.
        assert [(point.quantity, point.value.value, point.low, point.high) for point in await cdu.set_points()] == [
            ("coolant.flow", 43.0, 20.0, 50.0),
            ("coolant.supply.temperature", 30.0, 10.0, 35.0),
        ]
        with pytest.raises(Unsupported, match="names no control"):
            await cdu.set_flow(30)

    run(recorded("public-cooling-unit"), scenario, connect=connect_cdu, device="cdu-1")


def test_the_heat_of_a_public_cdu_is_not_what_it_reports(recorded: Callable[[str], Mockup], run: Run) -> None:
    """25.31 kW are reported; flow, temperatures and the declared coolant give 51.6 kW by excerpts, 97.7 by sensors."""

    async def scenario(cdu: RedfishCdu) -> None:
        loop = await cdu.coolant()
        rise = loop.return_temperature.number - loop.supply_temperature.number
        assert loop.flow.number / 60_000 * 1030 * 3.974 * rise == pytest.approx(97.7, abs=0.1)
        assert not any("heat" in channel.quantity for channel in cdu.channels())

    run(recorded("public-cooling-unit"), scenario, connect=connect_cdu, device="cdu-1")


def test_a_wet_detector_and_a_low_reservoir_of_a_cdu_show(recorded: Callable[[str], Mockup], run: Run) -> None:
    tree = recorded("public-cooling-unit")

    async def scenario(cdu: RedfishCdu) -> None:
        tree.change("/redfish/v1/Chassis/CDU/LeakDetectors/Moisture", DetectorState="Critical")
        tree.change(f"{CDU}/Reservoirs/1", FluidLevelStatus="Warning")
        assert [leak.state for leak in await cdu.leaks()] == [LeakState.WET, LeakState.DRY]
        wet = next(each.reading for each in await cdu.sample() if each.channel.quantity == "leak.wet")
        assert wet.value == 1
        assert [part.healthy for part in await cdu.parts() if part.kind == "reservoir"] == [False]

    run(tree, scenario, connect=connect_cdu, device="cdu-1")


def test_set_points_and_mode_of_a_cdu_are_written_and_read_back(recorded: Callable[[str], Mockup], run: Run) -> None:
    tree = recorded("public-cooling-unit")
    control = "/redfish/v1/Chassis/CDU/Controls/Flow"
    tree.tree[control] = {"@odata.id": control, "SetPoint": 43, "AllowableMin": 25, "AllowableMax": 60}
    connector = tree.find(LOOP) or {}
    connector["FlowControlLitersPerMinute"]["DataSourceUri"] = control
    tree.tree[LOOP] = connector

    async def set_mode(_: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        tree.change(CDU, Status={"State": body["Mode"], "Health": "OK"})
        return web.Response(status=204)

    tree.hooks["POST", "/set-mode"] = set_mode
    tree.change(CDU, Actions={"#CoolingUnit.SetMode": {"target": "/set-mode"}})

    async def scenario(cdu: RedfishCdu) -> None:
        point = await cdu.set_flow(45.0)
        assert (point.value.value, point.low, point.high) == (45.0, 25.0, 50.0)
        assert tree.writes()[-1] == ("PATCH", control)
        for outside in (24.9, 50.1, math.nan):
            with pytest.raises(ValueError, match="may be set within"):
                await cdu.set_flow(outside)
        assert len(tree.writes()) == 1
        assert await cdu.set_mode(CoolantMode.STOPPED) is CoolantMode.STOPPED
        with pytest.raises(Unsupported):
            await cdu.set_mode(CoolantMode.MANUAL)

        async def ignored(_: web.Request, __: dict[str, Any]) -> web.StreamResponse:
            return web.json_response({})

        tree.hooks["PATCH", control] = ignored
        with pytest.raises(Misbehaved, match=r"still reads 45\.0"):
            await cdu.set_flow(30.0)

    run(tree, scenario, connect=connect_cdu, device="cdu-1", change_timeout=0.3)


def test_a_unit_swapped_behind_the_same_address_shows(recorded: Callable[[str], Mockup], run: Run) -> None:
    tree = recorded("public-cooling-unit")

    async def scenario(cdu: RedfishCdu) -> None:
        tree.change(CDU, SerialNumber="ANOTHER")
        assert (await cdu.identify()).serial == "ANOTHER"

    run(tree, scenario, connect=connect_cdu, device="cdu-1")
