"""Tools that load the network between two hosts: iperf3 over TCP, ib_write_bw over RDMA."""

from __future__ import annotations

import math
from collections.abc import Mapping

from drivers.host.tools.outcome import outcome
from drivers.host.tools.spec import Printed
from drivers.inband import iperf3, perftest
from drivers.inband.finding import Finding, Verdict
from harness.workload import Load, LoadOutcome


def transfer(load: Load, interfaces: Mapping[str, str]) -> tuple[str, ...]:
    """iperf3 both ways at once; without a peer a server for one client."""
    local = interfaces.get(load.interface)
    if not local:
        raise ValueError(f"the bay file has no option 'data.{load.interface}', the interface's data address")
    if not load.peer:
        return ("iperf3", "-s", "-1", "-B", local)
    return ("iperf3", "-c", load.peer, "--bidir", "-t", str(math.ceil(load.seconds)), "-J", "-B", local)


def transferred(printed: Printed) -> tuple[LoadOutcome, ...]:
    """What went over the interface in both directions, in octets."""
    moved = iperf3.parse_server(printed.text) if not printed.load.peer else iperf3.parse_client(printed.text)
    return (LoadOutcome(printed.load.interface, moved.octets, 1 if moved.error else 0, moved.error),)


def write_remotely(load: Load, interfaces: Mapping[str, str]) -> tuple[str, ...]:
    """ib_write_bw both ways on the RDMA device of the interface; without a peer the server's side."""
    device = interfaces.get(f"rdma.{load.interface}")
    if not device:
        raise ValueError(f"the bay file has no option 'rdma.{load.interface}', the interface's RDMA device")
    peer = (load.peer,) if load.peer else ()
    return ("ib_write_bw", "-d", device, "-b", "-F", "--report_gbits", "-D", str(math.ceil(load.seconds)), *peer)


def written_remotely(printed: Printed) -> tuple[LoadOutcome, ...]:
    """What was written over the interface, in octets."""
    runs = perftest.parse(printed.text)
    found = list(perftest.findings(runs))
    if printed.exit_code:
        found.append(Finding(Verdict.ERROR, "", f"it ended with {printed.exit_code}"))
    work = sum(float(row.size) * row.iterations for run in runs for row in run.rows)
    return (outcome(printed.load.interface, work, found),)
