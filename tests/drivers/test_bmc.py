"""The compute tray's driver against a Redfish tree over TLS: what is missing, stale or lying is never good."""

from __future__ import annotations

import asyncio
import json
import math
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from drivers.bmc import connect
from drivers.bmc.tray import ComputeTray
from harness.capabilities import (
    EventLog,
    FirmwareInventory,
    Identity,
    Inventory,
    Leak,
    LeakDetection,
    LeakState,
    Part,
    Severity,
    Telemetry,
)
from harness.connection import Connection, Driver, Secret
from harness.errors import DefinitionError, Misbehaved, Unreachable
from harness.quantities import Quality, Reading, Unit
from tests.drivers.redfish_peer import Certificate

CAPTURE = Path(__file__).parents[3] / "shared" / "captures" / "redfish" / "gb300-compute-tray"
NOW = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)
V1 = "/redfish/v1"
SYSTEM, CHASSIS, MANAGER = f"{V1}/Systems/S", f"{V1}/Chassis/Tray", f"{V1}/Managers/M"
SESSIONS = f"{V1}/SessionService/Sessions"
Tree = dict[str, dict[str, Any]]


@dataclass
class Service:
    """Serves resources by path, as a static mock-up does, with sessions and `$expand`."""

    find: Callable[[str], dict[str, Any] | None]
    broken: set[str] = field(default_factory=set)
    silent: bool = False
    spoil: Callable[[dict[str, Any]], dict[str, Any]] = dict
    """What expansion makes of a member."""
    requests: list[str] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request.raw_path)
        if request.method == "POST":
            where = {"X-Auth-Token": "token", "Location": f"{SESSIONS}/1"}
            return web.json_response({}, status=201, headers=where)
        if request.method == "DELETE":
            return web.Response(status=204)
        if self.silent and request.transport is not None:
            request.transport.abort()
        path = request.path.rstrip("/")
        if path in self.broken:
            return web.Response(body=b"{garbage", content_type="application/json")
        found = self.find(path)
        if found is None:
            return web.json_response({"error": {"message": "none"}}, status=404)
        if "$expand" in request.query_string:
            members = [self.find(each["@odata.id"]) for each in found["Members"]]
            found = found | {"Members": [self.spoil(each) for each in members if each]}
        return web.json_response(found)


@asynccontextmanager
async def opened(shown: Certificate, service: Service, **options: str | float) -> AsyncIterator[ComputeTray]:
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", service.handle)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(shown.pem)
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    tray = connect(
        Connection(
            "tray-01",
            f"https://127.0.0.1:{runner.addresses[0][1]}",
            user="admin",
            secrets={"password": Secret("bmc", "battery")},
            options={"fingerprint": shown.fingerprint, "timeout": 30.0, **options},
            now=lambda: NOW,
        )
    )
    try:
        await tray.open()
        yield tray
    finally:
        await tray.close()
        await runner.cleanup()


def ref(path: str) -> dict[str, str]:
    return {"@odata.id": path}


def sensor(kind: str, reading: Any, **more: Any) -> dict[str, Any]:
    units = {"Temperature": "Cel", "Power": "W"}[kind]
    return {"ReadingType": kind, "ReadingUnits": units, "Reading": reading, "Status": {"State": "Enabled"}} | more


def bench_tray() -> Tree:
    """A tray in the shape the standard asks for: two accelerators, one processor, two detectors."""
    tree: Tree = {}

    def add(path: str, **body: Any) -> str:
        tree[path] = {"@odata.id": path, "Id": path.rsplit("/", 1)[-1]} | body
        return path

    def collect(path: str, *members: str) -> dict[str, str]:
        add(path, Members=[ref(each) for each in members])
        return ref(path)

    healthy = {"State": "Enabled", "Health": "OK"}

    def processor(ident: str, kind: str, ordinal: int) -> str:
        return add(
            f"{SYSTEM}/Processors/{ident}",
            ProcessorType=kind,
            Manufacturer="Bench Silicon",
            PartNumber=f"P-{kind}",
            SerialNumber=f"S-{ident}",
            FirmwareVersion="97.00",
            Status=healthy,
            Location={"PartLocation": {"LocationOrdinalValue": ordinal}},
        )

    gpus = [processor("OAM-B", "GPU", 0), processor("OAM-A", "GPU", 1)]
    cpu = processor("CPU", "CPU", 0)
    memory = add(f"{SYSTEM}/Memory/D1", Manufacturer="Bench Memory", PartNumber="M", Status=healthy)
    nic = add(f"{CHASSIS}/NetworkAdapters/N1", Manufacturer="Bench Networks", PartNumber="N", Status=healthy)
    log = add(f"{MANAGER}/LogServices/Log", LogEntryType="Event", Entries=ref(f"{MANAGER}/LogServices/Log/Entries"))
    dump = add(f"{MANAGER}/LogServices/Dump", Entries=ref(f"{MANAGER}/LogServices/Dump/Entries"))
    first = add(f"{log}/Entries/1", Created="2026-11-02T10:00:00Z", Severity="OK", Message="started")
    second = add(f"{log}/Entries/2", Created="2026-11-02T11:00:00+01:00", Severity="Critical", Message="broke")
    add(f"{log}/Entries", Members=[tree[first]], **{"Members@odata.nextLink": f"{log}/Entries?$skip=1"})
    add(f"{log}/Entries?$skip=1", Members=[tree[second]])
    stamp = NOW.isoformat()
    sensors = [
        add(f"{CHASSIS}/Sensors/G0T", **sensor("Temperature", 55.5, RelatedItem=[ref(gpus[0])], ReadingTime=stamp)),
        add(f"{CHASSIS}/Sensors/G0P", **sensor("Power", 700, RelatedItem=[ref(gpus[0])])),
        add(f"{CHASSIS}/Sensors/G1T", **sensor("Temperature", 56.5, RelatedItem=[ref(gpus[1])])),
        add(f"{CHASSIS}/Sensors/G1P", **sensor("Power", 701, RelatedItem=[ref(gpus[1])])),
        add(f"{CHASSIS}/Sensors/G1H", **sensor("Temperature", 30, ReadingBasis="Headroom", RelatedItem=[ref(gpus[1])])),
        add(f"{CHASSIS}/Sensors/CT", **sensor("Temperature", 44, RelatedItem=[ref(cpu)])),
        add(f"{CHASSIS}/Sensors/In", **sensor("Temperature", 25, PhysicalContext="Intake")),
        add(f"{CHASSIS}/Sensors/Sum", **sensor("Power", 2100, PhysicalContext="Chassis")),
    ]
    leak = f"{CHASSIS}/ThermalSubsystem/LeakDetection"
    detectors = [
        add(f"{leak}/LeakDetectors/L{number}", DetectorState="OK", Status=healthy, Enabled=True) for number in (1, 2)
    ]
    add(leak, LeakDetectors=collect(f"{leak}/LeakDetectors", *detectors), Status={"Health": "OK"})
    add(f"{CHASSIS}/ThermalSubsystem", LeakDetection=ref(leak))
    add(
        SYSTEM,
        Manufacturer="Bench Compute",
        Model="BC-4A",
        PartNumber="BC4A-100",
        SerialNumber="T-1",
        BiosVersion="1.08",
        Processors=collect(f"{SYSTEM}/Processors", *gpus, cpu),
        Memory=collect(f"{SYSTEM}/Memory", memory),
        Links={"Chassis": [ref(CHASSIS)]},
    )
    add(
        CHASSIS,
        Sensors=collect(f"{CHASSIS}/Sensors", *sensors),
        ThermalSubsystem=ref(f"{CHASSIS}/ThermalSubsystem"),
        NetworkAdapters=collect(f"{CHASSIS}/NetworkAdapters", nic),
    )
    add(
        MANAGER,
        FirmwareVersion="2.14.1",
        LogServices=collect(f"{MANAGER}/LogServices", log, dump),
        Links={"ManagerForServers": [ref(SYSTEM)]},
    )
    images = [
        add(f"{V1}/U/F/B", Version="2.14.1", RelatedItem=[ref(MANAGER)]),
        add(f"{V1}/U/F/Z", Version="1.08", RelatedItem=[ref(SYSTEM)]),
        add(f"{V1}/U/F/G0", Version="97.00", RelatedItem=[ref(gpus[0])]),
        add(f"{V1}/U/F/A-InfoROM", Version="G1", RelatedItem=[ref(gpus[0])]),
        add(f"{V1}/U/F/G1", Version="96.00", RelatedItem=[ref(gpus[1])]),
        add(f"{V1}/U/F/N1", Version="40.44", RelatedItem=[ref(nic)]),
        add(f"{V1}/U/F/CPU_0", Version="?"),
    ]
    add(f"{V1}/U", FirmwareInventory=collect(f"{V1}/U/F", *images))
    add(
        V1,
        Systems=collect(f"{V1}/Systems", SYSTEM),
        Chassis=collect(f"{V1}/Chassis", CHASSIS),
        Managers=collect(f"{V1}/Managers", MANAGER),
        UpdateService=ref(f"{V1}/U"),
        Links={"Sessions": ref(SESSIONS)},
        ProtocolFeaturesSupported={"ExpandQuery": {"NoLinks": True, "Levels": True}},
    )
    return tree


def serving(tree: Tree) -> Service:
    service = Service(tree.get)
    plain = service.find

    def paged(path: str) -> dict[str, Any] | None:
        if path == f"{MANAGER}/LogServices/Log/Entries" and "$skip" in service.requests[-1]:
            return plain(f"{path}?$skip=1")
        return plain(path)

    service.find = paged
    return service


async def readings(tray: ComputeTray) -> dict[str, Reading]:
    return {str(sample.channel).removeprefix("tray-01"): sample.reading for sample in await tray.sample()}


def test_it_has_the_capabilities_of_a_compute_tray() -> None:
    tray = connect(Connection("tray-01", "https://127.0.0.1", now=lambda: NOW))
    kinds: tuple[type, ...] = (Driver, Identity, Inventory, FirmwareInventory, EventLog, Telemetry, LeakDetection)
    assert all(isinstance(tray, kind) for kind in kinds)


def test_a_healthy_tray(shown: Certificate) -> None:
    async def scenario() -> None:
        async with opened(shown, serving(bench_tray())) as tray:
            who = await tray.identify()
            assert (who.manufacturer, who.model, who.part_number) == ("Bench Compute", "BC-4A", "BC4A-100")
            assert (who.serial, who.firmware) == ("T-1", "2.14.1")
            parts = await tray.parts()
            assert [part.name for part in parts] == ["accelerator-0", "accelerator-1", "cpu-0", "memory-0", "nic-0"]
            assert parts[0] == Part("accelerator-0", "accelerator", "Bench Silicon", "P-GPU", "S-OAM-B", True, True)
            firmware = {each.component: each.version for each in await tray.firmware()}
            assert firmware == {
                "bmc": "2.14.1", "bios": "1.08", "accelerator-0": "97.00", "a-inforom": "G1",
                "accelerator-1": "96.00", "nic-0": "40.44", "image.cpu-0": "?",
            }  # fmt: skip
            log = await tray.entries()
            assert [entry.severity for entry in log] == [Severity.OK, Severity.CRITICAL]
            assert [entry.message for entry in log] == ["started", "broke"]
            assert await tray.leaks() == (Leak("L1", LeakState.DRY), Leak("L2", LeakState.DRY))

    asyncio.run(scenario())


def test_a_healthy_sample_is_two_requests(shown: Certificate) -> None:
    async def scenario() -> None:
        service = serving(bench_tray())
        async with opened(shown, service) as tray:
            service.requests.clear()
            found = await readings(tray)
            assert len(service.requests) == 2
            assert {name: reading.value for name, reading in found.items()} == {
                "/accelerator-0.accelerator.power": 700.0,
                "/accelerator-0.accelerator.temperature": 55.5,
                "/accelerator-1.accelerator.power": 701.0,
                "/accelerator-1.accelerator.temperature": 56.5,
                "/cpu-0.processor.temperature": 44.0,
                ".inlet.temperature": 25.0,
                ".leak.wet": 0,
                ".tray.power": 2100.0,
            }
            assert all(reading.quality is Quality.GOOD for reading in found.values())
            assert [sample.channel for sample in await tray.sample()] == list(tray.channels())

    asyncio.run(scenario())


def test_expansion_that_drops_properties_is_not_used(shown: Certificate) -> None:
    async def scenario() -> None:
        service = serving(bench_tray())
        service.spoil = lambda member: {name: each for name, each in member.items() if name != "ReadingUnits"}
        async with opened(shown, service) as tray:
            service.requests.clear()
            found = await readings(tray)
            assert found[".tray.power"].value == 2100.0
            assert not any("Sensors?$expand" in path for path in service.requests)

    asyncio.run(scenario())


def test_without_expansion_every_sensor_is_read_by_itself(shown: Certificate) -> None:
    async def scenario() -> None:
        tree = bench_tray()
        del tree[V1]["ProtocolFeaturesSupported"]
        service = serving(tree)
        async with opened(shown, service) as tray:
            assert (await readings(tray))[".tray.power"].value == 2100.0
            assert not any("$expand" in path for path in service.requests)

    asyncio.run(scenario())


def test_a_part_that_fails_spoils_only_its_own_channels(shown: Certificate) -> None:
    async def scenario() -> None:
        tree = bench_tray()
        del tree[V1]["ProtocolFeaturesSupported"]
        service = serving(tree)
        async with opened(shown, service) as tray:
            service.broken.add(f"{CHASSIS}/Sensors/G0T")
            del tree[f"{CHASSIS}/Sensors/G1T"]
            found = await readings(tray)
            assert len(found) == len(tray.channels())
            bad = {name for name, reading in found.items() if reading.quality is not Quality.GOOD}
            assert bad == {"/accelerator-0.accelerator.temperature", "/accelerator-1.accelerator.temperature"}
            assert all(math.isnan(found[name].number) for name in bad)

    asyncio.run(scenario())


def test_a_bmc_that_answers_nothing_is_unreachable(shown: Certificate) -> None:
    async def scenario() -> None:
        service = serving(bench_tray())
        async with opened(shown, service) as tray:
            service.silent = True
            for call in (tray.sample, tray.leaks, tray.parts, tray.identify, tray.entries):
                with pytest.raises(Unreachable, match="tray-01"):
                    await call()
            service.silent = False
            assert (await readings(tray))[".tray.power"].value == 2100.0

    asyncio.run(scenario())


def test_a_detector_that_cannot_be_read_never_hides_a_leak(shown: Certificate) -> None:
    async def scenario() -> None:
        tree = bench_tray()
        del tree[V1]["ProtocolFeaturesSupported"]
        detectors = f"{CHASSIS}/ThermalSubsystem/LeakDetection/LeakDetectors"
        service = serving(tree)
        async with opened(shown, service) as tray:
            service.broken.add(f"{detectors}/L1")
            assert (await readings(tray))[".leak.wet"].quality is Quality.BAD
            assert [leak.state for leak in await tray.leaks()] == [LeakState.UNKNOWN, LeakState.DRY]
            tree[f"{detectors}/L2"]["DetectorState"] = "Critical"
            assert (await readings(tray))[".leak.wet"] == Reading(1, Unit.COUNT, NOW)

    asyncio.run(scenario())


def test_what_the_tray_lacks_is_absent_and_still_a_channel(shown: Certificate) -> None:
    async def scenario() -> None:
        tree = bench_tray()
        tree[f"{CHASSIS}/Sensors"]["Members"] = []
        del tree[f"{CHASSIS}/ThermalSubsystem"]
        async with opened(shown, serving(tree)) as tray:
            found = await readings(tray)
            assert len(found) == 8
            assert {reading.quality for reading in found.values()} == {Quality.ABSENT}
            assert await tray.leaks() == ()

    asyncio.run(scenario())


def test_a_part_that_vanishes_is_listed_as_not_present(shown: Certificate) -> None:
    async def scenario() -> None:
        tree = bench_tray()
        async with opened(shown, serving(tree)) as tray:
            del tree[f"{SYSTEM}/Processors/OAM-B"]
            tree[f"{SYSTEM}/Processors/OAM-A"]["Status"] = {"State": "Absent", "Health": "Critical"}
            tree[f"{SYSTEM}/Processors/CPU"]["Status"] = {"State": "Enabled", "Health": "Warning"}
            tree[f"{SYSTEM}/Memory/D1"]["Status"] = {"State": "Enabled", "Health": None}
            parts = {part.name: part for part in await tray.parts()}
            assert [parts["accelerator-0"].present, parts["accelerator-1"].present] == [False, False]
            assert parts["accelerator-1"].healthy is None
            assert parts["cpu-0"].healthy is False
            assert parts["memory-0"].healthy is None

    asyncio.run(scenario())


def test_a_collection_whose_pages_never_end(shown: Certificate) -> None:
    async def scenario() -> None:
        tree = bench_tray()
        entries = f"{MANAGER}/LogServices/Log/Entries"
        tree[f"{entries}?$skip=1"]["Members@odata.nextLink"] = entries
        async with opened(shown, serving(tree)) as tray:
            with pytest.raises(Misbehaved, match="never end"):
                await tray.entries()

    asyncio.run(scenario())


def test_a_closed_device_says_so() -> None:
    async def scenario() -> None:
        tray = connect(Connection("tray-01", "https://127.0.0.1", now=lambda: NOW))
        await tray.close()
        with pytest.raises(Unreachable, match="not open"):
            await tray.sample()

    asyncio.run(scenario())


@pytest.mark.parametrize("options", [{"colour": 1}, {"max_age": 0}, {"max_age": "old"}])
def test_unknown_options_are_refused_untouched(options: dict[str, str | float]) -> None:
    with pytest.raises(DefinitionError, match="tray-01"):
        connect(Connection("tray-01", "https://127.0.0.1", options=options, now=lambda: NOW))


def recorded(path: str) -> dict[str, Any] | None:
    file = CAPTURE / path.strip("/") / "index.json"
    found: dict[str, Any] | None = json.loads(file.read_text()) if file.exists() else None
    return found


def test_a_recorded_gb300_tray(shown: Certificate) -> None:
    if not CAPTURE.exists():
        pytest.skip("the recorded GB300 tray is not here")

    async def scenario() -> None:
        async with opened(shown, Service(recorded)) as tray:
            who = await tray.identify()
            assert (who.manufacturer, who.model, who.firmware) == ("Supermicro", "GB NVL", "70.01.00.09")
            parts = await tray.parts()
            kinds = [part.kind for part in parts]
            assert (kinds.count("accelerator"), kinds.count("cpu"), kinds.count("nic")) == (4, 2, 5)
            # Eight bays for SSDs, all empty; what is not there is neither well nor ill. The M.2 drive is told twice:
            # its chassis has it fitted and says nothing of its health, the storage of the system calls it absent.
            drives = [(part.present, part.healthy) for part in parts if part.kind == "drive"]
            assert drives == [(False, None)] * 8 + [(True, None), (False, None)]
            assert (kinds.count("memory"), kinds.count("psu")) == (6, 0)
            assert all(part.healthy for part in parts if part.present and part.kind not in ("drive", "board"))
            firmware = {each.component: each.version for each in await tray.firmware()}
            assert firmware["bmc"] == "70.01.00.09"
            assert firmware["accelerator-3"] == "97.10.3E.00.05"
            assert firmware["hgx-inforom-gpu-3"] == "G548.0301.00.03"
            leaks = await tray.leaks()
            assert len(leaks) == 4
            assert all(leak.state is LeakState.DRY for leak in leaks)
            found = await readings(tray)
            temperatures = [found[f"/accelerator-{number}.accelerator.temperature"].value for number in range(4)]
            assert temperatures == [32.9375, 33.1875, 32.84375, 33.3125]
            assert found["/accelerator-0.accelerator.power"].value == 232.165
            assert found["/cpu-1.processor.temperature"].value == 37.375
            assert found[".tray.power"].value == 1355.398772
            assert found[".leak.wet"].value == 0
            assert found[".inlet.temperature"].quality is Quality.ABSENT

    asyncio.run(scenario())


def test_the_bay_may_name_the_inlet_of_a_recorded_tray(shown: Certificate) -> None:
    if not CAPTURE.exists():
        pytest.skip("the recorded GB300 tray is not here")

    async def scenario() -> None:
        named = {"sensor.inlet.temperature": "Chassis_0_Front_IO_Temp_0"}
        async with opened(shown, Service(recorded), **named) as tray:
            assert (await readings(tray))[".inlet.temperature"].value == 24.437

    asyncio.run(scenario())
