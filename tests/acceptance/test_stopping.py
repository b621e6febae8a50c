"""A run that is stopped, killed or starved of disk leaves no load running and no evidence lost."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.journal.events import MadeSafe, SafetyAction, StopRequested
from harness.journal.reader import read_journal
from harness.rack.load import model_path
from tests.acceptance.runs import RACKPROOF, ROOT, rackproof
from tests.acceptance.terminals import loads

PLAN = ROOT / "test_plans" / "rack"
BURN_IN = str(PLAN / "test_40_burn_in.py")
POWER = str(PLAN / "test_20_power.py")
"""One file is a plan, too: what is to be stopped comes at once."""
PATIENCE = 240
"""Wall seconds to wait for something that must happen; far more than it takes."""


def wait_for(happened: Callable[[], bool], process: subprocess.Popen[str] | None = None) -> None:
    """Wait until something has happened; fails when the process ends first."""
    until = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < until, "it never happened"
        assert process is None or process.poll() is None, "the run ended before it happened"
        time.sleep(0.1)


def start(*arguments: str, **variables: str) -> subprocess.Popen[str]:
    """Start the command in a process group of its own, as a terminal does; with these environment variables, too."""
    return subprocess.Popen(
        [*RACKPROOF, *arguments],
        cwd=ROOT,
        env=os.environ | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )


def journal_of(runs: Path) -> Path | None:
    """The journal of the only run in a folder, once there is one."""
    return next(iter(runs.glob("*/journal.jsonl")), None)


def said_in(runs: Path, text: str) -> bool:
    """Whether the journal of the only run in a folder says this already."""
    journal = journal_of(runs)
    return journal is not None and text in journal.read_text("utf-8")


def under_load(runs: Path) -> bool:
    """Whether burn-in has begun and its loads are on."""
    return said_in(runs, "all hosts under load")


def long_without_a_feed(folder: Path) -> str:
    """The shipped model with feeds that stay off until whoever waits for that has seen it; its file."""
    model = folder / "bench4.yaml"
    text = model_path("bench4").read_text("utf-8")
    assert "  feed-loss: 30\n" in text
    model.write_text(text.replace("  feed-loss: 30\n", "  feed-loss: 72000\n"), "utf-8")
    return str(model)


def test_ctrl_c_in_burn_in(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    process = start("run", "--simulate", "bench4", "--plan", BURN_IN, "--runs", str(runs), "--json")
    try:
        wait_for(lambda: under_load(runs), process)
        # The whole foreground group gets it, as from a keyboard.
        os.killpg(process.pid, signal.SIGINT)
        out, said = process.communicate(timeout=PATIENCE)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 4, said
    assert "Traceback" not in said
    result = json.loads(out.strip().splitlines()[-1])
    assert (result["verdict"], result["made_safe"]) == ("ABORTED", True)
    directory = Path(result["run_dir"])
    events = [entry.event for entry in read_journal(directory / "journal.jsonl").entries]
    assert any(isinstance(event, StopRequested) for event in events)
    stopped = {event.device for event in events if isinstance(event, SafetyAction) and event.action == "stop loads"}
    assert stopped == {f"tray-0{number}-host" for number in range(1, 5)}
    assert all(event.confirmed for event in events if isinstance(event, MadeSafe))
    assert not (directory / "certificate.pdf").exists()
    checked = rackproof("verify", str(directory))
    assert checked.returncode == 0, checked.stdout
    assert "ABORTED" in checked.stdout


def test_ctrl_c_while_a_feed_is_off_brings_it_back(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    model = long_without_a_feed(tmp_path)
    process = start("run", "--simulate", model, "--plan", POWER, "--runs", str(runs), "--json")
    try:
        wait_for(lambda: said_in(runs, "feed pdu-a off"), process)
        os.killpg(process.pid, signal.SIGINT)
        out, said = process.communicate(timeout=PATIENCE)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 4, said
    result = json.loads(out.strip().splitlines()[-1])
    assert result["made_safe"] is True
    events = [entry.event for entry in read_journal(Path(result["run_dir"]) / "journal.jsonl").entries]
    back = {
        (event.device, event.action)
        for event in events
        if isinstance(event, SafetyAction) and event.confirmed and "back on" in event.action
    }
    assert back == {("pdu-a", f"switch outlet {number} back on") for number in range(1, 5)}


def test_a_disk_that_fills_up_in_the_middle(tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=70m", "tmpfs", str(small)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("a small file system cannot be mounted here (needs root)")
    # What runs on its hosts lies below this folder, and can be told from what the runs of others have there.
    hosts = tmp_path / "hosts"
    hosts.mkdir()
    words = ("--simulate", "bench4", "--plan", BURN_IN, "--runs", str(small))
    process = start("run", *words, TMPDIR=str(hosts))
    try:
        wait_for(lambda: under_load(small) and bool(loads(hosts)), process)
        with contextlib.suppress(OSError), (small / "ballast").open("wb", buffering=0) as ballast:
            while True:
                ballast.write(bytes(1 << 16))
        out, said = process.communicate(timeout=PATIENCE)
        assert process.returncode == 4, out + said
        assert "Traceback" not in out + said
        assert "EVIDENCE IS INCOMPLETE" in out
        assert not loads(hosts)
        found = journal_of(small)
        assert found is not None
        assert read_journal(found).entries
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(PATIENCE)
        subprocess.run(["umount", "-l", str(small)], check=True)
