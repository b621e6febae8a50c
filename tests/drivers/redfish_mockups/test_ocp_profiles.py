"""What the OCP profiles require of CDUs, rack PDUs and power shelves: our drivers read it, or say that it is not there.

Each property that a driver lives on is looked up in the profile, then taken out of DMTF's mock-up; what is left must
read as missing, and never as a value.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from drivers.cdu import connect as connect_cdu
from drivers.power_shelf import connect as connect_shelf
from drivers.redfish_pdu import connect as connect_pdu
from harness.errors import Unsupported
from harness.quantities import Quality

if TYPE_CHECKING:
    from tests.drivers.redfish_mockups.conftest import Connect, Mockup, Serve

NOW = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)
Json = dict[str, Any]
V1 = "/redfish/v1"
CDU, LOOP = f"{V1}/ThermalEquipment/CDUs/1", f"{V1}/ThermalEquipment/CDUs/1/SecondaryCoolantConnectors/1"
PDU, SHELF = f"{V1}/PowerEquipment/RackPDUs/1", f"{V1}/PowerEquipment/PowerShelves/1"
BAY = f"{V1}/Chassis/PowerShelf/PowerSubsystem/PowerSupplies/Bay1"
KINDS: dict[str, tuple[Callable[..., Any], str, tuple[str, ...]]] = {
    "cdu": (
        connect_cdu,
        "public-cooling-unit",
        ("OCPCoolantDistributionUnit.v1_0_0", "OCPLiquidCoolingBaseline.v1_0_0"),
    ),
    "pdu": (connect_pdu, "public-pdu", ("OCPRackPDU.v1_0_0",)),
    "shelf": (connect_shelf, "public-power-shelf", ("OCPPowerShelfManagement.v1_0_0",)),
}
Look = Callable[[Any], Awaitable[Any]]


@dataclass(frozen=True)
class Need:
    """A property that a driver lives on; `seen` asks the driver, and must give `absence` once it is gone.

    With `refusal` the driver does not open without it, and says so in these words.
    """

    kind: str
    schema: str
    name: str
    path: str
    absence: Any = ""
    seen: Look | None = None
    refusal: str = ""

    def __str__(self) -> str:
        return f"{self.kind} {self.schema}.{self.name}"


def who(word: str) -> Look:
    async def look(driver: Any) -> Any:
        return getattr(await driver.identify(), word)

    return look


def sampled(quantity: str, part: str = "") -> Look:
    """Quality of a channel; None where there is no such channel."""

    async def look(driver: Any) -> Any:
        found = {(each.channel.quantity, each.channel.part): each.reading for each in await driver.sample()}
        reading = found.get((quantity, part))
        return None if reading is None else reading.quality

    return look


def told(call: str, name: str, word: str) -> Look:
    """A property of one of the things that a capability lists."""

    async def look(driver: Any) -> Any:
        return getattr(next(each for each in await getattr(driver, call)() if each.name == name), word)

    return look


def listed(call: str) -> Look:
    async def look(driver: Any) -> Any:
        return tuple(await getattr(driver, call)())

    return look


async def versions(driver: Any) -> Any:
    return (await driver.firmware())[0].version


async def circuits(driver: Any) -> Any:
    return {part.name.partition("-")[0] for part in await driver.parts()} - {"psu"}


LABELS = (
    ("Manufacturer", "manufacturer"), ("Model", "model"), ("PartNumber", "part_number"), ("SerialNumber", "serial"),
)  # fmt: skip
NEEDS = (
    *(Need("cdu", "CoolingUnit", name, CDU, "", who(word)) for name, word in LABELS),
    Need("cdu", "CoolingUnit", "FirmwareVersion", CDU, "", versions),
    Need("cdu", "ThermalEquipment", "CDUs", f"{V1}/ThermalEquipment", refusal="the service lists none"),
    Need("cdu", "CoolingUnit", "SecondaryCoolantConnectors", CDU, refusal="the unit lists none"),
    Need("cdu", "CoolingUnit", "Pumps", CDU, (), listed("pumps")),
    Need("cdu", "CoolingUnit", "LeakDetection", CDU, (), listed("leaks")),
    Need("cdu", "CoolantConnector", "FlowLitersPerMinute", LOOP, refusal="coolant.flow"),
    Need("cdu", "CoolantConnector", "SupplyTemperatureCelsius", LOOP, refusal="coolant.supply.temperature"),
    Need("cdu", "CoolantConnector", "ReturnTemperatureCelsius", LOOP, refusal="coolant.return.temperature"),
    Need("cdu", "CoolantConnector", "SupplyPressurekPa", LOOP, None, sampled("coolant.supply.pressure")),
    Need("cdu", "CoolantConnector", "ReturnPressurekPa", LOOP, None, sampled("coolant.return.pressure")),
    Need("cdu", "Pump", "PumpSpeedPercent", f"{CDU}/Pumps/1", None, told("pumps", "pump-1", "speed")),
    Need("cdu", "Pump", "Status", f"{CDU}/Pumps/1", None, told("pumps", "pump-1", "healthy")),
    Need("cdu", "Filter", "Status", f"{CDU}/Filters/1", None, told("parts", "filter-1", "healthy")),
    Need("cdu", "Reservoir", "Status", f"{CDU}/Reservoirs/1", None, told("parts", "reservoir-1", "healthy")),
    *(Need("pdu", "PowerDistribution", name, PDU, "", who(word)) for name, word in LABELS),
    Need("pdu", "PowerDistribution", "FirmwareVersion", PDU, "", versions),
    Need("pdu", "PowerEquipment", "RackPDUs", f"{V1}/PowerEquipment", refusal="the service lists none"),
    Need("pdu", "PowerDistribution", "Outlets", PDU, refusal="reports none"),
    Need("pdu", "PowerDistribution", "Mains", PDU, {"branch"}, circuits),
    Need("pdu", "PowerDistribution", "Branches", PDU, {"main"}, circuits),
    Need("pdu", "PowerDistribution", "Metrics", PDU, Quality.ABSENT, sampled("input.power")),
    Need("pdu", "PowerDistributionMetrics", "PowerWatts", f"{PDU}/Metrics", Quality.ABSENT, sampled("input.power")),
    Need("pdu", "Outlet", "PowerState", f"{PDU}/Outlets/A1", None, told("outlets", "A1", "on")),
    Need("pdu", "Circuit", "Status", f"{PDU}/Branches/A", None, told("parts", "branch-A", "healthy")),
    *(Need("shelf", "PowerDistribution", name, SHELF, "", who(word)) for name, word in LABELS),
    Need("shelf", "PowerDistribution", "FirmwareVersion", SHELF, "", versions),
    Need("shelf", "PowerEquipment", "PowerShelves", f"{V1}/PowerEquipment", refusal="the service lists none"),
    Need("shelf", "PowerDistribution", "Mains", SHELF, {"branch"}, circuits),
    Need("shelf", "PowerDistribution", "Branches", SHELF, {"main"}, circuits),
    Need("shelf", "PowerSupply", "LineInputStatus", f"{BAY}", None, told("supplies", "psu-1", "input_ok")),
    Need("shelf", "PowerSupply", "Status", f"{BAY}", None, told("supplies", "psu-1", "healthy")),
    Need("shelf", "PowerSupply", "Metrics", f"{BAY}", None, told("supplies", "psu-1", "input_power")),
    Need("shelf", "PowerSupply", "OutputRails", f"{BAY}", None, told("supplies", "psu-1", "output_current")),
    Need("shelf", "PowerSupply", "SerialNumber", f"{BAY}", "", told("parts", "psu-1", "serial")),
    Need("shelf", "PowerSupply", "PartNumber", f"{BAY}", "", told("parts", "psu-1", "part_number")),
    Need("shelf", "PowerSupplyMetrics", "InputPowerWatts", f"{BAY}/Metrics", Quality.ABSENT,
         sampled("supply.input.power", "psu-1")),
    Need("shelf", "PowerSupplyMetrics", "InputVoltage", f"{BAY}/Metrics", Quality.ABSENT,
         sampled("supply.input.voltage", "psu-1")),
    Need("shelf", "PowerSupplyMetrics", "OutputPowerWatts", f"{BAY}/Metrics", Quality.ABSENT,
         sampled("supply.output.power", "psu-1")),
    Need("shelf", "PowerSupplyMetrics", "RailCurrentAmps", f"{BAY}/Metrics", Quality.ABSENT,
         sampled("supply.output.current", "psu-1")),
)  # fmt: skip


def required(folder: Any, kind: str) -> set[tuple[str, str]]:
    """What the profiles of a kind of equipment make mandatory: schema and property."""
    found: set[tuple[str, str]] = set()
    for name in KINDS[kind][2]:
        for schema, said in json.loads((folder / f"{name}.json").read_text("utf-8"))["Resources"].items():
            for each in (said, *said.get("UseCases", [])):
                for word, rule in each.get("PropertyRequirements", {}).items():
                    if rule.get("ReadRequirement", "Mandatory") == "Mandatory":
                        found.add((schema, word))
    return found


@pytest.mark.parametrize("need", NEEDS, ids=str)
def test_what_a_profile_requires_and_we_need_is_read_or_named_as_absent(
    need: Need, recorded: Callable[[str], Mockup], serve: Serve, reach: Connect
) -> None:
    connect, name, _ = KINDS[need.kind]
    tree = recorded(name)
    assert tree.folder is not None
    profiles = tree.folder.parents[1] / "ocp-redfish-profiles"
    assert (need.schema, need.name) in required(profiles, need.kind)

    async def outcome() -> Any:
        async with serve(tree):
            driver = connect(reach(tree, "x-1", NOW))
            try:
                await driver.open()
                return await need.seen(driver) if need.seen is not None else None
            finally:
                await driver.close()

    if need.seen is not None:
        assert asyncio.run(outcome()) != need.absence, "the mock-up does not have it in the first place"
    body = tree.find(need.path)
    assert body is not None
    del body[need.name]
    tree.tree[need.path] = body
    if need.refusal:
        with pytest.raises(Unsupported, match=need.refusal):
            asyncio.run(outcome())
    else:
        assert asyncio.run(outcome()) == need.absence
