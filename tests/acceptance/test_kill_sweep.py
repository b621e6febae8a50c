"""The kill sweep: a station is killed at any instant of a run, and nothing is lost, nothing left burning.

Each round comes of a seed: half of them kill at an instant of the clock, half right after an event of a certain kind,
so that every kind is hit; some kill the resumed run as well. `--long` kills 200 times, `--long -k sample-` 20 times.
"""

from __future__ import annotations

import contextlib
import json
import random
import subprocess
import time
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path

import pytest

from harness.journal import events as e
from harness.verdict import RunSummary, Verdict
from tests.acceptance.broken import (
    NOISE,
    Standing,
    burning,
    events,
    journal_of,
    judged,
    kill,
    read,
    resume,
    safe,
    standing_rack,
    start,
    wait_for,
)
from tests.acceptance.runs import rackproof

KINDS = (
    "RunStarted", "Claimed", "Planned", "ProofChecked", "Progressed", "Fingerprinted", "StepStarted", "Measured",
    "Inventoried", "Attached", "StepFinished", "Kept", "Switched", "SegmentSealed", "SafetyAction", "MadeSafe",
    "RunFinished", "Resumed", "WatchdogActed", "TakenUp",
)  # fmt: skip
"""The kinds of events that an undisturbed run and its resumption hold; those of the resumption kill that one."""
OF_RESUMPTION = ("Resumed", "WatchdogActed", "TakenUp")
LONGEST = 14.0
"""Wall seconds after its start at which a run is killed at the latest: by then it is about done."""
NORMAL, SAMPLE, ALL = 2, 20, 200
ROUNDS = [
    pytest.param(
        seed, id=f"sample-{seed}" if seed < SAMPLE else str(seed), marks=[pytest.mark.long] if seed >= NORMAL else []
    )
    for seed in range(ALL)
]


@pytest.fixture(scope="module")
def rack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standing]:
    with standing_rack(tmp_path_factory.mktemp("rack")) as standing:
        yield standing


@pytest.fixture(scope="module")
def undisturbed(
    request: pytest.FixtureRequest, rack: Standing, tmp_path_factory: pytest.TempPathFactory
) -> RunSummary | None:
    """What the run comes to when nobody disturbs it; without --long it has to do that a pass is complete."""
    if not request.config.getoption("--long"):
        return None
    runs = tmp_path_factory.mktemp("undisturbed")
    process = rack.begin(runs)
    out, said = process.communicate(timeout=240)
    assert process.returncode == 0, said
    return read(Path(json.loads(out.splitlines()[-1])["run_dir"]))[1]


def count(runs: Path, kind: str) -> int:
    """How many events of a kind the journal holds so far."""
    journal = journal_of(runs)
    text = b"" if journal is None else journal.read_bytes()
    return text.count(f'"event":"{kind}"'.encode())


def kill_somewhere(process: subprocess.Popen[str], runs: Path, chance: random.Random, kind: str) -> None:
    """Kill at an instant of the clock where no kind is given, else a moment after an event of that kind."""
    if kind:
        before, wanted = count(runs, kind), chance.choice((1, 1, 2, 3))
        until = time.monotonic() + 4 * LONGEST
        while count(runs, kind) < before + wanted and process.poll() is None and time.monotonic() < until:
            time.sleep(0.002)
        time.sleep(chance.choice((0.0, 0.0, chance.uniform(0.0, 0.1))))
    else:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(chance.uniform(0.0, LONGEST))
    kill(process)


def check_broken(run_dir: Path, rack: Standing) -> bool:
    """The journal of a killed run is sound and no pass, nothing burns; whether the run had come to its own end."""
    _, summary = read(run_dir)
    if summary.complete:
        return True
    assert summary.verdict is not Verdict.PASS
    if any(isinstance(event, e.Fingerprinted) for event in events(run_dir)):
        # Once the rack is confirmed safe at the end of a run its watchdog is dismissed.
        since = takewhile(lambda event: not isinstance(event, e.StepStarted), reversed(events(run_dir)))
        if not any(isinstance(event, e.SafetyAction | e.MadeSafe) for event in since):
            wait_for(lambda: safe(run_dir))
    wait_for(lambda: not burning(rack.folder))
    return False


@pytest.mark.parametrize("seed", ROUNDS)
def test_kill_9_at_any_instant_of_a_run(
    rack: Standing, undisturbed: RunSummary | None, tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)
    kind = KINDS[(seed // 2) % len(KINDS)] if seed % 2 else ""
    first = "Measured" if kind in OF_RESUMPTION else kind
    runs = tmp_path / "runs"
    kill_somewhere(rack.begin(runs), runs, chance, first)
    journal = journal_of(runs)
    if journal is None or not journal.stat().st_size:
        assert not burning(rack.folder), "nothing was begun, and there is nothing to resume"
        return
    run_dir = journal.parent
    if check_broken(run_dir, rack):
        assert resume(run_dir)[0] == 2, "it had come to its own end"
        assert rackproof("report", str(run_dir)).returncode == 0
    elif read(run_dir)[1].started is None:
        code, _, said = resume(run_dir)
        assert (code, "before anything was begun" in said) == (2, True)
        return
    else:
        for _ in range(2 if kind in OF_RESUMPTION else chance.choice((0, 0, 1))):
            again = start("resume", str(run_dir), "--json")
            kill_somewhere(again, runs, chance, kind if kind in OF_RESUMPTION else "")
            if check_broken(run_dir, rack):
                break
        if not read(run_dir)[1].complete:
            code, told, said = resume(run_dir)
            assert (code, told.get("verdict"), told.get("made_safe")) == (0, "PASS", True), said
        elif not (run_dir / "certificate.pdf").exists():
            assert rackproof("report", str(run_dir)).returncode == 0
    journal_now, summary = read(run_dir)
    assert (summary.verdict, summary.complete, journal_now.torn) == (Verdict.PASS, True, False), summary.reasons
    if undisturbed is not None:
        assert judged(summary) == judged(undisturbed)
        agree(summary, undisturbed)
    assert not burning(rack.folder)
    checked = rackproof("verify", str(run_dir))
    assert checked.returncode == 0, checked.stdout


def agree(summary: RunSummary, undisturbed: RunSummary) -> None:
    """Measurements with noise agree within it."""
    values = {(m.key, m.subject): m.value for step in undisturbed.steps for m in step.measurements}
    for step in summary.steps:
        for m in step.measurements:
            wanted = values[m.key, m.subject]
            if isinstance(m.value, float) and isinstance(wanted, float):
                assert m.value == pytest.approx(wanted, rel=NOISE), (m.key, m.subject)


@pytest.mark.long
def test_every_kind_of_event_of_a_run_is_hit(rack: Standing, tmp_path: Path) -> None:
    """A new kind of event in a healthy run has to join the sweep."""
    runs = tmp_path / "runs"
    process = rack.begin(runs)
    process.communicate(timeout=240)
    journal = journal_of(runs)
    assert journal is not None
    assert {type(event).__name__ for event in events(journal.parent)} <= set(KINDS)
