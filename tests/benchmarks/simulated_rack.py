"""What the simulated rack costs, at 4 and at 18 trays: its pace, its memory, and processor time a protocol request.

`python -m tests.benchmarks.simulated_rack [MODEL …]`. Pace is that of the world alone, all accelerators loaded, with
nobody asking. The rest is measured on the rack's own process, as it is started for anybody: resident memory with its
hosts', the share of one core that it takes with nobody asking at a pace of 20, and per request the processor time of
server and whatever it starts, less that share. Clients are other people's, and their time is not counted. Medians of
five rounds (best … worst); nothing is asserted.
"""

from __future__ import annotations

import asyncio
import os
import ssl
import statistics
import subprocess
import sys
import tempfile
import termios
import time
import tty
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import asyncssh
import yaml
from pysnmp.hlapi.v3arch import asyncio as snmp  # type: ignore[import-untyped]

from fixtures.clock import SteppedClock
from fixtures.servers.modbus_rtu import seal
from fixtures.world import RackWorld
from harness.rack.bay import Bay, Endpoint
from harness.rack.load import load_model, model_path

MODELS = ("bench4", "nvl72")
PACE = 20.0
ROUNDS = 5
STRETCH = 60.0
"""Rack seconds a round of the world alone."""
IDLE = 3.0
"""Wall seconds for which nobody asks."""
TICKS = os.sysconf("SC_CLK_TCK")
REQUESTS = {"Redfish": 60, "SNMP": 60, "Modbus": 100, "SSH": 10}
OUTLETS = "1.3.6.1.4.1.318.1.1.26.9.4.3.1"
"""rPDU2OutletMeteredStatusTable (PowerNet-MIB)."""
INTERFACES = "1.3.6.1.2.1.31.1.1.1"
"""ifXTable (RFC 2863)."""

Ask = Callable[[], Awaitable[object]]


@dataclass(frozen=True)
class Rack:
    """A running rack: its process, its bay, and where its secrets lie."""

    process: int
    bay: Bay
    folder: Path

    def secret(self, endpoint: Endpoint, purpose: str) -> str:
        """The secret that an endpoint names for a purpose."""
        return (self.folder / str(self.bay.secrets[endpoint.secrets[purpose]].file)).read_text().strip()

    def processor(self) -> float:
        """Processor seconds of the process, and of what it started and has waited for."""
        fields = Path(f"/proc/{self.process}/stat").read_text().rpartition(")")[2].split()
        started = sum(int(each) for each in fields[13:15]) / TICKS
        # To the nanosecond, where ticks are as long as ten requests.
        threads = Path(f"/proc/{self.process}/task").glob("*/schedstat")
        return started + sum(int(each.read_text().split()[0]) for each in threads) / 1e9

    def memory(self) -> float:
        """MB resident, of the process and of all that it started."""
        total = 0
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and self.process in _line(int(entry.name)):
                total += _resident(entry)
        return total / 1e6


def _line(process: int) -> Iterator[int]:
    """A process, its parent, and so on."""
    while process > 1:
        yield process
        try:
            process = int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            return


def _resident(entry: Path) -> int:
    try:
        return int((entry / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


@contextmanager
def running(model: str) -> Iterator[Rack]:
    """The rack of a model as a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "fixtures", model, "--pace", str(PACE), "--dir", folder, "--until-eof"]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            try:
                assert process.stdout is not None
                assert "ready" in process.stdout.readline()
                bay = Bay.model_validate(yaml.safe_load((Path(folder) / "bay.yaml").read_text()))
                yield Rack(process.pid, bay, Path(folder))
            finally:
                assert process.stdin is not None
                process.stdin.close()
                process.wait(30)


def world_alone(model: str) -> list[float]:
    """Rack seconds a wall second, by round."""
    clock = SteppedClock()
    world = RackWorld(load_model(model_path(model)), clock)
    for tray in world.layout.trays:
        world.set_load(tray, "benchmark", 1.0)
    found = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        clock.advance(STRETCH)
        world.advance()
        found.append(STRETCH / (time.perf_counter() - began))
    return found


async def requests(rack: Rack) -> dict[str, list[float]]:
    """Milliseconds of processor time a request, by kind and round."""
    devices = rack.bay.devices
    found: dict[str, list[float]] = {}
    idle = await idle_share(rack)
    async with redfish(rack, "tray-01") as session:
        chassis = "/redfish/v1/Chassis/Chassis_0"
        base = devices["tray-01"].address
        token = await log_in(session, rack, devices["tray-01"])

        async def get(path: str) -> None:
            async with session.get(base + path, headers={"X-Auth-Token": token}) as answer:
                assert answer.status == 200, path
                await answer.read()

        asked: dict[str, Ask] = {
            "Redfish: one sensor": lambda: get(f"{chassis}/Sensors/Inlet_Temp"),
            "Redfish: $expand of all sensors": lambda: get(f"{chassis}/Sensors?$expand=.($levels=1)"),
        }
        if "telemetry" in devices["tray-01"].options:
            report = "/redfish/v1/TelemetryService/MetricReports/PlatformEnvironmentMetrics_0"
            asked["Redfish: metric report"] = lambda: get(report)
        for name, ask in asked.items():
            found[name] = await rounds(rack, ask, REQUESTS["Redfish"], idle)
    engine = snmp.SnmpEngine()
    try:
        ask = await bulk(engine, rack, devices["pdu-b"], OUTLETS)
        found["SNMP v2c: GETBULK, 25 of outlets"] = await rounds(rack, ask, REQUESTS["SNMP"], idle)
        ask = await bulk(engine, rack, devices["switch-1"], INTERFACES)
        found["SNMP v3 authPriv: GETBULK, 25 of ports"] = await rounds(rack, ask, REQUESTS["SNMP"], idle)
    finally:
        engine.close_dispatcher()
    found["Modbus TCP: 7 registers of the CDU"] = await modbus_tcp(rack, devices["cdu-1"], idle)
    found["Modbus RTU: 12 registers of a supply"] = await modbus_rtu(rack, devices["shelf-1"], idle)
    async with await secure_shell(rack, devices["tray-01-host"]) as connection:
        for name, command in (("SSH: true", "true"), ("SSH: nvidia-smi -q -x", "nvidia-smi -q -x")):
            found[name] = await rounds(rack, lambda c=command: connection.run(c), REQUESTS["SSH"], idle)  # type: ignore[misc]
    return found


async def idle_share(rack: Rack) -> float:
    """The share of one core that the rack takes with nobody asking."""
    await asyncio.sleep(1.0)
    before = rack.processor()
    await asyncio.sleep(IDLE)
    return (rack.processor() - before) / IDLE


async def rounds(rack: Rack, ask: Ask, count: int, idle: float) -> list[float]:
    """Milliseconds a request, by round; the first request of all is not counted."""
    await ask()
    found = []
    for _ in range(ROUNDS):
        used, began = rack.processor(), time.monotonic()
        for _ in range(count):
            await ask()
        spent = rack.processor() - used - idle * (time.monotonic() - began)
        found.append(1000.0 * max(0.0, spent) / count)
    return found


def redfish(rack: Rack, device: str) -> aiohttp.ClientSession:
    """A client that takes the certificate of this one device."""
    context = ssl.create_default_context(cafile=str(rack.folder / "certificates" / f"{device}.crt"))
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context))


async def log_in(session: aiohttp.ClientSession, rack: Rack, endpoint: Endpoint) -> str:
    """The token of a session."""
    body = {"UserName": endpoint.user, "Password": rack.secret(endpoint, "password")}
    async with session.post(f"{endpoint.address}/redfish/v1/SessionService/Sessions", json=body) as answer:
        return answer.headers["X-Auth-Token"]


async def bulk(engine: snmp.SnmpEngine, rack: Rack, endpoint: Endpoint, oid: str) -> Ask:
    """What asks an agent for 25 repetitions."""
    host, _, port = endpoint.address.removeprefix("snmp://").partition(":")
    target = await snmp.UdpTransportTarget.create((host, int(port)), timeout=5, retries=1)
    if endpoint.options.get("version") == 2:
        access = snmp.CommunityData(rack.secret(endpoint, "community"), mpModel=1)
    else:
        access = snmp.UsmUserData(
            endpoint.user,
            rack.secret(endpoint, "auth"),
            rack.secret(endpoint, "privacy"),
            authProtocol=snmp.USM_AUTH_HMAC192_SHA256,
            privProtocol=snmp.USM_PRIV_CFB128_AES,
        )

    async def ask() -> None:
        wanted = snmp.ObjectType(snmp.ObjectIdentity(oid))
        error, status, _, found = await snmp.bulk_cmd(engine, access, target, snmp.ContextData(), 0, 25, wanted)
        assert not error, error
        assert not status, status
        assert len(found) == 25

    return ask


async def modbus_tcp(rack: Rack, endpoint: Endpoint, idle: float) -> list[float]:
    """Flow, temperatures, pressures and powers in one read."""
    place = urlsplit(endpoint.address)
    reader, writer = await asyncio.open_connection(str(place.hostname), place.port)
    unit = int(endpoint.options["unit"])
    pdu = b"\x03" + (36864).to_bytes(2, "big") + (7).to_bytes(2, "big")

    async def ask() -> None:
        writer.write(b"\0\1\0\0" + (len(pdu) + 1).to_bytes(2, "big") + bytes((unit,)) + pdu)
        head = await reader.readexactly(7)
        body = await reader.readexactly(int.from_bytes(head[4:6], "big") - 1)
        assert body[0] == 3

    try:
        return await rounds(rack, ask, REQUESTS["Modbus"], idle)
    finally:
        writer.close()
        await writer.wait_closed()


async def modbus_rtu(rack: Rack, endpoint: Endpoint, idle: float) -> list[float]:
    """What a supply measures, in one read over its line."""
    place = urlsplit(endpoint.address)
    line = os.open(place.path, os.O_RDWR | os.O_NOCTTY)
    tty.setraw(line, termios.TCSANOW)
    unit = int(str(endpoint.options["units"]).split(",")[0])
    frame = seal(bytes((unit, 3)) + (79).to_bytes(2, "big") + (12).to_bytes(2, "big"))

    def talk() -> None:
        os.write(line, frame)
        heard = b""
        while len(heard) < 5 + 24:
            heard += os.read(line, 256)
        assert seal(heard[:-2]) == heard

    try:
        return await rounds(rack, lambda: asyncio.to_thread(talk), REQUESTS["Modbus"], idle)
    finally:
        os.close(line)


async def secure_shell(rack: Rack, endpoint: Endpoint) -> asyncssh.SSHClientConnection:
    """A login on a host."""
    port = int(endpoint.address.rpartition(":")[2])
    known = asyncssh.import_known_hosts(f"[127.0.0.1]:{port} {endpoint.options['host_key']}\n")
    return await asyncssh.connect(
        *("127.0.0.1", port),
        username=endpoint.user,
        password=rack.secret(endpoint, "password"),
        known_hosts=known,
        client_keys=None,
        config=None,
    )


def show(name: str, values: Sequence[float], unit: str) -> None:
    """One row."""
    ordered = sorted(values)
    sys.stdout.write(
        f"  {name:<42} {statistics.median(ordered):9.2f} {unit:<22} ({ordered[0]:.2f} … {ordered[-1]:.2f})\n"
    )


def main(models: Sequence[str]) -> None:
    """Measure and say."""
    sys.stdout.write(f"{os.cpu_count()} cores, medians of {ROUNDS} rounds\n")
    for model in models:
        trays = sum(slot.roles[0] == "compute_tray" for slot in load_model(model_path(model)).slots.values())
        sys.stdout.write(f"{model}, {trays} compute trays\n")
        show("world alone", world_alone(model), "rack s a wall s")
        with running(model) as rack:
            found = asyncio.run(requests(rack))
            idle = asyncio.run(idle_share(rack))
            show(f"idle at pace {PACE:g}", [100.0 * idle], "% of one core")
            show("memory, hosts and all", [rack.memory()], "MB resident")
        for name, values in found.items():
            show(name, values, "ms of processor each")


if __name__ == "__main__":
    main(sys.argv[1:] or MODELS)
