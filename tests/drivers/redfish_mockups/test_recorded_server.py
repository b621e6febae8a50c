"""DMTF's liquid-cooled server, whole, through the tray's driver: what its files hold is what the driver gives."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from drivers.bmc.tray import ComputeTray
from harness.capabilities import Severity

if TYPE_CHECKING:
    from tests.drivers.redfish_mockups.conftest import Mockup, Run

SCHEMAS = {
    "cpu": "Processor", "memory": "Memory", "psu": "PowerSupply", "fan": "Fan", "pump": "Pump", "drive": "Drive",
    "nic": "NetworkAdapter",
}  # fmt: skip
Json = dict[str, Any]


@pytest.fixture
def tree(recorded: Callable[[str], Mockup]) -> Mockup:
    return recorded("public-liquid-cooled-server")


def resources(tree: Mockup, schema: str) -> list[Json]:
    """Every resource of a schema."""
    assert tree.folder is not None
    bodies = (json.loads(file.read_text("utf-8")) for file in tree.folder.rglob("index.json"))
    return [each for each in bodies if str(each.get("@odata.type", "")).startswith(f"#{schema}.")]


def test_parts_are_as_many_as_the_files_hold(tree: Mockup, run: Run) -> None:
    processors = [each for each in resources(tree, "Processor") if each["ProcessorType"] in ("CPU", "GPU")]
    wanted = {kind: len(resources(tree, schema)) for kind, schema in SCHEMAS.items()} | {"cpu": len(processors)}
    absent = {each["Id"] for schema in SCHEMAS.values() for each in resources(tree, schema) if is_absent(each)}
    assert wanted == {"cpu": 2, "memory": 4, "psu": 2, "fan": 2, "pump": 2, "drive": 0, "nic": 0}

    async def scenario(tray: ComputeTray) -> None:
        parts = await tray.parts()
        kinds = Counter(part.kind for part in parts)
        assert {kind: kinds[kind] for kind in wanted} == wanted
        assert len(absent) == len([part for part in parts if not part.present]) == 3
        # Its supply works and warns; the board inside is told by the supply's own Assembly.
        assert [(part.name, part.serial) for part in parts if part.healthy is False] == [("psu-1", "3488247")]
        assert [(part.part_number, part.serial) for part in parts if part.kind == "board"] == [("923943", "345394834")]
        who = await tray.identify()
        assert (who.manufacturer, who.model, who.part_number) == ("Contoso", "3500", "224071-J23")
        assert who.serial == "437XR1138R2"

    run(tree, scenario)


def is_absent(resource: Json) -> bool:
    return bool(resource.get("Status", {}).get("State") == "Absent")


def test_firmware_logs_and_attestation_are_all_there(tree: Mockup, run: Run) -> None:
    images = {each["Id"]: each["Version"] for each in resources(tree, "SoftwareInventory")}
    entries = resources(tree, "LogEntry")
    assert (len(images), len(entries), len(resources(tree, "ComponentIntegrity"))) == (4, 2, 4)

    async def scenario(tray: ComputeTray) -> None:
        firmware = {each.component: each.version for each in await tray.firmware()}
        # The tree holds a fourth image, AC-RoT0, that its own inventory does not list.
        assert firmware == {"bmc": images["BMC"], "bios": images["BIOS"], "ss": images["SS"]}
        log = await tray.entries()
        assert sorted(each.message for each in log) == sorted(each["Message"] for each in entries)
        assert sorted(each.severity for each in log) == [Severity.CRITICAL, Severity.WARNING]
        # Nor does the collection of what can attest list its fourth member, USB-Integrity.
        assert sorted(each.protocol for each in await tray.integrity()) == ["SPDM", "SPDM", "TPM"]
        assert await tray.physical_links() == ()
        assert await tray.leaks() == ()

    run(tree, scenario)
