"""DMTF's public mock-ups of a CDU, a rack PDU and a power shelf, through the real drivers over a real TLS socket.

What is expected was read in the trees by a person. Where excerpt and sensor of a mock-up differ, the sensor counts: it
is the source of which the excerpt is a copy (DSP0266, excerpts).
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from drivers.cdu import connect as connect_cdu
from drivers.cdu.equipment import RedfishCdu
from drivers.power_shelf import connect as connect_shelf
from drivers.power_shelf.equipment import RedfishShelf
from drivers.redfish_pdu import RedfishPdu
from drivers.redfish_pdu import connect as connect_pdu
from harness.capabilities import (
    CoolantLoop,
    FirmwareInventory,
    Identity,
    Inventory,
    Leak,
    LeakDetection,
    LeakState,
    PowerInlet,
    PowerOutlets,
    PowerSupplies,
    Telemetry,
)
from harness.connection import Connection, Driver
from harness.controls import CoolantControl, CoolantMode
from harness.errors import DefinitionError, Misbehaved, Refused, Unreachable, Unsupported
from harness.quantities import Quality, Unit

if TYPE_CHECKING:
    from tests.drivers.redfish_mockups.conftest import Connect, Mockup, Serve

NOW = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)
CDU = "/redfish/v1/ThermalEquipment/CDUs/1"
LOOP = f"{CDU}/SecondaryCoolantConnectors/1"
PDU = "/redfish/v1/PowerEquipment/RackPDUs/1"
OUTLET = f"{PDU}/Outlets/A1"
BAYS = "/redfish/v1/Chassis/PowerShelf/PowerSubsystem/PowerSupplies"


class Bench:
    """A driver of one kind on a mock-up, for the length of a scenario."""

    def __init__(self, serve: Serve, reach: Connect, connect: Callable[[Connection], Any], device: str) -> None:
        self._serve, self._reach, self._connect, self._device = serve, reach, connect, device

    def run(self, mockup: Mockup, scenario: Callable[[Any], Any], **options: Any) -> None:
        async def all_of_it() -> None:
            async with self._serve(mockup):
                driver = self._connect(self._reach(mockup, self._device, NOW, **options))
                try:
                    await driver.open()
                    await scenario(driver)
                finally:
                    await driver.close()

        asyncio.run(all_of_it())


@pytest.fixture
def cdus(serve: Serve, reach: Connect) -> Bench:
    return Bench(serve, reach, connect_cdu, "cdu-1")


@pytest.fixture
def pdus(serve: Serve, reach: Connect) -> Bench:
    return Bench(serve, reach, connect_pdu, "pdu-a")


@pytest.fixture
def shelves(serve: Serve, reach: Connect) -> Bench:
    return Bench(serve, reach, connect_shelf, "shelf-1")


def test_they_satisfy_their_capabilities() -> None:
    def at(device: str) -> Connection:
        return Connection(device, "https://127.0.0.1", now=lambda: NOW)

    every: tuple[type, ...] = (Driver, Identity, FirmwareInventory, Telemetry)
    own: list[tuple[object, tuple[type, ...]]] = [
        (connect_cdu(at("cdu-1")), (Inventory, CoolantLoop, LeakDetection, CoolantControl)),
        (connect_pdu(at("pdu-a")), (PowerOutlets, PowerInlet)),
        (connect_shelf(at("shelf-1")), (Inventory, PowerSupplies, PowerInlet)),
    ]
    for driver, kinds in own:
        assert all(isinstance(driver, kind) for kind in (*every, *kinds))


def test_what_cannot_be_meant_is_refused_untouched() -> None:
    for connect in (connect_cdu, connect_pdu, connect_shelf):
        with pytest.raises(DefinitionError, match="profile"):
            connect(Connection("x-1", "https://127.0.0.1", profile="orv3-rpu", now=lambda: NOW))
        with pytest.raises(DefinitionError, match="did you mean 'max_age'"):
            connect(Connection("x-1", "https://127.0.0.1", options={"maxage": 1}, now=lambda: NOW))
    with pytest.raises(DefinitionError, match="must begin with"):
        connect_cdu(Connection("cdu-1", "http://127.0.0.1", now=lambda: NOW))


def test_a_public_cdu_is_read_right(recorded: Callable[[str], Mockup], cdus: Bench) -> None:
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

    cdus.run(recorded("public-cooling-unit"), scenario)


def test_the_heat_of_a_public_cdu_is_not_what_it_reports(recorded: Callable[[str], Mockup], cdus: Bench) -> None:
    """25.31 kW are reported; flow, temperatures and the declared coolant give 51.6 kW by excerpts, 97.7 by sensors."""

    async def scenario(cdu: RedfishCdu) -> None:
        loop = await cdu.coolant()
        rise = loop.return_temperature.number - loop.supply_temperature.number
        assert loop.flow.number / 60_000 * 1030 * 3.974 * rise == pytest.approx(97.7, abs=0.1)
        assert not any("heat" in channel.quantity for channel in cdu.channels())

    cdus.run(recorded("public-cooling-unit"), scenario)


def test_a_wet_detector_and_a_low_reservoir_of_a_cdu_show(recorded: Callable[[str], Mockup], cdus: Bench) -> None:
    tree = recorded("public-cooling-unit")

    async def scenario(cdu: RedfishCdu) -> None:
        tree.change("/redfish/v1/Chassis/CDU/LeakDetectors/Moisture", DetectorState="Critical")
        tree.change(f"{CDU}/Reservoirs/1", FluidLevelStatus="Warning")
        assert [leak.state for leak in await cdu.leaks()] == [LeakState.WET, LeakState.DRY]
        wet = next(each.reading for each in await cdu.sample() if each.channel.quantity == "leak.wet")
        assert wet.value == 1
        assert [part.healthy for part in await cdu.parts() if part.kind == "reservoir"] == [False]

    cdus.run(tree, scenario)


def test_set_points_and_mode_of_a_cdu_are_written_and_read_back(recorded: Callable[[str], Mockup], cdus: Bench) -> None:
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

    cdus.run(tree, scenario, change_timeout=0.3)


def test_a_public_rack_pdu_is_read_right(recorded: Callable[[str], Mockup], pdus: Bench) -> None:
    async def scenario(pdu: RedfishPdu) -> None:
        who = await pdu.identify()
        assert (who.manufacturer, who.model, who.serial, who.firmware) == ("Contoso", "ZAP4000", "29347ZT536", "4.3.0")
        outlets = {each.name: each for each in await pdu.outlets()}
        assert list(outlets) == ["A1", "A2", "A3", "A4", "A5", "B1", "B2", "B3", "C1", "C2", "C3"]
        assert outlets["A1"].on is True
        # The excerpts say 197.4 W and 1.68 A, the sensors that they name 427.3 W and 8.92 A.
        assert outlets["A1"].power is not None
        assert outlets["A1"].current is not None
        assert (outlets["A1"].power.value, outlets["A1"].current.value) == (427.3, 8.92)
        # Its total bears a time stamp of 2019, so it is old, whatever it says.
        total = await pdu.input_power()
        assert (total.value, total.quality) == (2734.8, Quality.STALE)
        samples = await pdu.sample()
        assert [each.channel for each in samples] == list(pdu.channels())

    pdus.run(recorded("public-pdu"), scenario)


def test_an_outlet_without_meter_says_not_metered(recorded: Callable[[str], Mockup], pdus: Bench) -> None:
    tree = recorded("public-pdu")
    body = tree.find(OUTLET) or {}
    tree.tree[OUTLET] = {name: each for name, each in body.items() if name not in ("PowerWatts", "CurrentAmps")}
    tree.change(f"{PDU}/Outlets/A2", PowerState="PoweringOn")

    async def scenario(pdu: RedfishPdu) -> None:
        first, second, *_ = await pdu.outlets()
        assert (first.on, first.power, first.current) == (True, None, None)
        assert second.on is None
        assert "outlet-A1" not in [each.part for each in pdu.channels() if each.quantity == "outlet.power"]
        on = {each.channel.part: each.reading for each in await pdu.sample() if each.channel.quantity == "outlet.on"}
        assert (on["outlet-A1"].value, on["outlet-A2"].quality) == (True, Quality.BAD)

    pdus.run(tree, scenario)


def test_an_outlet_is_switched_by_the_target_that_it_states(recorded: Callable[[str], Mockup], pdus: Bench) -> None:
    tree = recorded("public-pdu")
    target = f"{OUTLET}/Outlet.PowerControl"  # DMTF's own mock-up: no /Actions/

    async def switch(_: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        tree.change(OUTLET, PowerState=body["PowerState"])
        return web.Response(status=204)

    tree.hooks["POST", target] = switch

    async def scenario(pdu: RedfishPdu) -> None:
        assert (await pdu.switch("A1", on=False)).on is False
        assert (await pdu.switch("A1", on=True)).on is True
        assert tree.writes() == [("POST", target)] * 2
        with pytest.raises(Unsupported, match="did you mean 'A1'"):
            await pdu.switch("A11", on=True)
        tree.change(OUTLET, PowerControlLocked=True)
        with pytest.raises(Refused, match="locked"):
            await pdu.switch("A1", on=False)
        assert len(tree.writes()) == 2

    pdus.run(tree, scenario)


def test_a_switch_that_does_not_read_back_is_misbehaviour(recorded: Callable[[str], Mockup], pdus: Bench) -> None:
    tree = recorded("public-pdu")

    async def nothing(_: web.Request, __: dict[str, Any]) -> web.StreamResponse:
        return web.Response(status=204)

    tree.hooks["POST", f"{OUTLET}/Outlet.PowerControl"] = nothing
    tree.change(OUTLET, PowerOffDelaySeconds=0)

    async def scenario(pdu: RedfishPdu) -> None:
        with pytest.raises(Misbehaved, match="still reads True"):
            await pdu.switch("A1", on=False)
        assert len(tree.writes()) == 1

    pdus.run(tree, scenario, change_timeout=0.2)


def test_a_public_power_shelf_is_read_right(recorded: Callable[[str], Mockup], shelves: Bench) -> None:
    async def scenario(shelf: RedfishShelf) -> None:
        who = await shelf.identify()
        assert (who.model, who.firmware) == ("ZAP33000", "1.2.1")
        # Its collection lists bay 3 twice and bay 2 never; its chassis links to the sensors instead of the supplies.
        parts = await shelf.parts()
        assert [part.name for part in parts] == [f"psu-{number}" for number in range(1, 7)]
        assert [part.present for part in parts] == [True] + [False] * 5
        assert (parts[0].part_number, parts[0].serial, parts[0].healthy) == ("23456-133", "3488247", True)
        supplies = await shelf.supplies()
        first = supplies[0]
        assert (first.input_ok, first.healthy) == (True, True)
        readings = (first.input_voltage, first.input_power, first.output_power, first.output_current)
        assert all(each is not None and each.quality is Quality.GOOD for each in readings)
        assert first.input_power is not None
        assert (first.input_power.value, first.input_power.unit) == (374.0, Unit.WATT)
        assert (supplies[1].input_ok, supplies[1].input_power, supplies[1].healthy) == (None, None, None)
        samples = await shelf.sample()
        assert [each.channel for each in samples] == list(shelf.channels())
        by_name = {str(each.channel): each.reading for each in samples}
        bus = by_name["shelf-1.bus.voltage"]
        assert (bus.unit, bus.quality) == (Unit.VOLT, Quality.GOOD)
        assert 45 < bus.number < 55
        assert by_name["shelf-1/psu-2.supply.input.power"].quality is Quality.ABSENT

    shelves.run(recorded("public-power-shelf"), scenario)


def test_a_lost_line_input_and_an_unmetered_supply_show(recorded: Callable[[str], Mockup], shelves: Bench) -> None:
    tree = recorded("public-power-shelf")

    async def scenario(shelf: RedfishShelf) -> None:
        tree.change(f"{BAYS}/Bay1", LineInputStatus="LossOfInput")
        assert (await shelf.supplies())[0].input_ok is False
        assert (await shelf.input_power()).value == 374.0
        # A supply that is there and is not metered must not make the sum smaller.
        tree.change(f"{BAYS}/Bay4", Status={"State": "Enabled", "Health": "OK"})
        assert (await shelf.input_power()).quality is not Quality.GOOD

    shelves.run(tree, scenario)


@pytest.mark.parametrize("name", ["public-cooling-unit", "public-pdu", "public-power-shelf"])
def test_several_of_a_kind_must_be_told_apart(
    name: str, recorded: Callable[[str], Mockup], serve: Serve, reach: Connect
) -> None:
    tree = recorded(name)
    place, connect = {
        "public-cooling-unit": ("ThermalEquipment/CDUs", connect_cdu),
        "public-pdu": ("PowerEquipment/RackPDUs", connect_pdu),
        "public-power-shelf": ("PowerEquipment/PowerShelves", connect_shelf),
    }[name]
    path = f"/redfish/v1/{place}"
    second = {**(tree.find(f"{path}/1") or {}), "Id": "2"}
    tree.tree[f"{path}/2"] = second
    tree.change(path, Members=[{"@odata.id": f"{path}/1"}, {"@odata.id": f"{path}/2"}])

    async def scenario() -> None:
        async with serve(tree):
            driver: Any = connect(reach(tree, "x-1", NOW))
            with pytest.raises(Unsupported, match="the service lists 1, 2"):
                await driver.open()
            await driver.close()
            driver = connect(reach(tree, "x-1", NOW, equipment="2"))
            await driver.open()
            await driver.close()

    asyncio.run(scenario())


def test_a_unit_swapped_behind_the_same_address_shows(recorded: Callable[[str], Mockup], cdus: Bench) -> None:
    tree = recorded("public-cooling-unit")

    async def scenario(cdu: RedfishCdu) -> None:
        tree.change(CDU, SerialNumber="ANOTHER")
        assert (await cdu.identify()).serial == "ANOTHER"

    cdus.run(tree, scenario)


def test_equipment_that_falls_silent_raises_and_is_read_again_once_it_is_well(
    recorded: Callable[[str], Mockup], pdus: Bench
) -> None:
    tree = recorded("public-pdu")

    async def scenario(pdu: RedfishPdu) -> None:
        tree.silent = True
        for call in (pdu.sample, pdu.outlets, pdu.input_power, pdu.identify):
            with pytest.raises(Unreachable):
                await call()
        tree.silent = False
        assert len(await pdu.outlets()) == 11

    pdus.run(tree, scenario, timeout=1.0)
