"""Links: does every cable run where the cable map says, at its speed, without an error under traffic?"""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass

import pytest

from harness.capabilities import LinkPorts, Neighbour, Port
from harness.errors import Misbehaved, Unsupported
from harness.physical import PhysicalLink, PhysicalLinks
from harness.plan import Device, Devices, Measure, Rack
from harness.rack.model import Cable
from harness.telemetry.bit_errors import bound_on_ratio
from harness.workload import JobState, Load, Workload

pytestmark = pytest.mark.stage("links")

NOTHING = "nothing"
BIT_ERRORS = ("link.fec.uncorrectable", "link.fec.tail", "link.ber.raw", "link.ber.bound", "link.flaps")
OPTICS = ("link.optics.problems", "link.optics.margin", "link.optics.spread")


async def read_ports(switch: Device) -> dict[str, Port]:
    """A switch's ports by their place: `switch-1/swp3`."""
    return {switch.subject(port.name): port for port in await switch.ask(LinkPorts).ports()}


async def read_neighbours(switch: Device) -> dict[str, list[Neighbour]]:
    """What LLDP sees at each port."""
    found: dict[str, list[Neighbour]] = {}
    for neighbour in await switch.ask(LinkPorts).neighbours():
        found.setdefault(switch.subject(neighbour.port), []).append(neighbour)
    return found


@pytest.mark.measures("link.neighbour", "link.up", "link.speed", per="cable")
async def test_cable_map(rack: Rack, switches: Devices, measure: Measure) -> None:
    """Each switch port is up at its speed and sees the interface that the cable map names."""
    ports: dict[str, Port] = {}
    neighbours: dict[str, list[Neighbour]] = {}
    for _, found in await switches.each(read_ports):
        ports |= found
    answered: set[str] = set()
    for switch, seen in await switches.each(read_neighbours):
        answered.add(switch.slot)
        neighbours |= seen
    for cable in rack.definition.cables:
        port = ports.get(cable.b)
        far = sorted(f"{n.system}/{n.remote_port}" for n in neighbours.get(cable.b, []))
        # A switch that could not be asked has not said that nothing is plugged in.
        nothing = NOTHING if cable.b.partition("/")[0] in answered else None
        measure("link.neighbour", " and ".join(far) or nothing, cable.b, expected=cable.a)
        measure("link.up", port.up if port else None, cable.b)
        measure("link.speed", port.speed if port else None, cable.b, expected=cable.speed)


def pair_hosts(rack: Rack, hosts: Devices) -> list[list[tuple[Device, Device, str]]]:
    """Rounds of host pairs, one pair an interface, so that every cable carries traffic: (server, client, interface)."""
    by_slot = {host.slot: host for host in hosts}
    interfaces: dict[str, list[Device]] = {}
    for cable in rack.definition.cables:
        slot, _, interface = cable.a.partition("/")
        interfaces.setdefault(interface, []).append(by_slot[slot])
    rounds: list[list[tuple[Device, Device, str]]] = [[], []]
    for interface, ends in interfaces.items():
        even = len(ends) - len(ends) % 2
        rounds[0] += [(ends[i], ends[i + 1], interface) for i in range(0, even, 2)]
        if len(ends) % 2 and len(ends) > 1:
            rounds[1].append((ends[-1], ends[0], interface))
    return [pairs for pairs in rounds if pairs]


async def run_traffic(rack: Rack, pairs: list[tuple[Device, Device, str]]) -> None:
    """Run traffic both ways between all pairs at once, to its end; raises Misbehaved where a tool did not finish."""
    spec = rack.definition.load("traffic")

    async def start(host: Device, interface: str, peer: str) -> None:
        name = f"traffic-{interface}"
        load = Load(name, spec.kind, spec.tool, spec.seconds, spec.limit, spec.intensity, interface, peer)
        await host.ask(Workload).start(load)

    await asyncio.gather(*(start(server, interface, "") for server, _, interface in pairs))
    await asyncio.gather(
        *(start(client, interface, server.data_address(interface)) for server, client, interface in pairs)
    )
    await rack.wait("traffic", "traffic on every cable")
    ends = [(host, f"traffic-{interface}") for server, client, interface in pairs for host in (server, client)]
    await asyncio.gather(*(finish(rack, host, name) for host, name in ends))


async def finish(rack: Rack, host: Device, name: str) -> None:
    """Wait for the end of a load that is due; its exit code must be good."""
    until = rack.session.clock.elapsed() + rack.definition.load("traffic").limit
    job = await host.ask(Workload).job(name)
    while job.state is JobState.RUNNING and rack.session.clock.elapsed() < until:
        await rack.session.clock.sleep(2.0)
        job = await host.ask(Workload).job(name)
    if job.state is not JobState.DONE or job.exit_code != 0:
        seen = f"state {job.state}, exit code {job.exit_code}: {job.text.strip()[-200:]}"
        raise Misbehaved(host.name, f"run {name}", seen, "Check the interface and the tool on that host.")


@dataclass(frozen=True)
class Seen:
    """All that is counted at the ends of the cables at one instant: packets at the switch, bits at either end."""

    elapsed: float
    ports: dict[str, Port]
    links: dict[str, PhysicalLink]
    """By end: `tray-01/nic-0`, and `switch-1/swp1` where the switch can be asked."""


async def read_links(device: Device) -> dict[str, PhysicalLink]:
    """What a device counts below the packets, by place."""
    return {device.subject(link.port): link for link in await device.ask(PhysicalLinks).physical_links()}


async def read_links_if_told(switch: Device) -> dict[str, PhysicalLink]:
    """The same of a switch, which may have no way to be asked: then the other end has to answer for the cable."""
    try:
        return await read_links(switch)
    except Unsupported:
        return {}


async def look(rack: Rack, hosts: Devices, switches: Devices) -> Seen:
    """Read the counters of all ends."""
    ports: dict[str, Port] = {}
    links: dict[str, PhysicalLink] = {}
    for _, found in await switches.each(read_ports):
        ports |= found
    if rack.definition.limits(*BIT_ERRORS, *OPTICS):
        for _, below in await hosts.each(read_links):
            links |= below
        for _, below in await switches.each(read_links_if_told):
            links |= below
    return Seen(rack.session.clock.elapsed(), ports, links)


@pytest.mark.measures("link.errors", "link.discards", "link.throughput", per="cable")
@pytest.mark.measures(*BIT_ERRORS, *OPTICS, per="cable", optional=True)
async def test_traffic(rack: Rack, hosts: Devices, switches: Devices, measure: Measure) -> None:
    """Every cable carries traffic both ways without an error, and the octets prove that it flowed."""
    for pairs in pair_hosts(rack, hosts):
        before = await look(rack, hosts, switches)
        await run_traffic(rack, pairs)
        after = await look(rack, hosts, switches)
        used = {(host.slot, interface) for server, client, interface in pairs for host in (server, client)}
        for cable in rack.definition.cables:
            slot, _, interface = cable.a.partition("/")
            if (slot, interface) in used:
                await asyncio.sleep(0)  # verdicts go to disk one by one: telemetry has its turn in between
                judge_port(rack, measure, cable.b, before.ports.get(cable.b), after.ports.get(cable.b))
                judge_bits(rack, measure, cable, before, after)
                judge_optics(rack, measure, cable, after)


def judge_bits(rack: Rack, measure: Measure, cable: Cable, before: Seen, after: Seen) -> None:
    """Judge the bits of a cable at the ends that count them; the tray's end always counts.

    What is proven of the error ratio is a bound: it follows from the bits that ran while nothing was reset, at 95 %.
    """
    ends = [end for end in (cable.a, cable.b) if end == cable.a or end in after.links]
    values: dict[str, list[float | None]] = {key: [] for key in BIT_ERRORS}
    for end in ends:
        old, new = before.links.get(end), after.links.get(end)
        same = old is not None and new is not None and old.epoch == new.epoch and new.up is True
        lost = grown(old.uncorrectable, new.uncorrectable) if old and new and same else None
        tails = grown(old.nearly_lost, new.nearly_lost) if old and new and same else None
        bits = cable.speed * 1e9 * (after.elapsed - before.elapsed)
        values["link.fec.uncorrectable"].append(lost)
        values["link.fec.tail"].append(tails)
        values["link.ber.raw"].append(new.raw_ber if new and same else None)
        values["link.ber.bound"].append(None if lost is None else bound_on_ratio(bits, int(lost)))
        values["link.flaps"].append(grown(old.downs, new.downs) if old and new and same else None)
    for key in rack.definition.limits(*BIT_ERRORS):
        measure(key, greatest(values[key]), cable.b)


def judge_optics(rack: Rack, measure: Measure, cable: Cable, seen: Seen) -> None:
    """Judge the modules of a cable by what they say of themselves; one end that says nothing is not judged."""
    problems, margins, spreads = [], [], []
    for end in [end for end in (cable.a, cable.b) if end == cable.a or end in seen.links]:
        link = seen.links.get(end)
        module = link.transceiver if link else None
        flags = [flag for lane in link.lanes for flag in lane.problems] if link else []
        problems.append(None if module is None else float(len(module.problems) + len(flags)))
        warm = module.temperature.number if module and module.temperature else math.nan
        warning = module.temperature_warning if module else None
        margins.append(None if warning is None else warm - warning)
        powers = [lane.rx_power.number for lane in link.lanes if lane.rx_power is not None] if link else []
        spreads.append(max(powers) - min(powers) if powers else None)
    worst = {"link.optics.problems": greatest(problems), "link.optics.spread": greatest(spreads)}
    least = greatest(margins)
    worst["link.optics.margin"] = None if least is None else -least
    for key in rack.definition.limits(*OPTICS):
        measure(key, worst[key], cable.b)


def grown(old: int | None, new: int | None) -> float | None:
    """How far a counter has grown; None where it is not offered or has fallen."""
    return None if old is None or new is None or new < old else float(new - old)


def greatest(values: list[float | None]) -> float | None:
    """The greatest of them; None where one is missing."""
    known = [value for value in values if value is not None]
    return max(known) if known and len(known) == len(values) else None


def judge_port(rack: Rack, measure: Measure, subject: str, before: Port | None, after: Port | None) -> None:
    """Judge what a port counted; counters that were reset in between prove nothing."""
    if before is None or after is None or before.epoch != after.epoch:
        for key in ("link.errors", "link.discards", "link.throughput"):
            measure(key, None, subject)
        return
    errors = after.errors_in - before.errors_in + after.errors_out - before.errors_out
    discards = after.discards_in - before.discards_in + after.discards_out - before.discards_out
    octets = min(after.octets_in - before.octets_in, after.octets_out - before.octets_out)
    measure("link.errors", errors, subject)
    measure("link.discards", discards, subject)
    measure("link.throughput", octets * 8 / rack.definition.load("traffic").seconds / 1e9, subject)
