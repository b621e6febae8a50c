"""Power: does every cord run where the power map says, does the rack live on either feed, do the meters agree?"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest

from harness.capabilities import Outlet, PowerOutlets, PowerSupplies
from harness.errors import Misbehaved, Unreachable
from harness.plan import Device, Devices, Measure, Rack
from harness.rack.model import PowerFeed
from harness.telemetry.statistics import mean, usable

pytestmark = pytest.mark.stage("power")

NOTHING = "nothing"


async def read_outlets(pdu: Device) -> dict[str, Outlet]:
    """A PDU's outlets by name."""
    return {f"{pdu.slot}/{outlet.name}": outlet for outlet in await pdu.ask(PowerOutlets).outlets()}


async def read_inputs(rack: Rack) -> dict[str, bool | None]:
    """Whether each supply of the rack has a good line input: `shelf-1/psu-3` to True, False or unknown."""

    async def read(device: Device) -> dict[str, bool | None]:
        supplies = await device.ask(PowerSupplies).supplies()
        return {device.subject(supply.name): supply.input_ok for supply in supplies}

    # Side by side: a rack of eight shelves is looked at twice for each of its cords.
    devices = (*rack.devices("power_shelf"), *rack.devices("switch"))
    found = await asyncio.gather(*(read(device) for device in devices))
    return {name: good for inputs in found for name, good in inputs.items()}


async def settle(rack: Rack, wanted: Mapping[str, bool | None]) -> dict[str, bool | None]:
    """Read the inputs until they are as `wanted`, or the settling time is over; returns the last reading."""
    until = rack.session.clock.elapsed() + rack.definition.duration("outlet-settle")
    inputs = await read_inputs(rack)
    while inputs != wanted and rack.session.clock.elapsed() < until:
        await rack.session.clock.sleep(1.0)
        inputs = await read_inputs(rack)
    return inputs


async def find_fed(rack: Rack, feed: PowerFeed, healthy: dict[str, bool | None]) -> str:
    """Which supplies lose their input when this outlet is switched off; the outlet is on again when this returns."""
    async with rack.without([feed.outlet]):
        inputs = await settle(rack, healthy | {feed.feeds: False})
    lost = sorted(name for name, good in inputs.items() if good is False)
    after = await settle(rack, healthy)
    if after != healthy:
        bad = sorted(name for name, good in after.items() if good is not True)
        raise Misbehaved(bad[0], f"restore its input through {feed.outlet}", "it stays without", "Check its cord.")
    return " and ".join(lost) or NOTHING


@pytest.mark.measures("power.outlet.on", per="feed")
async def test_outlets_are_on(rack: Rack, pdus: Devices, measure: Measure) -> None:
    """Every outlet of the power map is on."""
    outlets: dict[str, Outlet] = {}
    for _, found in await pdus.each(read_outlets):
        outlets |= found
    for feed in rack.definition.feeds:
        outlet = outlets.get(feed.outlet)
        measure("power.outlet.on", outlet.on if outlet else None, feed.outlet)


@pytest.mark.measures("power.outlet.feeds", per="feed")
async def test_outlet_map(rack: Rack, measure: Measure) -> None:
    """Each outlet feeds the supply that the power map names, found by switching it off and on again."""
    feeds = rack.definition.feeds
    healthy: dict[str, bool | None] = {feed.feeds: True for feed in feeds}
    # Never take a second feed away: with one input missing from the start, nothing is switched.
    found = await settle(rack, healthy)
    if missing := sorted(name for name in healthy if found.get(name) is not True):
        advice = "Check its cord and breaker; no outlet was switched."
        raise Unreachable(missing[0], "start the outlet test with every input good", "its input is not good", advice)
    for number, feed in enumerate(feeds):
        rack.progress(f"outlet {feed.outlet}", number, len(feeds))
        measure("power.outlet.feeds", await find_fed(rack, feed, healthy), feed.outlet, expected=feed.feeds)


@pytest.mark.measures("power.redundancy.survivors", per="pdu")
@pytest.mark.measures("power.bus.voltage", per="power_shelf")
async def test_feed_redundancy(rack: Rack, pdus: Devices, power_shelves: Devices, measure: Measure) -> None:
    """The rack rides through the loss of either feed: the bus holds and every other supply stays good."""
    for pdu in pdus:
        mine = [feed for feed in rack.definition.feeds if feed.outlet.startswith(f"{pdu.slot}/")]
        others = {feed.feeds for feed in rack.definition.feeds} - {feed.feeds for feed in mine}
        began = rack.now()
        dark: dict[str, bool | None] = {feed.feeds: False for feed in mine}
        dark |= dict.fromkeys(others, True)
        async with rack.without([feed.outlet for feed in mine]):
            await rack.wait("feed-loss", f"feed {pdu.name} off")
            inputs = await settle(rack, dark)
        # An input that nobody could read proves neither; one that is wrong fails.
        wrong = [name for name, good in dark.items() if inputs.get(name) not in (good, None)]
        unread = [name for name in dark if inputs.get(name) is None]
        measure("power.redundancy.survivors", not wrong if wrong or not unread else None, pdu.slot)
        for shelf in power_shelves:
            bus = usable(rack.window.history(shelf.name, "bus.voltage", since=began))
            lowest = min((sample.reading for sample in bus), key=lambda reading: reading.number, default=None)
            measure("power.bus.voltage", lowest, shelf.slot)
        await settle(rack, {feed.feeds: True for feed in rack.definition.feeds})


@pytest.mark.measures("power.balance", per="power_shelf")
async def test_power_balance(rack: Rack, pdus: Devices, power_shelves: Devices, measure: Measure) -> None:
    """What the PDUs deliver to a shelf is what the shelf takes in."""
    began = rack.now()
    await rack.wait("power-average", "averaging power")
    delivered: dict[str, float] = {}
    for pdu in pdus:
        for feed in rack.definition.feeds:
            name, _, outlet = feed.outlet.partition("/")
            if name == pdu.slot:
                samples = rack.window.history(pdu.name, "outlet.power", f"outlet-{outlet}", began)
                delivered[feed.feeds] = mean(samples)
    for shelf in power_shelves:
        names = [feed.feeds for feed in rack.definition.feeds if feed.feeds.startswith(f"{shelf.slot}/")]
        given = sum(delivered.get(name, float("nan")) for name in names)
        parts = [name.partition("/")[2] for name in names]
        taken = sum(mean(rack.window.history(shelf.name, "supply.input.power", part, began)) for part in parts)
        measure("power.balance", 100.0 * (given / taken - 1.0) if taken else None, shelf.slot)
