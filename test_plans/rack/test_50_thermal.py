"""Thermal: at full load and at rest, does the coolant carry away what the rack takes in, evenly over all plates?"""

from __future__ import annotations

import math
from datetime import datetime

import pytest

from harness.capabilities import CoolantLoop, Pump
from harness.errors import Misbehaved
from harness.loads import load_of
from harness.plan import Device, Devices, Measure, Rack
from harness.telemetry.statistics import mean, robust_z, slope, usable
from harness.workload import Job, Workload

pytestmark = pytest.mark.stage("thermal")

LOAD = "thermal"
WINDOW = "thermal window"
SUPPLY = "coolant.supply.temperature"
RETURN = "coolant.return.temperature"
FLOW = "coolant.flow"


def window_mean(rack: Rack, device: Device, quantity: str, part: str = "") -> float:
    """The mean of a quantity over the steady window; NaN where fewer than three good samples of it were taken."""
    return mean(usable(rack.window.history(device.name, quantity, part, rack.kept(WINDOW, datetime))), least=3)


def steepest(rack: Rack, cdus: Devices, since: datetime) -> float:
    """The steepest slope of any coolant temperature since then, K/min; NaN while there is too little to tell."""
    slopes = [
        slope(usable(rack.window.history(cdu.name, name, "", since))) for cdu in cdus for name in (SUPPLY, RETURN)
    ]
    return max((abs(each) for each in slopes), default=math.nan) if all(map(math.isfinite, slopes)) else math.nan


@pytest.mark.measures("thermal.steady.slope", per="cdu")
async def test_steady_state(rack: Rack, hosts: Devices, cdus: Devices, measure: Measure) -> None:
    """Under full load the coolant temperatures come to rest, and stay there for the measuring window."""
    spec = rack.definition.load(LOAD)

    async def start(host: Device) -> Job:
        return await host.ask(Workload).start(load_of(host, LOAD, spec))

    if len(await hosts.each(start)) < len(hosts):
        return
    window, limit = rack.definition.duration("thermal-window"), rack.definition.limit("thermal.steady.slope")
    clock = rack.session.clock
    began = clock.elapsed()
    await rack.wait("ramp", "warming up")
    while True:
        start_of_window = rack.now()
        await rack.wait_seconds(window, "watching for steady state")
        if steepest(rack, cdus, start_of_window) <= (limit.maximum or 0.0) - limit.guard:
            break
        if clock.elapsed() - began > rack.definition.duration("thermal-timeout"):
            seen = f"still {steepest(rack, cdus, start_of_window):.2f} K/min"
            raise Misbehaved(cdus.members[0].name, "wait for steady state", seen, "Check the facility water.")
    rack.keep(WINDOW, start_of_window)
    for cdu in cdus:
        slopes = [slope(usable(rack.window.history(cdu.name, name, "", start_of_window))) for name in (SUPPLY, RETURN)]
        measure("thermal.steady.slope", max(slopes, key=abs), cdu.slot)


@pytest.mark.measures("thermal.supply.temperature", "thermal.rise", "thermal.flow", "thermal.heat_balance", per="cdu")
async def test_heat_balance(rack: Rack, cdus: Devices, power_shelves: Devices, measure: Measure) -> None:
    """The heat that the coolant carries away is the share of the electrical power that it is designed for."""
    coolant = rack.definition.model.coolant
    supplies = [(shelf, name) for shelf in power_shelves for name in shelf.bom("psu")]
    power = sum(window_mean(rack, shelf, "supply.output.power", name) for shelf, name in supplies)
    heat = 0.0
    for cdu in cdus:
        cold, warm = window_mean(rack, cdu, SUPPLY), window_mean(rack, cdu, RETURN)
        flow = window_mean(rack, cdu, FLOW)
        measure("thermal.supply.temperature", cold, cdu.slot)
        measure("thermal.rise", warm - cold, cdu.slot)
        measure("thermal.flow", flow, cdu.slot)
        heat += coolant.heat(flow, cold, warm)
    expected = coolant.liquid_share * power
    for cdu in cdus:
        measure("thermal.heat_balance", 100.0 * (heat / expected - 1.0) if expected else None, cdu.slot)


@pytest.mark.measures("thermal.plate.resistance", "thermal.plate.outlier", per="accelerator")
async def test_cold_plates(rack: Rack, compute_trays: Devices, cdus: Devices, measure: Measure) -> None:
    """Every cold plate has the thermal resistance of a clean one, and none stands out among its like."""
    cold = mean_of([window_mean(rack, cdu, SUPPLY) for cdu in cdus])
    resistances: dict[str, float] = {}
    for tray in compute_trays:
        if tray.lost is not None:
            rack.failed(tray.lost)
            continue
        for part in tray.bom("accelerator"):
            hot = window_mean(rack, tray, "accelerator.temperature", part)
            power = window_mean(rack, tray, "accelerator.power", part)
            resistances[tray.subject(part)] = (hot - cold) / power if power else math.nan
    limit = rack.definition.limit("thermal.plate.resistance")
    # The spread that the sensors alone explain: a rack of near twins has no outliers below it.
    floor = (limit.uncertainty or 0.0) / 2 or math.nan
    scores = robust_z(list(resistances.values()), floor) if floor > 0 else (math.nan,) * len(resistances)
    for (subject, resistance), score in zip(resistances.items(), scores, strict=True):
        measure("thermal.plate.resistance", resistance, subject)
        measure("thermal.plate.outlier", score, subject)


@pytest.mark.measures("power.supply.share", per="power_shelf/psu")
async def test_current_sharing(rack: Rack, power_shelves: Devices, measure: Measure) -> None:
    """The supplies of a shelf share the full load evenly."""
    for shelf in power_shelves:
        currents = {name: window_mean(rack, shelf, "supply.output.current", name) for name in shelf.bom("psu")}
        even = mean_of(list(currents.values()))
        for name, current in currents.items():
            measure("power.supply.share", 100.0 * (current / even - 1.0) if even else None, shelf.subject(name))


@pytest.mark.measures("pump.running", per="pump")
@pytest.mark.measures("pump.speed.spread", per="cdu")
async def test_pumps(rack: Rack, cdus: Devices, measure: Measure) -> None:
    """All pumps of the coolant distribution unit run, and run alike."""

    async def read(cdu: Device) -> dict[str, Pump]:
        return {pump.name: pump for pump in await cdu.ask(CoolantLoop).pumps()}

    for cdu, pumps in await cdus.each(read):
        for name in cdu.bom("pump"):
            pump = pumps.get(name)
            measure("pump.running", bool(pump and pump.running and pump.healthy is not False), cdu.subject(name))
        speeds = [window_mean(rack, cdu, "pump.speed", name) for name in cdu.bom("pump")]
        middle = mean_of(speeds)
        spread = 100.0 * (max(speeds) - min(speeds)) / middle if middle else math.nan
        measure("pump.speed.spread", spread, cdu.slot)


def mean_of(values: list[float]) -> float:
    """Their mean; NaN where one is missing."""
    return sum(values) / len(values) if values else math.nan
