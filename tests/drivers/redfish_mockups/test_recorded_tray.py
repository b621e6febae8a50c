"""A recorded GB300 tray, whole: what its files hold, counted by a plain walk, is what the driver gives over TLS.

Where the tray contradicts itself, a test of its own says so and what is made of it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from drivers.bmc.tray import ComputeTray
from harness.physical import PhysicalLinks
from harness.quantities import Quality

if TYPE_CHECKING:
    from tests.drivers.redfish_mockups.conftest import Mockup, Run

TRAY = "gb300-compute-tray"
RECORDED = datetime(2026, 6, 29, 8, 5, 30, tzinfo=UTC)
Json = dict[str, Any]
SYSTEM_SERIAL = "S246402N0181549"
"""That of the tray itself; the FRU of its BMC bears it as well."""


@pytest.fixture
def tree(recorded: Callable[[str], Mockup]) -> Mockup:
    return recorded(TRAY)


def folder_of(tree: Mockup) -> Path:
    assert tree.folder is not None
    return tree.folder


def resources(tree: Mockup, schema: str) -> dict[str, Json]:
    """Every resource of a schema, by its path below the service root."""
    folder, found = folder_of(tree), {}
    for file in folder.rglob("index.json"):
        body: Json = json.loads(file.read_text("utf-8"))
        if str(body.get("@odata.type", "")).startswith(f"#{schema}."):
            found[file.parent.relative_to(folder).as_posix()] = body
    return found


def members(tree: Mockup, path: str) -> int:
    return len(json.loads((folder_of(tree) / path / "index.json").read_text("utf-8"))["Members"])


def serials(tree: Mockup) -> set[str]:
    """Every serial number that a chassis, an assembly or a part of the tray states."""

    def told() -> Iterator[Json]:
        for schema in ("Chassis", "Processor", "Memory", "NetworkAdapter", "Drive", "ComputerSystem"):
            yield from resources(tree, schema).values()
        for assembly in resources(tree, "Assembly").values():
            yield from assembly["Assemblies"]

    found = {str(each.get("SerialNumber") or "").strip() for each in told()}
    # A template that nobody filled in, and a serial of noughts, are none.
    return {
        each
        for each in found
        if each and each not in ("NA", "N/A") and not each.startswith("$") and set(each) - set("0x")
    }


def test_parts_are_as_many_as_the_files_hold(tree: Mockup, run: Run) -> None:
    processors = Counter(each.get("ProcessorType") for each in resources(tree, "Processor").values())
    wanted = {
        "accelerator": processors["GPU"],
        "cpu": processors["CPU"],
        "memory": len(resources(tree, "Memory")),
        "drive": len(resources(tree, "Drive")),
        "nic": len(resources(tree, "NetworkAdapter")),
    }
    assert wanted == {"accelerator": 4, "cpu": 2, "memory": 6, "drive": 10, "nic": 5}

    async def scenario(tray: ComputeTray) -> None:
        kinds = Counter(part.kind for part in await tray.parts())
        assert {kind: kinds[kind] for kind in wanted} == wanted
        assert (kinds["system"], kinds["psu"], kinds["fan"]) == (1, 0, 0)

    run(tree, scenario)


def test_every_serial_of_the_tray_is_in_the_inventory(tree: Mockup, run: Run) -> None:
    wanted = serials(tree)
    assert len(wanted) == 27

    async def scenario(tray: ComputeTray) -> None:
        parts = await tray.parts()
        assert {part.serial for part in parts if part.serial} | {(await tray.identify()).serial} == wanted
        assert SYSTEM_SERIAL not in {part.serial for part in parts}
        boards = {part.part_number: part for part in parts if part.kind == "board"}
        assert boards["AOM-PDB-B3"].serial == "HA561B509144"  # told by two chassis and two assemblies, listed once
        assert [part.part_number for part in parts].count("AOM-PDB-B3") == 1
        assert [part.part_number for part in parts].count("750-0567-002") == 4  # the four cable cartridges
        assert all("$" not in part.part_number + part.serial + part.manufacturer for part in parts)

    run(tree, scenario)


def test_firmware_is_all_that_the_inventory_lists(tree: Mockup, run: Run) -> None:
    images = {
        path: each
        for path, each in resources(tree, "SoftwareInventory").items()
        if path.startswith("UpdateService/FirmwareInventory/")
    }
    assert len(images) == members(tree, "UpdateService/FirmwareInventory") == 29

    async def scenario(tray: ComputeTray) -> None:
        found = await tray.firmware()
        assert len({each.component for each in found}) == len(found) == 29
        # Empty where an image states no version, and never left out for it.
        assert Counter(each.version for each in found) == Counter(each.get("Version", "") for each in images.values())

    run(tree, scenario)


def test_links_are_those_of_every_processor_and_adapter(tree: Mockup, run: Run) -> None:
    """18 NVLink ports an accelerator; a port whose counters were not recorded has none, and not noughts."""
    ports = resources(tree, "Port")
    nvlink = {path: each for path, each in ports.items() if "/GPU_" in path and "/NVLink_" in path}
    assert (len(ports), len(nvlink)) == (106 + 22, 4 * 18 + 20)  # with the settings of 22 of them
    assert sum(path.endswith("/Settings") for path in ports) == 22

    async def scenario(tray: ComputeTray) -> None:
        assert isinstance(tray, PhysicalLinks)
        links = await tray.physical_links()
        assert len(links) == 106
        for number in range(4):
            mine = {each.port: each for each in links if each.port.startswith(f"accelerator-{number}/NVLink_")}
            assert len(mine) == 18
            for name, each in mine.items():
                place = f"Systems/HGX_Baseboard_0/Processors/GPU_{number}/Ports/{name.partition('/')[2]}"
                assert each.up is (ports[place]["LinkStatus"] == "LinkUp")
                assert each.speed is not None
                assert each.speed.number == ports[place]["CurrentSpeedGbps"] == 400.0
                file = folder_of(tree) / place / "Metrics" / "index.json"
                counted = json.loads(file.read_text("utf-8"))["Oem"]["Nvidia"] if file.exists() else {}
                assert each.symbol_errors == counted.get("SymbolErrors")
                assert each.downs == counted.get("LinkDownedCount")
                assert each.recoveries == counted.get("LinkErrorRecoveryCount")
                assert each.raw_ber == counted.get("TotalRawBER")
                # 1.5e-254 is how it writes that it saw none.
                assert each.effective_ber == (0.0 if counted.get("EffectiveBER") == 1.5e-254 else None)

    run(tree, scenario)


def test_attestation_leaks_and_certificates_are_counted(tree: Mockup, run: Run) -> None:
    components = resources(tree, "ComponentIntegrity")
    assert len(components) == members(tree, "ComponentIntegrity") == 14
    detectors = resources(tree, "LeakDetector")

    async def scenario(tray: ComputeTray) -> None:
        integrity = await tray.integrity()
        assert {each.name for each in integrity} == {each["Id"] for each in components.values()}
        assert {each.protocol for each in integrity} == {"SPDM"}
        assert {each.part for each in integrity} >= {f"accelerator-{number}" for number in range(4)}
        assert {leak.name for leak in await tray.leaks()} == {each["Id"] for each in detectors.values()}
        assert len(detectors) == 4

    run(tree, scenario)


def test_one_drive_is_told_twice_and_two_ways(tree: Mockup, run: Run) -> None:
    """NVMe_SSD_210: fitted, says its chassis; absent, says the storage of the system. Both stand in the inventory."""
    told = {path: each["Status"]["State"] for path, each in resources(tree, "Drive").items() if "SSD_210" in path}
    assert told == {
        "Chassis/NVME_M2_0/Drives/NVMe_SSD_210": "Enabled",
        "Systems/System_0/Storage/1/Drives/NVMe_SSD_210": "Absent",
    }

    async def scenario(tray: ComputeTray) -> None:
        drives = [part for part in await tray.parts() if part.kind == "drive"]
        assert [part.name for part in drives if part.present] == ["drive-8"]
        assert [part.healthy for part in drives] == [None] * 10

    run(tree, scenario)


def test_the_die_is_read_where_the_tray_points_at_the_headroom(tree: Mockup, run: Run) -> None:
    """EnvironmentMetrics names TEMP_1 as the temperature; its ReadingBasis and its words say that it is a distance."""
    processors = folder_of(tree) / "Systems" / "HGX_Baseboard_0" / "Processors"
    surroundings = json.loads((processors / "GPU_0" / "EnvironmentMetrics" / "index.json").read_text("utf-8"))
    assert surroundings["TemperatureCelsius"]["DataSourceUri"].endswith("HGX_GPU_0_TEMP_1")
    die = folder_of(tree) / "Chassis" / "HGX_GPU_0" / "Sensors" / "HGX_GPU_0_TEMP_0" / "index.json"

    async def scenario(tray: ComputeTray) -> None:
        samples = {str(each.channel): each.reading for each in await tray.sample()}
        said = json.loads(die.read_text("utf-8"))["Reading"]
        assert samples["tray-01/accelerator-0.accelerator.temperature"].value == said == 32.9375

    run(tree, scenario)


def test_stale_values_in_fresh_reports_are_never_sampled_as_good(tree: Mockup, run: Run) -> None:
    """Twelve values of one report are flagged stale and eight are 'nan'; some stamps are two months old."""
    values = [each for report in resources(tree, "MetricReport").values() for each in report["MetricValues"]]
    stale = [each for each in values if each.get("Oem", {}).get("Nvidia", {}).get("MetricValueStale")]
    assert (len(stale), sum(each["MetricValue"] == "nan" for each in values)) == (12, 8)
    spoilt = {each["MetricProperty"].partition("#")[0] for each in stale}

    async def scenario(tray: ComputeTray) -> None:
        taken = {path for sensors in tray._sensors.reported.values() for path in sensors}
        assert taken
        assert not taken & spoilt
        for each in await tray.sample():
            if each.reading.quality is Quality.GOOD:
                assert abs((RECORDED - each.reading.at).total_seconds()) <= 60.0

    run(tree, scenario, now=RECORDED)
