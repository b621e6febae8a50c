"""DMTF's public mock-ups of a rack PDU and a power shelf, through the real drivers over a real TLS socket.

What is expected was read in the trees by a person. Where excerpt and sensor of a mock-up differ, the sensor counts: it
is the source of which the excerpt is a copy (DSP0266, excerpts).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from drivers.cdu import connect as connect_cdu
from drivers.power_shelf import connect as connect_shelf
from drivers.power_shelf.equipment import RedfishShelf
from drivers.redfish_pdu import RedfishPdu
from drivers.redfish_pdu import connect as connect_pdu
from harness.capabilities import (
    CoolantLoop,
    FirmwareInventory,
    Identity,
    Inventory,
    LeakDetection,
    PowerInlet,
    PowerOutlets,
    PowerSupplies,
    Telemetry,
)
from harness.connection import Connection, Driver
from harness.controls import CoolantControl
from harness.errors import DefinitionError, Misbehaved, Refused, Unreachable, Unsupported
from harness.quantities import Quality, Unit
from harness.sensors import Sensors

if TYPE_CHECKING:
    from tests.drivers.redfish_mockups.conftest import Connect, Mockup, Run, Serve

NOW = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)
PDU = "/redfish/v1/PowerEquipment/RackPDUs/1"
OUTLET = f"{PDU}/Outlets/A1"
BAYS = "/redfish/v1/Chassis/PowerShelf/PowerSubsystem/PowerSupplies"


def test_they_satisfy_their_capabilities() -> None:
    def at(device: str) -> Connection:
        return Connection(device, "https://127.0.0.1", now=lambda: NOW)

    every: tuple[type, ...] = (Driver, Identity, FirmwareInventory, Telemetry, Sensors)
    own: list[tuple[object, tuple[type, ...]]] = [
        (connect_cdu(at("cdu-1")), (Inventory, CoolantLoop, LeakDetection, CoolantControl)),
        (connect_pdu(at("pdu-a")), (Inventory, PowerOutlets, PowerInlet)),
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


def test_a_public_rack_pdu_is_read_right(recorded: Callable[[str], Mockup], run: Run) -> None:
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

    run(recorded("public-pdu"), scenario, connect=connect_pdu, device="pdu-a")


def test_a_tripped_breaker_of_a_rack_pdu_shows(recorded: Callable[[str], Mockup], run: Run) -> None:
    tree = recorded("public-pdu")

    async def scenario(pdu: RedfishPdu) -> None:
        assert {part.name: part.healthy for part in await pdu.parts()} == {
            "main-AC1": True, "branch-A": True, "branch-B": True, "branch-C": True,
        }  # fmt: skip
        tree.change(f"{PDU}/Branches/B", BreakerState="Tripped")
        tree.tree[f"{PDU}/Branches/C"] = {"Status": {"State": "Absent"}}
        found = {part.name: (part.present, part.healthy) for part in await pdu.parts()}
        assert (found["branch-B"], found["branch-C"]) == ((True, False), (False, None))

    run(tree, scenario, connect=connect_pdu, device="pdu-a")


def test_an_outlet_without_meter_says_not_metered(recorded: Callable[[str], Mockup], run: Run) -> None:
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

    run(tree, scenario, connect=connect_pdu, device="pdu-a")


def test_an_outlet_is_switched_by_the_target_that_it_states(recorded: Callable[[str], Mockup], run: Run) -> None:
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

    run(tree, scenario, connect=connect_pdu, device="pdu-a")


def test_a_switch_that_does_not_read_back_is_misbehaviour(recorded: Callable[[str], Mockup], run: Run) -> None:
    tree = recorded("public-pdu")

    async def nothing(_: web.Request, __: dict[str, Any]) -> web.StreamResponse:
        return web.Response(status=204)

    tree.hooks["POST", f"{OUTLET}/Outlet.PowerControl"] = nothing
    tree.change(OUTLET, PowerOffDelaySeconds=0)

    async def scenario(pdu: RedfishPdu) -> None:
        with pytest.raises(Misbehaved, match="still reads True"):
            await pdu.switch("A1", on=False)
        assert len(tree.writes()) == 1

    run(tree, scenario, connect=connect_pdu, device="pdu-a", change_timeout=0.2)


def test_a_public_power_shelf_is_read_right(recorded: Callable[[str], Mockup], run: Run) -> None:
    async def scenario(shelf: RedfishShelf) -> None:
        who = await shelf.identify()
        assert (who.model, who.firmware) == ("ZAP33000", "1.2.1")
        # Its collection lists bay 3 twice and bay 2 never; its chassis links to the sensors instead of the supplies.
        listed = await shelf.parts()
        circuits = [(part.name, part.healthy) for part in listed if part.kind != "psu"]
        assert circuits == [(name, True) for name in ("main-AC1", "main-AC2", "branch-A", "branch-B", "branch-DC")]
        parts = [part for part in listed if part.kind == "psu"]
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

    run(recorded("public-power-shelf"), scenario, connect=connect_shelf, device="shelf-1")


def test_a_lost_line_input_and_an_unmetered_supply_show(recorded: Callable[[str], Mockup], run: Run) -> None:
    tree = recorded("public-power-shelf")

    async def scenario(shelf: RedfishShelf) -> None:
        tree.change(f"{BAYS}/Bay1", LineInputStatus="LossOfInput")
        assert (await shelf.supplies())[0].input_ok is False
        assert (await shelf.input_power()).value == 374.0
        # A supply that is there and is not metered must not make the sum smaller.
        tree.change(f"{BAYS}/Bay4", Status={"State": "Enabled", "Health": "OK"})
        assert (await shelf.input_power()).quality is not Quality.GOOD

    run(tree, scenario, connect=connect_shelf, device="shelf-1")


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


def test_equipment_that_falls_silent_raises_and_is_read_again_once_it_is_well(
    recorded: Callable[[str], Mockup], run: Run
) -> None:
    tree = recorded("public-pdu")

    async def scenario(pdu: RedfishPdu) -> None:
        tree.silent = True
        for call in (pdu.sample, pdu.outlets, pdu.input_power, pdu.identify):
            with pytest.raises(Unreachable):
                await call()
        tree.silent = False
        assert len(await pdu.outlets()) == 11

    run(tree, scenario, connect=connect_pdu, device="pdu-a")
