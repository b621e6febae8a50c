"""A station that may be killed: `python -m tests.acceptance.station HOSTS RUN FOLDER LEASE` brings loads to their end.

It starts two loads on every host or finds them there, renews their leases, and copies what they print into FOLDER from
where the copy ends, until all have ended; then it writes their states. It keeps nothing else, and can be started again.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from drivers.host import connect
from drivers.host.node import Host
from harness.connection import Connection, Secret
from harness.workload import Job, JobState, Load
from tests.acceptance.hosts import PASSWORD, USER

LOADS = {"burn": 60.0, "endless": 3.0}
"""The limit of each, rack seconds."""


def loads(run: str) -> list[Load]:
    """What is to be done on every host. A name holds the run, so that no other's result is ever taken for it."""
    return [Load(f"{run}-{name}", "accelerator", "gpu-burn", 2.0, limit) for name, limit in LOADS.items()]


def driver(number: int, host: dict[str, Any], lease: float) -> Host:
    """Our driver for one of the hosts; the lease of its loads in wall seconds."""
    return connect(
        Connection(
            f"tray-0{number}-host",
            f"ssh://127.0.0.1:{host['port']}",
            user=USER,
            secrets={"password": Secret("host", PASSWORD)},
            options={"host_key": host["host_key"], "lease": lease},
            now=lambda: datetime.now(UTC),
        )
    )


async def copy(host: Host, name: str, file: Path) -> None:
    """Append to a file what is new in a load's output."""
    with file.open("ab", buffering=0) as sink:
        while (output := await host.output(name, sink.tell())).octets:
            sink.write(output.octets)


async def work(number: int, where: dict[str, Any], run: str, folder: Path, lease: float) -> dict[str, dict[str, Any]]:
    """Bring the loads of one host to their end."""
    host = driver(number, where, lease)
    ended: dict[str, dict[str, Any]] = {}
    await host.open()
    renewing = asyncio.create_task(renew(host))
    try:
        for load in loads(run):
            await host.start_once(load)
        while len(ended) < len(LOADS):
            for load in loads(run):
                job = await host.job(load.name)
                await copy(host, load.name, folder / f"{number}-{load.name}.txt")
                if job.state is not JobState.RUNNING:
                    ended[load.name] = told(job)
            await asyncio.sleep(0.1)
    finally:
        renewing.cancel()
        await host.close()
    return ended


async def renew(host: Host) -> None:
    """As a session does."""
    while True:
        await host.renew()
        await asyncio.sleep(host.lease / 3)


def told(job: Job) -> dict[str, Any]:
    """What is kept of a load that has ended."""
    return {
        "state": job.state.value,
        "exit_code": job.exit_code,
        "work": [each.work for each in job.outcomes],
        "restarted": job.restarted,
    }


async def bring_to_the_end(hosts: list[dict[str, Any]], run: str, folder: Path, lease: float) -> None:
    """All hosts side by side; the result is written whole or not at all."""
    done = await asyncio.gather(*(work(number, host, run, folder, lease) for number, host in enumerate(hosts, 1)))
    part = folder / "result.part"
    part.write_text(json.dumps(done))
    os.replace(part, folder / "result.json")


if __name__ == "__main__":
    asyncio.run(bring_to_the_end(json.loads(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), float(sys.argv[4])))
