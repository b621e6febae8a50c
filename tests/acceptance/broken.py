"""Runs that break: a small rack, a small plan that makes every kind of evidence in seconds, and how to kill a station.

The rack stands in a process of its own, so that it outlives the station, as a real one does.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from harness.journal import events as e
from harness.journal.reader import Journal, read_journal
from harness.verdict import RunSummary, fold
from tests.acceptance.runs import RACKPROOF, ROOT

PATIENCE = 240
"""Wall seconds to wait for something that must happen; far more than it takes."""
PACE = 20
LEASE = 20
"""Wall seconds: loads notice that nobody renews their lease, and no station loses them that stalls for seconds."""
LIMITS = (
    "identity.model", "event_log.new.critical", "power.outlet.on", "power.outlet.feeds", "burn_in.exit_code",
    "burn_in.work", "accelerator.temperature.max", "thermal.flow", "handover.loads.running",
)  # fmt: skip
NOISY = ("accelerator.temperature.max", "thermal.flow", "burn_in.work")
"""What is measured with noise, or depends on how long it was looked at: such values agree within `NOISE`."""
NOISE = 0.2

PLAN = '''"""A small plan."""

from __future__ import annotations

from datetime import datetime

import pytest

from harness.capabilities import EventLog, FirmwareInventory, Identity, Inventory, PowerOutlets
from harness.workload import Workload
from harness.loads import hold, load_of
from harness.plan import Device, Devices, Measure, Rack
from harness.telemetry.statistics import maximum, mean, usable


@pytest.mark.stage("intake")
@pytest.mark.measures("identity.model", per="compute_tray")
@pytest.mark.measures("identity.model", per="pdu")
async def test_who(rack: Rack, compute_trays: Devices, pdus: Devices, measure: Measure) -> None:
    """Every device is of its make."""
    for devices in (compute_trays, pdus):
        for device, found in await devices.each(lambda each: each.ask(Identity).identify()):
            measure("identity.model", found.model, device.slot, expected=device.entry.assembly.model)
    for tray in compute_trays:
        firmware, parts = await tray.ask(FirmwareInventory).firmware(), await tray.ask(Inventory).parts()
        rack.inventoried(tray, await tray.ask(Identity).identify(), firmware, parts)


@pytest.mark.stage("intake")
@pytest.mark.measures("event_log.new.critical", per="compute_tray")
async def test_logs_before(rack: Rack, compute_trays: Devices, measure: Measure) -> None:
    """The logs are kept to compare with."""
    kept = {}
    for tray in compute_trays:
        kept[tray.name] = [entry.ident for entry in await tray.ask(EventLog).entries()]
        rack.attach(f"{tray.name}-log.txt", " ".join(kept[tray.name]), "log")
        measure("event_log.new.critical", 0, tray.slot)
    rack.keep("logs", kept, lasts=True)


@pytest.mark.stage("power")
@pytest.mark.measures("power.outlet.feeds", per="feed")
async def test_cords(rack: Rack, pdus: Devices, measure: Measure) -> None:
    """The first outlets can be switched off and on again."""
    for number, feed in enumerate(rack.definition.feeds):
        if number < 2:
            async with rack.without([feed.outlet]):
                await rack.wait("outlet-settle", f"{feed.outlet} off")
        measure("power.outlet.feeds", feed.feeds, feed.outlet, expected=feed.feeds)


@pytest.mark.stage("power")
@pytest.mark.measures("power.outlet.on", per="feed")
async def test_outlets(rack: Rack, pdus: Devices, measure: Measure) -> None:
    """Every outlet is on."""
    for pdu in pdus:
        for outlet in await pdu.ask(PowerOutlets).outlets():
            place = f"{pdu.slot}/{outlet.name}"
            if place in [feed.outlet for feed in rack.definition.feeds]:
                measure("power.outlet.on", outlet.on, place)


@pytest.mark.stage("burn_in")
@pytest.mark.measures("burn_in.exit_code", per="host")
async def test_burn(rack: Rack, hosts: Devices, measure: Measure) -> None:
    """The load runs to its end."""
    held = await hold(rack, hosts, "burn-in", text="all hosts under load")
    for host in hosts:
        job = held.jobs[host.slot]
        measure("burn_in.exit_code", getattr(job, "exit_code", None), host.slot)


@pytest.mark.stage("thermal")
@pytest.mark.measures("burn_in.work", per="host")
async def test_warm(rack: Rack, hosts: Devices, measure: Measure) -> None:
    """A load is left running for the next step."""
    spec = rack.definition.load("thermal")
    for host, job in await hosts.each(lambda each: each.ask(Workload).start(load_of(each, "thermal", spec))):
        measure("burn_in.work", 1, host.slot)
    since = rack.now()
    await rack.wait("ramp", "warming up")
    rack.keep("window", since)


@pytest.mark.stage("thermal")
@pytest.mark.measures("thermal.flow", per="cdu")
@pytest.mark.measures("accelerator.temperature.max", per="accelerator")
async def test_heat(rack: Rack, cdus: Devices, compute_trays: Devices, measure: Measure) -> None:
    """What was seen in the window."""
    since = rack.kept("window", datetime)
    for cdu in cdus:
        measure("thermal.flow", mean(usable(rack.window.history(cdu.name, "coolant.flow", "", since))), cdu.slot)
    for tray in compute_trays:
        for part in tray.bom("accelerator"):
            seen = usable(rack.window.history(tray.name, "accelerator.temperature", part, since))
            measure("accelerator.temperature.max", maximum(seen), tray.subject(part))


@pytest.mark.stage("hand_over")
@pytest.mark.measures("handover.loads.running", per="host")
async def test_off(rack: Rack, hosts: Devices, compute_trays: Devices, measure: Measure) -> None:
    """Nothing runs any more, and the logs are those of before."""
    for host, jobs in await hosts.each(lambda each: each.ask(Workload).stop_all()):
        measure("handover.loads.running", sum(job.state == "running" for job in jobs), host.slot)
    before = rack.kept("logs", dict)
    for tray in compute_trays:
        assert [entry.ident for entry in await tray.ask(EventLog).entries()] == before[tray.name]
'''


def write_small(folder: Path) -> tuple[Path, Path]:
    """The small model and the small plan, as files."""
    model = yaml.safe_load((ROOT / "test_plans" / "models" / "bench4.yaml").read_text("utf-8"))
    gone = {"tray-02", "tray-03", "tray-04"}
    model["slots"] = {name: slot for name, slot in model["slots"].items() if name not in gone}
    model["cable_map"] = [cable for cable in model["cable_map"] if cable["a"].partition("/")[0] not in gone]
    model["limits"] = {key: model["limits"][key] for key in LIMITS}
    model["limits"]["thermal.flow"] |= {"min": 1, "guard": 0}
    model["loads"] = {name: model["loads"][name] for name in ("burn-in", "thermal")}
    model["loads"]["burn-in"] |= {"seconds": 30}
    model["durations"] |= {"outlet-settle": 4, "ramp": 20}
    model["sampling"] = {
        "periods": {"compute_tray": 5, "host": 60, "switch": 60, "pdu": 10, "power_shelf": 20, "cdu": 2},
        "segment": 1.5,
    }
    model["interlocks"] = {name: model["interlocks"][name] for name in ("over-temperature",)}
    file, plan = folder / "small.yaml", folder / "small_plan"
    file.write_text(yaml.safe_dump(model | {"name": "small"}, sort_keys=False), "utf-8")
    plan.mkdir()
    (plan / "test_small.py").write_text(PLAN, "utf-8")
    return file, plan


@dataclass(frozen=True)
class Standing:
    """A simulated rack that stands, and what to run on it."""

    model: Path
    plan: Path
    bay: Path

    @property
    def folder(self) -> Path:
        """Where it stands."""
        return self.bay.parent

    def begin(self, runs: Path, *more: str, command: Sequence[str] = RACKPROOF) -> subprocess.Popen[str]:
        """Start a run."""
        rack = ("--model", str(self.model), "--bay", str(self.bay), "--serial", "RK-6", "--plan", str(self.plan))
        return start("run", *rack, "--runs", str(runs), "--json", *more, command=command)


@contextlib.contextmanager
def standing_rack(folder: Path, *arguments: str) -> Iterator[Standing]:
    """Keep the small rack standing while inside."""
    model, plan = write_small(folder)
    bay = folder / "bay.yaml"
    # Below this folder, so that what runs on its hosts can be told from what others run.
    own = {"TMPDIR": str(folder), "XDG_STATE_HOME": str(folder / "state")}
    process = start("simulate", str(model), "--pace", str(PACE), "--bay-out", str(bay), *arguments, variables=own)
    try:
        wait_for(bay.exists, process)
        text = bay.read_text("utf-8")
        bay.write_text(text.replace("      data.nic-0:", f"      lease: {LEASE}\n      data.nic-0:"), "utf-8")
        yield Standing(model, plan, bay)
        os.killpg(process.pid, signal.SIGINT)
        process.communicate(timeout=PATIENCE)
    finally:
        kill(process)


def start(
    *arguments: str, variables: Mapping[str, str] | None = None, command: Sequence[str] = RACKPROOF
) -> subprocess.Popen[str]:
    """Start the command in a process group of its own, as a terminal does."""
    return subprocess.Popen(
        [*command, *arguments],
        cwd=ROOT,
        env={**os.environ, **(variables or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )


def kill(process: subprocess.Popen[str]) -> None:
    """End a process and its group at once, as a power cut does, and wait for it."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=PATIENCE)


def wait_for(happened: Callable[[], bool], process: subprocess.Popen[str] | None = None) -> None:
    """Wait until something has happened; fails when the process ends first."""
    until = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < until, "it never happened"
        ended = process is not None and process.poll() is not None
        if ended and process is not None and not happened():
            raise AssertionError(f"the run ended before it happened: {process.communicate()[1][-2000:]}")
        time.sleep(0.02)


def journal_of(runs: Path) -> Path | None:
    """The journal of the only run in a folder, once there is one."""
    return next(iter(runs.glob("*/journal.jsonl")), None)


def said_in(runs: Path, text: str) -> bool:
    """Whether the journal of the only run in a folder says this already."""
    journal = journal_of(runs)
    return journal is not None and text in journal.read_text("utf-8", "replace")


def resume(run_dir: Path, *more: str) -> tuple[int, dict[str, Any], str]:
    """Resume a run to its end: exit code, what it said as JSON (empty where it refused), what it said to people."""
    process = start("resume", str(run_dir), "--json", *more)
    try:
        out, said = process.communicate(timeout=PATIENCE)
    finally:
        kill(process)
    lines = out.strip().splitlines()
    assert "Traceback" not in said, said
    return process.returncode, json.loads(lines[-1]) if lines else {}, said


def read(run_dir: Path) -> tuple[Journal, RunSummary]:
    """A journal and its fold; raises where it is not sound."""
    journal = read_journal(run_dir / "journal.jsonl")
    return journal, fold(journal.entries)


def events(run_dir: Path) -> list[e.Event]:
    """All events of a run."""
    return [entry.event for entry in read(run_dir)[0].entries]


def judged(summary: RunSummary) -> dict[tuple[str, str, str], tuple[str, object]]:
    """What a run comes to: judgement and value by step, key and subject; noisy values only by their judgement."""
    return {
        (step.planned.step, m.key, m.subject): (m.judgement, None if m.key in NOISY else m.value)
        for step in summary.steps
        for m in step.measurements
    }


def burning(folder: Path) -> list[str]:
    """The command lines of every load tool that runs on the hosts of the rack that stands in this folder."""
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    return [line for line in listed.splitlines() if "gpu_burn" in line and f"{folder}/" in line]


def safe(run_dir: Path) -> bool:
    """Whether the watchdog says that it has made the rack safe, and everything was confirmed."""
    path = run_dir / "watchdog.jsonl"
    lines = path.read_text("utf-8").splitlines() if path.is_file() else []
    last = json.loads(lines[-1]) if lines else {}
    return (last.get("device"), last.get("action"), last.get("confirmed")) == ("rack", "make safe", True)
