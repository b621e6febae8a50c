"""Runs side by side: each to its end, none after it, and none left when the one who started them is gone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from pathlib import Path

from harness.clock import Clock
from harness.journal import events as e
from harness.journal.lines import encode
from harness.journal.writer import JournalWriter
from harness.proof.campaign import Finished, Job, Running, Start, run_all
from harness.proof.results import Fault

JOBS = tuple(Job(None, seed) for seed in range(1, 5))
FOREVER = "import time; time.sleep(600)"


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def spawning(command: Callable[[Job, Path], Sequence[str]]) -> Start:
    """Starts what a command line says, in a session of its own."""

    def start(job: Job, runs: Path, said: Path) -> Running:
        with said.open("wb") as file:
            return subprocess.Popen(command(job, runs), stdout=file, stderr=file, start_new_session=True)

    return start


def run(code: str, folder: Path, jobs: Sequence[Job] = JOBS[:1], limit: float = 60.0) -> list[Finished]:
    with closing(run_all(jobs, spawning(lambda job, runs: python(code)), folder, at_once=2, limit=limit)) as finished:
        return list(finished)


def is_running(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text("utf-8")
    except OSError:
        return False
    return state.rpartition(")")[2].split()[0] not in ("Z", "X")


def test_every_job_is_run_once_and_its_folder_goes(tmp_path: Path) -> None:
    ended = run("pass", tmp_path, JOBS)
    assert sorted(one.job.seed for one in ended) == [1, 2, 3, 4]
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_did_not_begin_says_its_last_word(tmp_path: Path) -> None:
    (one,) = run("import sys; sys.exit('model.yaml:3: no such limit')", tmp_path)
    assert one.ran.problem == "it did not begin (exit code 1): model.yaml:3: no such limit"
    assert (one.ran.entries, one.run_dir) == ((), None)


def test_a_run_that_hangs_is_ended(tmp_path: Path) -> None:
    (one,) = run(FOREVER, tmp_path, limit=0.5)
    assert one.ran.problem.startswith("it hung: no end after")


def test_a_run_is_read_from_its_journal_and_an_exit_code_that_contradicts_it_is_told(tmp_path: Path) -> None:
    whole = tmp_path / "journal.jsonl"
    writer = JournalWriter(whole, Clock.real())
    writer.append(e.RunFinished("NOT_RUN"))
    writer.close()
    code = "import pathlib, shutil, sys; d = pathlib.Path(sys.argv[1]) / 'r' / 'attachments'; d.mkdir(parents=True)\n"
    code += f"shutil.copy({str(whole)!r}, d.parent); (d / 'simulation.jsonl').write_text('began'); sys.exit(CODE)"
    for number, problem in (("3", ""), ("0", "its journal says INCONCLUSIVE, and it ended with exit code 0")):

        def command(job: Job, runs: Path, number: str = number) -> list[str]:
            return [*python(code.replace("CODE", number)), str(runs)]

        with closing(run_all(JOBS[:1], spawning(command), tmp_path / number, at_once=1, limit=60.0)) as finished:
            for one in finished:
                assert (len(one.ran.entries), one.ran.history, one.ran.problem) == (1, "began", problem)
                assert one.run_dir is not None
                assert one.run_dir.is_dir()


def test_a_quick_run_is_told_to_stop_once_its_own_check_has_failed(tmp_path: Path) -> None:
    fault = Fault("n", "a.n", "d", "t", "limit", "link.speed", "switch-1/swp1")
    limit = e.LimitUsed("link.speed", "Gbit/s", "≥ 400 Gbit/s", "data sheet", minimum=400.0)
    failed = e.Measured("s", "link.speed", "switch-1/swp1", 1.0, "1", "", "good", "fail", limit)
    line = encode(e.Entry(0, "", "", 0.0, "", failed)).decode()
    code = "import pathlib, sys, time; d = pathlib.Path(sys.argv[1]) / 'r'; d.mkdir();"
    code += f"(d / 'journal.jsonl').write_text({line!r} + '\\n'); time.sleep(600)"

    def command(job: Job, runs: Path) -> list[str]:
        return [*python(code), str(runs)]

    with closing(run_all([Job(fault, 1)], spawning(command), tmp_path, at_once=1, limit=60.0, quick=True)) as finished:
        (one,) = list(finished)
    assert one.took < 60.0
    assert "hung" not in one.ran.problem


def test_what_is_under_way_ends_with_the_proof(tmp_path: Path) -> None:
    def command(job: Job, runs: Path) -> list[str]:
        return python(FOREVER if job.seed > 1 else "pass")

    def ours() -> set[str]:
        found: set[str] = set()
        for task in Path("/proc/self/task").iterdir():
            with suppress(OSError):  # a thread that has ended meanwhile
                found |= set((task / "children").read_text().split())
        return found

    others = ours()
    finished = run_all(JOBS, spawning(command), tmp_path, at_once=3, limit=60.0)
    next(finished)
    children = ours() - others
    assert len([child for child in children if is_running(int(child))]) >= 2
    finished.close()
    assert not any(is_running(int(child)) for child in children)


# It says that it is up where it is ready to be stopped, and not a moment before.
ORPHAN = (
    "from harness.signals import stop_without; import os, time; stop_without(os.getppid())\n"
    "try: print('up', flush=True); time.sleep(600)\nexcept KeyboardInterrupt: print('stopped in order', flush=True)"
)
PARENT = f"import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', {ORPHAN!r}]); time.sleep(600)"


def test_a_run_stops_in_order_when_its_parent_is_killed() -> None:
    parent = subprocess.Popen(python(PARENT), stdout=subprocess.PIPE)
    assert parent.stdout is not None
    with parent, parent.stdout as said:
        assert said.readline() == b"up\n"
        os.kill(parent.pid, signal.SIGKILL)
        # Everyone who could write has ended when this returns.
        assert said.read() == b"stopped in order\n"
