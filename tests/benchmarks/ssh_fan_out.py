"""Eighteen hosts at once: log in and run one command, ours beside OpenSSH's own client, in the same run.

`python -m tests.benchmarks.ssh_fan_out [HOSTS]`. Every host is an sshd of its own on a loopback port. Wall and
processor seconds are medians of five rounds, ours and the peer's in turn; the servers share the machine with the
clients, so that wall times are upper bounds, and ratios are what to compare. Nothing is asserted.
"""

from __future__ import annotations

import asyncio
import io
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, ExitStack, redirect_stdout
from pathlib import Path

from drivers.host.node import Host
from drivers.transports.ssh import SshTarget, SshWire
from tests.drivers.openssh import PLACES, RealHost, real_host

HOSTS = 18
ROUNDS = 5
COMMAND = "uname -r"
Work = Callable[[], Awaitable[object]]


async def timed(work: Work) -> tuple[float, float]:
    """Wall and processor seconds of this process and of those it has waited for."""
    began, used = time.perf_counter(), processor()
    await work()
    return time.perf_counter() - began, processor() - used


def processor() -> float:
    """Processor seconds so far."""
    kinds = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(each.ru_utime + each.ru_stime for each in kinds)


async def by_wire(hosts: Sequence[RealHost], found: dict[str, list[tuple[float, float]]]) -> None:
    """Our wire: connect and one command; then one command more on the open connection."""
    async with AsyncExitStack() as stack:
        wires = [SshWire(SshTarget.of(host.connection())) for host in hosts]
        for wire in wires:
            stack.push_async_callback(wire.close)

        async def ask(wire: SshWire) -> None:
            assert (await wire.run(COMMAND)).out.strip() == os.uname().release

        async def first(wire: SshWire) -> None:
            await wire.open()
            await ask(wire)

        found["ours: log in and ask"].append(await timed(lambda: asyncio.gather(*map(first, wires))))
        found["ours: ask again"].append(await timed(lambda: asyncio.gather(*map(ask, wires))))


async def by_driver(hosts: Sequence[RealHost], found: dict[str, list[tuple[float, float]]]) -> None:
    """The whole driver: connect, look for accelerators, and say who it is."""
    async with AsyncExitStack() as stack:
        drivers = [host.driver() for host in hosts]
        for driver in drivers:
            stack.push_async_callback(driver.close)

        async def first(driver: Host) -> None:
            await driver.open()
            assert await driver.identify()

        work = await timed(lambda: asyncio.gather(*map(first, drivers)))
        found["ours: open a host and identify it"].append(work)


def client(host: RealHost, command: str) -> list[str]:
    """The same login by OpenSSH's client."""
    known = host.folder / "known_hosts"
    known.write_text(f"[127.0.0.1]:{host.port} {host.host_key}\n")
    options = ("BatchMode=yes", "StrictHostKeyChecking=yes", f"UserKnownHostsFile={known}")
    words = [word for option in options for word in ("-o", option)]
    return [
        "ssh",
        "-F",
        "none",
        *words,
        "-i",
        str(host.folder / "login_key"),
        "-p",
        str(host.port),
        "127.0.0.1",
        command,
    ]


async def by_client(hosts: Sequence[RealHost], found: dict[str, list[tuple[float, float]]]) -> None:
    """OpenSSH's client, one process a host."""

    async def first(host: RealHost) -> None:
        process = await asyncio.create_subprocess_exec(
            *client(host, COMMAND), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
        )
        out, _ = await process.communicate()
        assert (process.returncode, out.decode().strip()) == (0, os.uname().release)

    found["OpenSSH: log in and ask"].append(await timed(lambda: asyncio.gather(*map(first, hosts))))


async def measure(hosts: Sequence[RealHost]) -> dict[str, list[tuple[float, float]]]:
    """All rounds."""
    names = ("ours: log in and ask", "OpenSSH: log in and ask", "ours: ask again", "ours: open a host and identify it")
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    for _ in range(ROUNDS):
        for work in (by_wire, by_client, by_driver):
            await work(hosts, found)
    return found


def main(count: int) -> None:
    """Measure and say."""
    if not all(shutil.which(tool, path=PLACES) for tool in ("ssh", "sshd")):
        sys.exit("OpenSSH is not installed (openssh-client, openssh-server)")
    # The servers' farewells are of no interest.
    with tempfile.TemporaryDirectory() as folder, redirect_stdout(io.StringIO()), ExitStack() as stack:
        hosts = []
        for number in range(count):
            home = Path(folder) / str(number)
            home.mkdir()
            hosts.append(stack.enter_context(real_host(home)))
        found = asyncio.run(measure(hosts))
    medians = {name: [statistics.median(each) for each in zip(*times, strict=True)] for name, times in found.items()}
    say = sys.stdout.write
    say(f"{count} hosts, {os.cpu_count()} cores, medians of {ROUNDS} rounds (best … worst)\n")
    for name, (wall, used) in medians.items():
        walls = sorted(each for each, _ in found[name])
        say(f"  {name:<36} wall {wall:6.3f} s ({walls[0]:.3f} … {walls[-1]:.3f})   processor {used:6.3f} s\n")
    ours, peer = medians["ours: log in and ask"], medians["OpenSSH: log in and ask"]
    say(f"ours / OpenSSH: wall {ours[0] / peer[0]:.2f}, processor {ours[1] / peer[1]:.2f}\n")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else HOSTS)
