"""Independent peers for driver tests: net-snmp's agent with tables of ours or recorded ones, and a serial line."""

from __future__ import annotations

import json
import os
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import termios
import textwrap
import threading
import time
import tty
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from tests.drivers.redfish_peer import Certificate, certificate

SNMPD = shutil.which("snmpd", path="/usr/sbin:/usr/local/sbin:" + os.environ.get("PATH", ""))
CAPTURES = Path(__file__).parents[3] / "shared" / "captures"
KINDS = {
    "2": "integer",
    "4": "octet",
    "6": "objectid",
    "64": "ipaddress",
    "65": "counter",
    "66": "gauge",
    "67": "timeticks",
    "70": "counter64",
}

# net-snmp asks this program for every value below the roots that it was given (snmpd.conf, pass_persist). A rule makes
# a written object move another one, after some looks at it, or not at all.
_RESPONDER = textwrap.dedent(
    """
    import bisect, json, sys
    table, rules = json.load(open(sys.argv[1]))
    rows = {tuple(map(int, oid.split("."))): value for oid, value in table.items()}
    order = sorted(rows)
    waiting = {}
    def look(oid):
        if oid in waiting:
            looks, value = waiting[oid]
            if looks == 0:
                rows[oid][1] = value
                del waiting[oid]
            else:
                waiting[oid] = (looks - 1, value)
        return rows[oid]
    def answer(oid):
        kind, value = look(oid)
        print("." + ".".join(map(str, oid))); print(kind); print(value)
    for line in sys.stdin:
        command = line.strip().lower()
        if command == "ping":
            print("PONG")
        elif command in ("get", "getnext"):
            oid = tuple(int(arc) for arc in sys.stdin.readline().strip().strip(".").split("."))
            if command == "getnext":
                place = bisect.bisect_right(order, oid)
                oid = order[place] if place < len(order) else None
            if oid in rows: answer(oid)
            else: print("NONE")
        elif command == "set":
            oid = sys.stdin.readline().strip().strip(".")
            value = sys.stdin.readline().split()[-1].strip('"')
            rule = next((rule for rule in rules if oid.startswith(rule["control"])), None)
            if rule is None:
                print("not-writable")
            else:
                target = tuple(map(int, (rule["state"] + oid[len(rule["control"]):]).split(".")))
                if value in rule["map"]:
                    waiting[target] = (rule["looks"], rule["map"][value])
                print(rule["says"])
        sys.stdout.flush()
    """
)


def recording(name: str) -> dict[str, list[str]]:
    """A recorded walk (`pdu/…`, `switch/…`) as tables of an agent; skips where the recordings are not there."""
    path = CAPTURES / "snmprec" / f"{name}.snmprec"
    if not path.exists():
        pytest.skip("recorded walks are not part of this repository")
    table = {}
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        oid, _, rest = line.partition("|")
        kind, _, value = rest.partition("|")
        tag = kind.partition(":")[0].rstrip("x")
        if tag not in KINDS:
            continue
        if ":numeric" in kind:  # a value that the recorder's simulator lets vary; its first one was recorded
            value = next(word.removeprefix("initial=") for word in value.split(",") if word.startswith("initial="))
        if value.startswith("ifIndex."):  # a recorder that named the object of an OID instead of numbering it
            tag, value = "6", f".1.3.6.1.2.1.2.2.1.1.{value.removeprefix('ifIndex.')}"
        if tag == "4":
            value = value if kind.endswith("x") else value.encode().hex()
            value = " ".join(value[at : at + 2] for at in range(0, len(value), 2))
        table[oid] = [KINDS[tag], value]
    return table


@pytest.fixture(scope="session")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """The certificate that BMCs of tests show; a key takes a while to make, so one serves all."""
    return certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def recorded() -> Callable[[str], dict[str, list[str]]]:
    """Reads a recorded walk; see `recording`."""
    return recording


class Agents:
    """Starts agents of net-snmp on loopback ports, and stops them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running: dict[int, subprocess.Popen[str]] = {}

    def start(
        self,
        table: Mapping[str, list[str]] | None = None,
        *,
        roots: tuple[str, ...] = (),
        rules: tuple[Mapping[str, object], ...] = (),
        lines: tuple[str, ...] = (),
        port: int = 0,
        engine: str = "80001f8804aabbccdd",
        auth: str = "authentic-key",
    ) -> int:
        """The port of a new agent: community `public` (reads, writes), user `bench` with SHA-256 (`auth`) and AES."""
        tries = 5 if port == 0 else 60  # a port that was ours before may be another socket's for a while
        for _ in range(tries):
            try:
                return self._start(table, roots, rules, lines, port or _free_port(), engine, auth)
            except OSError as error:
                failed = error
                time.sleep(0.0 if port == 0 else 0.5)
        raise failed

    def _start(
        self,
        table: Mapping[str, list[str]] | None,
        roots: tuple[str, ...],
        rules: tuple[Mapping[str, object], ...],
        lines: tuple[str, ...],
        port: int,
        engine: str,
        auth: str,
    ) -> int:
        """As `start`; raises OSError where the port is somebody else's by now."""
        assert SNMPD is not None
        folder = Path(tempfile.mkdtemp(prefix=f"{port}-", dir=self._folder))
        configuration = [
            f"agentAddress udp:127.0.0.1:{port}",
            "dontLogTCPWrappersConnects yes",
            f"exactEngineID 0x{engine}",
            "rwcommunity public 127.0.0.1",
            "rocommunity readonly 127.0.0.1",
            f"createUser bench SHA-256 {auth} AES private-key",
            "rwuser bench priv",
            *lines,
        ]
        if table is not None:
            (folder / "table.json").write_text(json.dumps([table, rules]))
            (folder / "responder.py").write_text(_RESPONDER)
            program = f"{sys.executable} {folder / 'responder.py'} {folder / 'table.json'}"
            configuration += [f"pass_persist .{root} {program}" for root in roots]
        (folder / "snmpd.conf").write_text("\n".join(configuration) + "\n")
        modules = "system_mib,snmpEngine,vacm_conf,usmConf" + (",pass,pass_persist" if table is not None else "")
        if any(root in "1.3.6.1.2.1.1" for root in roots):
            modules = modules.removeprefix("system_mib,")
        process = subprocess.Popen(
            [SNMPD, "-f", "-Lo", "-C", "-c", str(folder / "snmpd.conf"), "-I", modules],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "MIBS": "", "SNMP_PERSISTENT_DIR": str(folder)},
        )
        assert process.stdout is not None
        said = []
        for line in process.stdout:
            said.append(line)
            if line.startswith("NET-SNMP version"):
                self._running[port] = process
                return port
        process.communicate()
        raise OSError(f"snmpd did not start: {''.join(said)}")

    def stop(self, port: int) -> None:
        """End one agent."""
        process = self._running.pop(port)
        process.terminate()
        process.communicate(timeout=60)

    def stop_all(self) -> None:
        """End them all."""
        for port in list(self._running):
            self.stop(port)


@pytest.fixture
def agents(tmp_path: Path) -> Iterator[Agents]:
    """Agents of net-snmp; skips where it is not installed."""
    if SNMPD is None:
        pytest.skip("net-snmp's snmpd is not installed")
    started = Agents(tmp_path)
    try:
        yield started
    finally:
        started.stop_all()


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Line:
    """A serial line by pty with Modbus units on it, each as registers by address, and faults by number of a request.

    Written from MODBUS over Serial Line V1.02. `plan` maps the number of a request (from 1) to what becomes of its
    answer: drop, late, crc, garbage, cut, prefixed, trailing, duplicate, other-unit, exception-N; else it answers. A
    late answer comes before the answer to the request after it, as a unit that works in order sends it.
    """

    def __init__(self) -> None:
        self.units: dict[int, dict[int, int]] = {}
        self.plan: dict[int, str] = {}
        self.asked: list[tuple[int, int, int]] = []
        self.written: list[tuple[int, int, list[int]]] = []
        self.identifications: dict[int, tuple[bytes, ...]] = {}
        self.speeds: dict[int, int] = {}
        """By unit, as termios numbers it: the speed at which it understands; any speed where it is not named."""
        self.stubborn = False
        """Confirms every write and does none."""
        self._master, self._slave = os.openpty()
        tty.setraw(self._master)
        tty.setraw(self._slave)
        self.path = os.ttyname(self._slave)
        self._stop, self._stopped = os.pipe()
        self._late = b""
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def address(self) -> str:
        """As in a bay file."""
        return f"modbus+rtu://{self.path}?baud=19200&parity=E"

    def close(self) -> None:
        """End the line."""
        os.write(self._stopped, b"x")
        self._thread.join()
        for end in (self._master, self._slave, self._stop, self._stopped):
            os.close(end)

    def _serve(self) -> None:
        heard = b""
        while True:
            ready, _, _ = select.select([self._master, self._stop], [], [])
            if self._stop in ready:
                return
            heard += os.read(self._master, 256)
            while len(heard) >= 2 and len(heard) >= (long := _length(heard)):
                frame, heard = heard[:long], heard[long:]
                self._answer(frame)

    def _identified(self, unit: int) -> bytes:
        """Function 43/14, basic identification (V1.1b3, 6.21); exception 1 where the unit has none."""
        texts = self.identifications.get(unit)
        if texts is None:
            return bytes([unit, 0xAB, 1])
        objects = b"".join(bytes([at, len(text)]) + text for at, text in enumerate(texts))
        return bytes([unit, 0x2B, 0x0E, 1, 1, 0, 0, len(texts)]) + objects

    def _written(self, frame: bytes) -> bytes:
        """Functions 6 and 16 (V1.1b3, 6.6 and 6.12); exception 2 where there is no such register."""
        unit, first = frame[0], int.from_bytes(frame[2:4], "big")
        octets = frame[4:6] if frame[1] == 6 else frame[7:-2]
        values = [int.from_bytes(octets[at : at + 2], "big") for at in range(0, len(octets), 2)]
        if any(first + at not in self.units[unit] for at in range(len(values))):
            return bytes([unit, frame[1] | 0x80, 2])
        self.written.append((unit, first, values))
        if not self.stubborn:
            self.units[unit] |= dict(enumerate(values, first))
        return frame[:6]

    def _answer(self, frame: bytes) -> None:
        unit, first, count = frame[0], int.from_bytes(frame[2:4], "big"), int.from_bytes(frame[4:6], "big")
        self.asked.append((unit, first, count))
        fate = self.plan.get(len(self.asked), self.plan.get(-unit, ""))
        registers = self.units.get(unit)
        speed = termios.tcgetattr(self._slave)[5]
        if registers is None or fate == "drop" or self.speeds.get(unit, speed) != speed:
            return
        words = [registers.get(first + at) for at in range(count)] if frame[1] == 3 else []
        if fate.startswith("exception-"):
            reply = bytes([unit, frame[1] | 0x80, int(fate.removeprefix("exception-"))])
        elif frame[1] == 0x2B:
            reply = self._identified(unit)
        elif frame[1] in (6, 16):
            reply = self._written(frame)
        elif None in words:
            reply = bytes([unit, 0x83, 2])
        else:
            reply = bytes([unit, 3, 2 * count]) + b"".join((word or 0).to_bytes(2, "big") for word in words)
        whole = reply + crc16(reply)
        if fate == "late":
            self._late = whole
            return
        whole = {
            "crc": whole[:-1] + bytes([whole[-1] ^ 1]),
            "garbage": b"\x55\xaa\x12\x00\x00\x07\x07",
            "cut": whole[:-3],
            "prefixed": b"\x55\xaa" + whole,
            "trailing": whole + b"\x00",
            "duplicate": whole + whole,
            "other-unit": bytes([unit + 1]) + reply[1:] + crc16(bytes([unit + 1]) + reply[1:]),
        }.get(fate, whole)
        os.write(self._master, self._late + whole)
        self._late = b""


def _length(heard: bytes) -> int:
    """How long a request is that begins so (V1.1b3: functions 3 and 6, 16, 43)."""
    if heard[1] == 16:
        return 9 + heard[6] if len(heard) > 6 else 9
    return 7 if heard[1] == 0x2B else 8


def crc16(octets: bytes) -> bytes:
    """The checksum of Modbus RTU, low octet first (V1.02, 6.2.2)."""
    value = 0xFFFF
    for octet in octets:
        value ^= octet
        for _ in range(8):
            value = value >> 1 ^ 0xA001 if value & 1 else value >> 1
    return value.to_bytes(2, "little")


@pytest.fixture
def line() -> Iterator[Line]:
    """A serial line with Modbus units."""
    made = Line()
    try:
        yield made
    finally:
        made.close()
