"""A switch and a tray that nobody here wrote: net-snmp and lldpd, each in a network namespace of its own, and cables.

Three namespaces: the station, which reads; the switch, with `swp1` and `swp2`, snmpd and lldpd as its AgentX subagent;
the tray, with `nic-0` and `nic-1` and an lldpd of its own. The cables are veth pairs. The machine's own network sees
nothing of this, and the namespaces take their interfaces with them when they go.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

PATH = "/usr/sbin:/sbin:/usr/local/sbin:" + os.environ.get("PATH", "")
TOOLS = {"ip": "iproute2", "snmpd": "snmpd", "snmpget": "snmp", "lldpd": "lldpd", "lldpcli": "lldpd"}
"""What is needed, and the Debian package that it is in."""
SWITCH, STATION = "192.0.2.1", "192.0.2.2"
"""Addresses of the management cable (RFC 5737)."""
CABLES = {"swp1": "nic-0", "swp2": "nic-1"}
CHROOT = Path("/run/lldpd")
"""Where lldpd gives its rights away; its Debian service makes it at boot."""
STARTING = 60.0
"""Wall seconds in which the daemons must answer."""


def missing() -> str:
    """Why this machine cannot have such a rack; empty where it can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    absent = sorted({package for tool, package in TOOLS.items() if shutil.which(tool, path=PATH) is None})
    if absent:
        return f"not installed: {', '.join(absent)}"
    probe = f"rackproof-{os.getpid()}-probe"
    made = _try("ip", "netns", "add", probe)
    if made.returncode == 0:
        veth = _try("ip", "-n", probe, "link", "add", "end-0", "type", "veth", "peer", "name", "end-1")
        _try("ip", "netns", "del", probe)
        return "" if veth.returncode == 0 else f"no veth pairs here: {veth.stderr.strip()}"
    return f"no network namespaces here: {made.stderr.strip()}"


class Rack:
    """The two devices and their cables."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        mark = f"rackproof-{os.getpid()}"
        self.station, self.switch, self.tray = (f"{mark}-{name}" for name in ("station", "switch", "tray"))
        self._daemons: list[subprocess.Popen[bytes]] = []

    def build(self) -> None:
        """Bring it up; returns once the switch sees both neighbours."""
        for name in (self.station, self.switch, self.tray):
            _run("ip", "netns", "add", name)
            self.ip(name, "link", "set", "lo", "up")
        self._lay(self.switch, "eth0", self.station, "eth0")
        for name, address in ((self.switch, SWITCH), (self.station, STATION)):
            self.ip(name, "address", "add", f"{address}/30", "dev", "eth0")
        for port, interface in CABLES.items():
            self._lay(self.switch, port, self.tray, interface)
        self._start_agent()
        self._start_lldp(self.switch, "switch-1", "swp*", "-x", "-X", str(self.folder / "agentx"))
        self._start_lldp(self.tray, "tray-01", "nic-*")
        until = time.monotonic() + STARTING
        while self.seen() != set(CABLES.values()):
            assert time.monotonic() < until, f"the switch sees {self.seen() or 'nobody'}"
            time.sleep(0.1)

    def ip(self, namespace: str, *words: str) -> None:
        """`ip` in one namespace."""
        _run("ip", "-n", namespace, *words)

    def at_station(self, *command: str) -> tuple[str, ...]:
        """The command line that runs a command at the station."""
        return ("ip", "netns", "exec", self.station, *command)

    def seen(self) -> set[str]:
        """The interfaces that the switch has heard of, asked of its lldpd and not by SNMP."""
        shown = _try("lldpcli", "-u", str(self.folder / "switch-1.ctl"), "-f", "keyvalue", "show", "neighbors")
        pairs = (line.partition("=") for line in shown.stdout.splitlines())
        return {value for name, _, value in pairs if name.endswith(".port.descr")}

    def pull(self, interface: str) -> None:
        """Pull a cable out of the tray."""
        self.ip(self.tray, "link", "set", interface, "down")

    def plug(self, interface: str) -> None:
        """Plug it in again."""
        self.ip(self.tray, "link", "set", interface, "up")

    def exchange(self, one: str, other: str) -> None:
        """Exchange two cables at the tray: each end takes the other one's place."""
        for name in (one, other):
            self.pull(name)
        for old, new in ((one, "between"), (other, one), ("between", other)):
            self.ip(self.tray, "link", "set", old, "name", new)
        for name in (one, other):
            self.plug(name)

    def close(self) -> None:
        """End the daemons and take the namespaces away, however far it came."""
        for daemon in reversed(self._daemons):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(daemon.pid, signal.SIGTERM)
            try:
                daemon.wait(timeout=5)
            except subprocess.TimeoutExpired:
                os.killpg(daemon.pid, signal.SIGKILL)
                daemon.wait()
        for name in (self.station, self.switch, self.tray):
            _try("ip", "netns", "del", name)

    def _lay(self, here: str, port: str, there: str, far: str) -> None:
        self.ip(here, "link", "add", port, "type", "veth", "peer", "name", far, "netns", there)
        self.ip(here, "link", "set", port, "up")
        self.ip(there, "link", "set", far, "up")

    def _start_agent(self) -> None:
        configuration = self.folder / "snmpd.conf"
        configuration.write_text(
            f"master agentx\nagentXSocket {self.folder / 'agentx'}\nagentXPerms 0777 0777\n"
            f"agentAddress udp:{SWITCH}:161\nrocommunity public\n",
            "utf-8",
        )
        self._start(self.switch, "snmpd", "-f", "-Lf", str(self.folder / "snmpd.log"), "-C", "-c", str(configuration))
        asked = ("snmpget", "-v2c", "-c", "public", "-r0", "-t1", "-On", SWITCH, "1.3.6.1.2.1.1.3.0")
        until = time.monotonic() + STARTING
        while _try(*self.at_station(*asked)).returncode:
            assert time.monotonic() < until, "snmpd does not answer"

    def _start_lldp(self, namespace: str, system: str, interfaces: str, *options: str) -> None:
        control = self.folder / f"{system}.ctl"
        self._start(namespace, "lldpd", "-d", "-O", os.devnull, "-u", str(control), "-I", interfaces, *options)
        until = time.monotonic() + STARTING
        # Frames every second, not every 30, and each good for a minute: a daemon that stalls for seconds is not gone,
        # and a cable that is pulled is noticed by its carrier.
        orders = (("system", "hostname", system), ("lldp", "tx-interval", "1"), ("lldp", "tx-hold", "60"))
        while any(_try("lldpcli", "-u", str(control), "configure", *order).returncode for order in orders):
            assert time.monotonic() < until, f"lldpd of {system} does not answer"
            time.sleep(0.1)

    def _start(self, namespace: str, *command: str) -> None:
        environment = {**os.environ, "PATH": PATH, "MIBS": "", "SNMP_PERSISTENT_DIR": str(self.folder / "persistent")}
        log = (self.folder / f"{command[0]}.out").open("ab")
        with log:
            self._daemons.append(
                subprocess.Popen(
                    ["ip", "netns", "exec", namespace, *command],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env=environment,
                    start_new_session=True,
                )
            )


@contextlib.contextmanager
def cabled_rack(folder: Path) -> Iterator[Rack]:
    """A rack that is up, and gone without a trace afterwards. `folder` must be open to lldpd's own user."""
    made_chroot = not CHROOT.exists()
    CHROOT.mkdir(parents=True, exist_ok=True)
    rack = Rack(folder)
    try:
        rack.build()
        yield rack
    finally:
        rack.close()
        if made_chroot:
            shutil.rmtree(CHROOT, ignore_errors=True)


def _try(*command: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PATH": PATH, "MIBS": ""}
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=30, env=environment)


def _run(*command: str) -> None:
    done = _try(*command)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr.strip()}"
