"""Whatever a step does, a trip is answered, the rack is made safe, and the run ends with the verdict it earned."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from harness.journal import events as e
from harness.journal.reader import read_journal
from harness.quantities import Unit
from harness.rack.definition import RackDefinition
from harness.verdict import RunSummary, Verdict
from harness.workload import Job, JobState
from tests.failopen.bench import FLOW, HEAD, Bench, Tiny

SLOTS = {"cdu-1": ["cdu"], "tray-01": ["compute_tray", "host"]}
LEAK = {
    "role": "cdu", "quantity": "leak.wet", "unit": "count", "max": 0, "blames": "rack", "max_silence": 60,
    "when_silent": "trip", "cut_power": "never", "advice": "Go and look.", "source": "test",
}  # fmt: skip
STALL = LEAK | {"role": "station", "quantity": "loop.stall", "unit": "s", "max": 1, "blames": "rig"}
MARK = '@pytest.mark.measures("thermal.flow")\n'
PLAIN = MARK + 'def test_it(measure):\n    """It holds."""\n    measure("thermal.flow", 12.0, "rack")\n'


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def rack_of(bench: Bench, **interlocks: Any) -> RackDefinition:
    return bench.rack(FLOW, SLOTS, interlocks={"leak": LEAK} | interlocks)


def under_way(bench: Bench) -> Path:
    """A step leaves this file once it runs; then there is water, and not before."""
    return bench.folder / "under-way"


def step(bench: Bench, kind: str, body: str) -> str:
    """A plan of one step that says that it is under way, and then does this."""
    imports = "import ctypes, pathlib, subprocess, threading, time\n"
    journals = f"pathlib.Path({str(bench.folder)!r}).glob('*/journal.jsonl')"
    said = f"def said(word): return any(word in file.read_text() for file in {journals})\n"
    patient = (
        "def patient(word):\n    until = time.monotonic() + 60\n"
        "    while not said(word) and time.monotonic() < until: time.sleep(0.05)\n\n\n"
    )
    began = f"pathlib.Path({str(under_way(bench))!r}).touch()"
    return f'{imports}{said}{patient}{MARK}{kind} test_it(measure):\n    """It holds."""\n    {began}\n    {body}\n'


def run(bench: Bench, rack: RackDefinition, plan: str, *, leaks: bool = True) -> tuple[RunSummary, list[str]]:
    """Run a plan on a rack that leaks once a step is under way; the second is what the host was asked."""
    asked: list[str] = []

    def stop_all() -> list[Job]:
        asked.append("stop all")
        return [Job("burn", JobState.STOPPED, None, (), "")]

    def wet(_: int) -> int:
        return int(leaks and under_way(bench).exists())

    sweeps = bench.telemetry("cdu-1", Unit.COUNT, lambda number: {("leak.wet", ""): wet(number)})

    async def forever(*_: object) -> None:
        await asyncio.sleep(0)

    host = Tiny("tray-01-host", lease=30.0, start=None, job=None, stop=None, stop_all=stop_all, renew=forever)
    return bench.run(rack, HEAD + plan, Tiny("cdu-1", **sweeps), host), asked


def events(bench: Bench) -> list[e.Event]:
    return [entry.event for entry in read_journal(bench.run_dir / "journal.jsonl").entries]


def check(bench: Bench, found: RunSummary, asked: list[str]) -> None:
    """The loads were stopped, the step was stopped, the journal is whole, and the rack is to blame."""
    assert found.verdict is Verdict.FAIL, found.reasons
    assert "leak.wet is 1" in found.reasons[0]
    assert asked
    assert found.complete
    kinds = [type(event) for event in events(bench)]
    assert kinds.index(e.Tripped) < kinds.index(e.SafetyAction)
    assert all(made.confirmed for made in found.made_safe)
    (ended,) = [event for event in events(bench) if isinstance(event, e.StepFinished)]
    assert ended.outcome == "stopped"
    assert ended.text.startswith("interlock leak")


def test_a_plain_step_that_does_not_block_passes(bench: Bench) -> None:
    found, _ = run(bench, rack_of(bench), PLAIN, leaks=False)
    assert found.verdict is Verdict.PASS, found.reasons


@pytest.mark.parametrize(
    "body",
    [
        "time.sleep(3600)",
        "threading.Event().wait()",
        "subprocess.run(['sleep', '20'])",
        "while True: pass",
        "while True:\n        try: time.sleep(0.01)\n        except Exception: pass",
        "ctypes.CDLL(None).sleep(20)",
        "ctypes.PyDLL(None).usleep(300000), time.sleep(3600)",
    ],
    ids=["sleep", "lock", "child", "busy", "swallows", "c-call", "holds-the-interpreter"],
)
def test_a_plain_step_that_blocks(bench: Bench, body: str) -> None:
    found, asked = run(bench, rack_of(bench), step(bench, "def", body))
    check(bench, found, asked)


@pytest.mark.parametrize(
    "body",
    [
        "await asyncio.sleep(3600)",
        "tries = 0\n    while True:\n        try: await asyncio.sleep(0.01)\n        except asyncio.CancelledError:\n"
        "            tries = tries + 1\n            if tries > 5: raise",
        "await asyncio.to_thread(patient, 'StepFinished')",
        "await asyncio.shield(asyncio.ensure_future(asyncio.sleep(3600)))",
    ],
    ids=["waits", "swallows", "thread", "shield"],
)
def test_a_step_on_the_loop_that_does_not_end(bench: Bench, body: str) -> None:
    found, asked = run(bench, rack_of(bench), step(bench, "async def", body))
    check(bench, found, asked)


@pytest.mark.parametrize("kind", ["def", "async def"])
def test_a_step_that_would_end_the_process(bench: Bench, kind: str) -> None:
    found, asked = run(bench, rack_of(bench), step(bench, kind, "raise SystemExit(0)"), leaks=False)
    assert found.verdict is Verdict.INCONCLUSIVE
    assert "the plan broke: SystemExit" in found.reasons[0]
    assert (asked, found.complete) == (["stop all"], True)


def test_a_task_of_a_step_that_would_end_the_process(bench: Bench) -> None:
    body = "async def end(): raise SystemExit(0)\n    asyncio.ensure_future(end())\n    await asyncio.sleep(3600)"
    check(bench, *run(bench, rack_of(bench), step(bench, "async def", body)))


def test_a_step_that_blocks_the_loop_itself(bench: Bench) -> None:
    """No interlock turns meanwhile: that is a trip of its own, seen from outside of the loop."""
    # The trip is written down a moment before the step is cancelled: it is still there then.
    steps = step(bench, "async def", "patient('Tripped')\n    await asyncio.sleep(3600)")
    found, asked = run(bench, rack_of(bench, stall=STALL), steps, leaks=False)
    assert found.verdict is Verdict.ABORTED
    assert "interlock stall: station.loop.stall is 1.5 s" in found.reasons[0]
    assert asked
    assert all(made.confirmed for made in found.made_safe)
