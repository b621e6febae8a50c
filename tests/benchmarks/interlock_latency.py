"""How long a leak goes unanswered: from its being readable at a device to the first stop command arriving at a host.

`python -m tests.benchmarks.interlock_latency [MODEL] [LEAKS]`. The simulated rack is a process of its own, at pace 1,
with a load on every host; the station samples every device as in a run, and leaks come at random instants in random
trays. Both processes share the machine's cores, so that times are upper bounds. Outlets stay on, so that one rack
serves for all leaks. Nothing is asserted.
"""

from __future__ import annotations

import asyncio
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from harness.loop import RackLoop
from harness.quantities import Sample
from harness.rack.definition import RackDefinition
from harness.rack.load import load_definition, model_path
from harness.registry import build_drivers
from harness.safety.guard import Guard, Run
from harness.secrets import resolve
from harness.telemetry.sampler import DeviceSampler, LeakSampler, Watch
from harness.telemetry.window import Window
from harness.workload import Load, Workload

LEAKS = 40
SETTLED = 3.0
"""Wall seconds between two leaks, at least."""


async def stand(model: Path, folder: Path) -> None:
    """The rack: `wet TRAY` and `dry` on standard input; every stop command, and every leak, with its instant."""
    from fixtures.rack import RackOptions, simulated_rack
    from fixtures.servers import ssh
    from harness.rack.load import load_model

    worlds: list[Any] = []
    run = ssh._run

    def say(what: str) -> None:
        sys.stdout.write(json.dumps([what, time.monotonic()]) + "\n")
        sys.stdout.flush()

    async def listened(process: Any, *rest: Any) -> None:
        if "stop_all" in str(process.command).rsplit("rackproof", maxsplit=1)[-1]:
            say("stop")
        await run(process, *rest)

    setattr(ssh, "_run", listened)  # noqa: B010 - its type is not our concern
    options = RackOptions(load_model(model), folder, folder / "bay.yaml")
    async with simulated_rack(options, started=worlds.append):
        (world,) = worlds
        say("standing")
        while line := (await asyncio.to_thread(sys.stdin.readline)).split():
            wet = frozenset(line[1:])
            world._changed(replace(world._controls.effects, wet=wet))
            if wet:
                say("wet")


class Station:
    """Samples the rack as a session does; each leak has a guard of its own, since what has tripped stays so."""

    def __init__(self, definition: RackDefinition, bay: Path) -> None:
        self.definition = definition
        self.clock = definition.bay.clock()
        self.drivers = build_drivers(definition, resolve(definition.bay, bay), self.clock)
        self.loop = RackLoop()
        self.guard = self.fresh()
        self.tasks: list[asyncio.Task[None]] = []

    def fresh(self) -> Guard:
        """A guard that has seen nothing."""
        nothing = Path()
        return Guard(
            Run(
                definition=self.definition, drivers=self.drivers, clock=self.clock, run_dir=nothing, window=Window(),
                loop=self.loop, opened=self.drivers, record=lambda _: None, blind=lambda _: None,
                halt=lambda _: None, stop=lambda *_: None,
            )
        )  # fmt: skip

    def seen(self, device: str, samples: Sequence[Sample]) -> None:
        self.guard.interlocks.check(device, samples)

    async def start(self) -> None:
        await asyncio.gather(*(driver.open() for driver in self.drivers.values()))
        watch, sampling = Watch(self.seen, lambda *_: None, lambda *_: None), self.definition.model.sampling
        sweeps = [
            DeviceSampler(e.name, self.drivers[e.name], sampling.periods[e.role], self.clock, watch, opened=True)
            for e in self.definition.devices
            if e.role in sampling.periods
        ]
        lanes = [LeakSampler(each, sampling.leaks, self.seen) for each in sweeps]
        works = [each.run() for each in sweeps] + [lane.run() for lane in lanes if lane.needed]
        self.tasks = [asyncio.create_task(work) for work in works]

    async def load(self) -> None:
        """A load on every host, and nothing tripped."""
        hosts = [driver for driver in self.drivers.values() if isinstance(driver, Workload)]
        await asyncio.gather(*(h.start(Load("burn-in", "accelerator", "gpu-burn", 600.0, 900.0)) for h in hosts))
        self.guard = self.fresh()

    async def end(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self.guard.finish()
        await asyncio.gather(*(driver.close() for driver in self.drivers.values()))


async def measure(model: Path, folder: Path, leaks: int) -> list[float]:
    """Seconds from each leak to the first stop command after it."""
    rack = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.benchmarks.interlock_latency", "--stand", str(model), str(folder),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    said_by = rack.stdout
    assert rack.stdin is not None
    assert said_by is not None

    async def until(what: str) -> float:
        while True:
            said, at = json.loads(await asyncio.wait_for(said_by.readline(), 120))
            if said == what:
                return float(at)

    await until("standing")
    bay = folder / "bay.yaml"
    station = Station(load_definition(model, bay, "BENCH"), bay)
    chance, found = random.Random(6), []
    trays = [entry.name for entry in station.definition.role("compute_tray")]
    try:
        await asyncio.wrap_future(station.loop.submit(station.start()))
        for _ in range(leaks):
            rack.stdin.write(b"dry\n")
            await asyncio.sleep(SETTLED)
            await asyncio.wrap_future(station.loop.submit(station.load()))
            await asyncio.sleep(chance.uniform(0.5, 2.0))
            rack.stdin.write(f"wet {chance.choice(trays)}\n".encode())
            wet = await until("wet")
            found.append(await until("stop") - wet)
    finally:
        await asyncio.wrap_future(station.loop.submit(station.end()))
        station.loop.close()
        rack.stdin.close()
        await rack.wait()
    return found


def main(name: str, leaks: int) -> None:
    """Measure and say."""
    with tempfile.TemporaryDirectory() as folder:
        whole = yaml.safe_load(model_path(name).read_text("utf-8"))
        for interlock in whole["interlocks"].values():
            interlock["cut_power"] = "never"
        model = Path(folder) / "model.yaml"
        model.write_text(yaml.safe_dump(whole, sort_keys=False), "utf-8")
        found = sorted(asyncio.run(measure(model, Path(folder), leaks)))
    high = found[min(len(found) - 1, int(0.99 * len(found)))]
    sys.stdout.write(
        f"{name}: {len(found)} leaks, to the first stop command at a host: p50 {statistics.median(found):.3f} s, "
        f"p99 {high:.3f} s ({found[0]:.3f} … {found[-1]:.3f} s)\n"
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--stand"]:
        asyncio.run(stand(Path(sys.argv[2]), Path(sys.argv[3])))
    else:
        main(sys.argv[1] if len(sys.argv) > 1 else "bench4", int(sys.argv[2]) if len(sys.argv) > 2 else LEAKS)
