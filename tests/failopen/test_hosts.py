"""Hosts: our own driver over real SSH, a real shell, and tools that are missing, refused, cut off or broken."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.connection import Driver
from harness.loop import RackLoop
from harness.rack.definition import RackDefinition
from harness.verdict import RunSummary, Verdict
from tests.drivers.host_machine import Machine, smi
from tests.failopen.bench import JUDGED, Bench, Tiny

BOOTED = (0.0, 6, "Linux version 6.8.0")
FALLEN = (9.0, 3, "NVRM: Xid (PCI:0009:01:00): 79, pid='<unknown>', name=<unknown>, GPU has fallen off the bus.")
CRITICAL = {"event_log.critical": {"unit": "count", "max": 0, "source": "test"}}
NEW = {
    "event_log.new.critical": {"unit": "count", "max": 0, "source": "test"},
    "event_log.new.warning": {"unit": "count", "max": 0, "source": "test"},
}
IDLE = {
    "handover.loads.running": {"unit": "count", "max": 0, "source": "test"},
    "handover.idle.power": {"unit": "W", "max": 250, "source": "test"},
}
SAFE = {"cool_below": 50, "cooling_time": 2, "action_time": 30}
"""A real shell is asked what runs, by a machine that may stand still for seconds."""
BUSES = ("00000000:01:00.0", "00000000:02:00.0")


def kernel(*messages: tuple[float, int, str]) -> str:
    """What `dmesg --json` prints."""
    return json.dumps({"dmesg": [{"pri": pri, "time": at, "msg": text} for at, pri, text in messages]})


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    """A host that answers, sees two idle accelerators, and has a kernel log without a fault."""
    (tmp_path / "home").mkdir()
    made, loop = Machine(tmp_path / "home"), RackLoop()
    made.prints("nvidia-smi", smi(*BUSES))
    made.prints("dmesg", kernel(BOOTED))
    made.tool("journalctl", "exit 1")
    loop.run(made.serve())
    try:
        yield made
    finally:
        loop.run(made.vanish())
        loop.close()


def gone(machine: Machine) -> Driver:
    """The driver of a host where nobody listens."""
    listening, machine.port = machine.port, 1
    driver = machine.driver(timeout=1.0)
    machine.port = listening
    return driver


def intake(bench: Bench, rack: RackDefinition, host: Driver) -> RunSummary:
    """Run the step of the shipped plan that reads all logs; the tray's own is empty."""
    return bench.run(rack, bench.shipped("test_10_intake", "test_event_logs"), Tiny("tray-01", entries=()), host)


@pytest.mark.peer("CVS", "the kernel log of a host that does not answer holds no error: PASS", "executed")
def test_a_log_of_a_host_that_does_not_answer(bench: Bench, machine: Machine) -> None:
    """INCONCLUSIVE: a log that was not read is no clean log."""
    rack = bench.rack(CRITICAL, make_safe=SAFE)
    bench.passes(intake(bench, rack, machine.driver()))
    bench.ends(intake(bench, rack, gone(machine)), Verdict.INCONCLUSIVE, "tray-01-host")


UNREADABLE = {
    "denied": "echo 'sudo: a password is required' >&2; exit 1",
    "not permitted": "echo 'dmesg: read kernel buffer failed: Operation not permitted' >&2; exit 1",
    "missing": "exit 127",
    "nothing": "exit 0",
    "an error where the log should be": "echo 'dmesg: read kernel buffer failed: Operation not permitted'",
    "cut off": f"echo '{kernel(BOOTED)[:-9]}'",
    "no message": f"echo '{kernel()}'",
}


@pytest.mark.peer(
    "CVS, node-scraper 1.2.0, Azure HPC health checks",
    "`sudo: a password is required`, an empty or an error text for dmesg, no kernel log at all: PASS",
    "executed",
)
def test_a_log_that_cannot_be_read(bench: Bench, machine: Machine) -> None:
    """INCONCLUSIVE: only a log that is whole can be without a fault."""
    rack = bench.rack(CRITICAL, make_safe=SAFE)
    bench.passes(intake(bench, rack, machine.driver()))
    for script in UNREADABLE.values():
        machine.tool("dmesg", script)
        bench.ends(intake(bench, rack, machine.driver()), Verdict.INCONCLUSIVE, "read the kernel log")


@pytest.mark.peer("Azure HPC health checks", "Xid 79 of three hours ago: PASS", "executed")
def test_a_fault_of_three_hours_ago(bench: Bench, machine: Machine) -> None:
    """FAIL: what the log policy calls a failed part speaks against it, however old it is."""
    rack = bench.rack(CRITICAL, make_safe=SAFE)
    bench.passes(intake(bench, rack, machine.driver()))
    machine.prints("dmesg", kernel(BOOTED, FALLEN))
    bench.ends(intake(bench, rack, machine.driver()), Verdict.FAIL, "event_log.critical is 1")


@pytest.mark.peer(
    "Azure HPC health checks", "Xid 79: the first run FAILs, the second finds the line in its own log: PASS", "executed"
)
def test_a_log_line_that_was_seen_by_an_earlier_run(bench: Bench, machine: Machine) -> None:
    """FAIL: each run reads the whole log, and nothing that an earlier one knew takes a line away."""
    rack = bench.rack(CRITICAL, make_safe=SAFE)
    bench.passes(intake(bench, rack, machine.driver()))
    machine.prints("dmesg", kernel(BOOTED, FALLEN))
    for _ in range(2):
        bench.ends(intake(bench, rack, machine.driver()), Verdict.FAIL, "event_log.critical is 1")


@pytest.mark.peer(
    "CVS",
    "nothing was logged in the minute of the start: the slice from there is empty, a reset 7 minutes later unseen",
    "executed",
)
def test_a_log_line_long_after_the_last_one(bench: Bench, machine: Machine) -> None:
    """FAIL: what is new is told by the entries themselves, never by a window of time."""
    rack = bench.rack(CRITICAL | NEW, make_safe=SAFE)
    tray = Tiny("tray-01", entries=())
    # The fault is logged between the two readings of the log, seven minutes after everything else.
    later = (FALLEN[0] + 420, *FALLEN[1:])
    steps = bench.shipped("test_10_intake", "test_event_logs") + bench.shipped(
        "test_90_handover", "test_logs_are_clean"
    )
    machine.tool("dmesg", f"echo '{kernel(BOOTED)}'")
    bench.passes(bench.run(rack, steps, tray, machine.driver()))
    (machine.home / "later.txt").write_text(kernel(BOOTED, later))
    (machine.home / "first.txt").write_text(kernel(BOOTED))
    machine.tool("dmesg", 'cat "$HOME/first.txt"; mv "$HOME/later.txt" "$HOME/first.txt" 2>/dev/null; exit 0')
    bench.ends(bench.run(rack, steps, tray, machine.driver()), Verdict.FAIL, "event_log.new.critical is 1")


NO_ACCELERATOR = {
    "no driver loaded": "echo 'NVIDIA-SMI has failed because it could not communicate with the NVIDIA driver.'; exit 9",
    "no tool": "exit 127",
    "no accelerator": f"echo '{smi()}'",
    "one of two": f"echo '{smi(BUSES[0])}'",
    "nothing": "exit 0",
}


@pytest.mark.peer("gpud", "NVML is not loaded, or is loaded and sees no accelerator: Healthy", "read")
def test_a_host_that_sees_no_accelerator(bench: Bench, machine: Machine) -> None:
    """INCONCLUSIVE: each accelerator of the BOM is asked for by its place."""

    def handed_over() -> RunSummary:
        return bench.run(rack, bench.shipped("test_90_handover", "test_loads_are_off"), machine.driver())

    rack = bench.rack(IDLE, make_safe=SAFE)
    bench.passes(handed_over())
    for script in NO_ACCELERATOR.values():
        machine.tool("nvidia-smi", script)
        bench.ends(handed_over(), Verdict.INCONCLUSIVE, "tray-01")


@pytest.mark.peer("CVS", "`command not found` of rvs on the host: PASS", "executed")
def test_a_tool_that_the_host_has_not(bench: Bench, machine: Machine) -> None:
    """FAIL: a load that did no work fails, and its output says why."""
    loads = {"diagnostic": {"kind": "accelerator", "tool": "dcgmi-diag", "seconds": 1, "limit": 400}}
    rack = bench.rack(JUDGED, loads=loads, make_safe=SAFE)
    result = [{"entity_group": "GPU", "entity_group_id": 1, "entity_id": gpu, "status": "Pass"} for gpu in (0, 1)]
    test = {"name": "memory", "results": result, "test_summary": {"status": "Pass"}}
    machine.prints(
        "dcgmi", json.dumps({"DCGM Diagnostic": {"test_categories": [{"category": "Hardware", "tests": [test]}]}})
    )
    plan = bench.shipped("test_40_burn_in", "test_diagnostic")
    bench.passes(bench.run(rack, plan, machine.driver()))
    (machine.home / "bin" / "dcgmi").unlink()
    bench.ends(bench.run(rack, plan, machine.driver()), Verdict.FAIL, "burn_in.load.")
    assert "No such file" in (bench.run_dir / "attachments" / "tray-01-host-diagnostic.txt").read_text("utf-8")
