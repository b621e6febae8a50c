"""The rack of a soak: its model, and a device that misbehaves on the wire every minute of rack time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
MINUTE = 60.0
SHOWN = 40.0
"""Rack seconds for which a fault is there; then its device is well again."""
PLAN = '''"""The rack stands under load for days, and the station watches."""

from __future__ import annotations

import pytest

from harness.workload import Job, Workload
from harness.loads import load_of
from harness.plan import Device, Devices, Measure, Rack

pytestmark = pytest.mark.stage("soak")


@pytest.mark.measures("burn_in.exit_code", per="host")
async def test_the_rack_stands(rack: Rack, hosts: Devices, measure: Measure) -> None:
    """All accelerators are at full load for as long as the model says, whatever becomes of the watch over them."""

    async def start(host: Device) -> Job:
        return await host.ask(Workload).start(load_of(host, "burn-in", rack.definition.load("burn-in")))

    async def end(host: Device) -> Job:
        return await host.ask(Workload).job("burn-in")

    await hosts.each(start)
    await rack.wait("soak", "the rack stands under load")
    for host, job in await hosts.each(end):
        measure("burn_in.exit_code", job.exit_code, host.slot)
'''
LIMITS = ("burn_in.exit_code",)
FAULTS = (
    "tray-01.bmc.slow=3",
    "pdu-a.datagrams.lost=0.6",
    "tray-02.bmc.busy=1",
    "cdu-1.controller.busy",
    "tray-03.bmc.garbled=1",
    "shelf-1.line.garbled=1",
    "tray-04.bmc.silent",
    "switch-1.datagrams.lost=0.6",
    "tray-01.readings.null",
    "cdu-1.controller.silent",
    "tray-02.readings.stale",
    "pdu-b.datagrams.lost=0.6",
    "tray-03.clock.skew=90",
    "shelf-1.replies.late=3",
    "tray-04.bmc.slow=3",
    "pdu-a.meter.silent",
    "tray-01.bmc.garbled=1",
    "tray-02.host.silent",
    "tray-03.bmc.silent",
    "switch-1.datagrams.lost=1",
    "tray-04.bmc.busy=1",
    "tray-03.readings.null",
)
"""From the catalogue of the simulated rack: what a device does on the wire, with sizes that retries do not always bear.

Not among them is what ends a device's telemetry for good, by design: an account that is locked is not asked again.
"""


def schedule() -> list[str]:
    """Every fault with its course: one begins every minute, and all come again in turn while the rack stands."""
    turn = MINUTE * len(FAULTS)
    share = 100.0 * SHOWN / turn
    return [f"{fault}@+{MINUTE * number:g}%{share:.4g}/{turn:g}" for number, fault in enumerate(FAULTS, start=1)]


def write_plan(folder: Path) -> Path:
    """The plan of a soak: one step."""
    made = folder / "plan"
    made.mkdir()
    (made / "test_10_soak.py").write_text(PLAN, "utf-8")
    return made


def write_model(folder: Path, hours: float) -> Path:
    """bench4, held for so many rack hours, where a device that is silent for a while is told and stops nothing."""
    model: dict[str, Any] = yaml.safe_load((ROOT / "test_plans" / "models" / "bench4.yaml").read_text("utf-8"))
    model["name"], model["title"] = "soak4", "bench4 for a soak"
    model["limits"] = {key: model["limits"][key] for key in LIMITS}
    seconds = hours * 3600.0
    model["durations"]["soak"] = seconds + 60.0
    model["loads"] = {"burn-in": model["loads"]["burn-in"] | {"seconds": seconds, "limit": seconds + 900.0}}
    for interlock in model["interlocks"].values():
        interlock |= {"when_silent": "record"}
    # A fault of a reading is not one of the rack: what is too much here is what stops a run there.
    model["interlocks"] = {
        name: each for name, each in model["interlocks"].items() if each["role"] in ("compute_tray", "host", "station")
    }
    file = folder / "soak4.yaml"
    file.write_text(yaml.safe_dump(model, sort_keys=False), "utf-8")
    return file
