"""Links: does every cable run where the cable map says, at its speed, without an error under traffic?"""

from __future__ import annotations

import asyncio

import pytest

from harness.capabilities import JobState, LinkPorts, Load, Neighbour, Port, Workload
from harness.errors import Misbehaved
from harness.plan import Device, Devices, Measure, Rack

pytestmark = pytest.mark.stage("links")

NOTHING = "nothing"


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
    for _, seen in await switches.each(read_neighbours):
        neighbours |= seen
    for cable in rack.definition.cables:
        port = ports.get(cable.b)
        far = sorted(f"{n.system}/{n.remote_port}" for n in neighbours.get(cable.b, []))
        measure("link.neighbour", " and ".join(far) or NOTHING, cable.b, expected=cable.a)
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


@pytest.mark.measures("link.errors", "link.discards", "link.throughput", per="cable")
async def test_traffic(rack: Rack, hosts: Devices, switches: Devices, measure: Measure) -> None:
    """Every cable carries traffic both ways without an error, and the octets prove that it flowed."""
    for pairs in pair_hosts(rack, hosts):
        before: dict[str, Port] = {}
        after: dict[str, Port] = {}
        for _, found in await switches.each(read_ports):
            before |= found
        await run_traffic(rack, pairs)
        for _, found in await switches.each(read_ports):
            after |= found
        used = {(host.slot, interface) for server, client, interface in pairs for host in (server, client)}
        for cable in rack.definition.cables:
            slot, _, interface = cable.a.partition("/")
            if (slot, interface) in used:
                judge_port(rack, measure, cable.b, before.get(cable.b), after.get(cable.b))


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
