"""The station's end of the pipe: what it writes, what it makes of every answer, and that it waits for nothing."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.connection import Secret
from harness.errors import RackproofError
from harness.rack.definition import RackDefinition
from harness.safety import watchdog as room
from harness.safety.watchdog import Charge, DarkOutlets, Watchdog
from tests.failopen.bench import FLOW, Bench

PATIENCE = 60.0
ECHO = """
import sys
print('{"ready": true}', flush=True)
for line in sys.stdin:
    with open(sys.argv[1], "a") as file: file.write(line)
    if "farewell" in line: break
    print('{"heard": true}', flush=True)
"""
"""Ready at once, writes down what it is told, and ends at the farewell."""
DEAF = "import time; print('{\"ready\": true}', flush=True); time.sleep(600)"
"""Ready at once, and then neither reads nor ends."""
Start = Callable[..., Watchdog]
SECRETS = {"host": Secret("host", "swordfish-1"), "pdu": Secret("pdu", "swordfish-2")}


@pytest.fixture
def rack(tmp_path: Path) -> RackDefinition:
    return Bench(tmp_path).rack(FLOW)


@pytest.fixture
def start(tmp_path: Path, rack: RackDefinition, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Starts a watchdog whose process is a program of the test's own; none is left behind."""
    monkeypatch.setattr(room, "ENDING_TIME", PATIENCE)
    processes: list[subprocess.Popen[bytes]] = []
    made: list[Watchdog] = []
    real = subprocess.Popen

    def starting(program: str, **words: Any) -> Watchdog:
        def popen(command: list[str], **given: Any) -> subprocess.Popen[bytes]:
            assert command == [sys.executable, "-m", "harness.safety.watchdog_process"]
            given["env"].update(words.get("seen", {}))
            processes.append(real([sys.executable, "-S", "-c", program, str(tmp_path / "told")], **given))
            return processes[-1]

        monkeypatch.setattr(subprocess, "Popen", popen)
        made.append(Watchdog(Charge(rack, SECRETS, tmp_path, words.get("held", ()))))
        return made[-1]

    yield starting
    for process in processes:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None and not pipe.closed:
                with contextlib.suppress(OSError):
                    pipe.close()
    for each in made:
        each._reader.join(PATIENCE)


def told(folder: Path) -> list[dict[str, Any]]:
    file = folder / "told"
    whole, _, _ = (file.read_text("utf-8") if file.exists() else "").rpartition("\n")
    return [json.loads(line) for line in whole.splitlines()]


def test_its_times() -> None:
    """It beats thirty times before the station counts as hanging, and waits half a minute for an answer."""
    assert (room.BEAT, room.UNHEARD, room.READY_WITHIN, room.ENDING_TIME) == (0.5, 60, 60.0, 5.0)


def test_what_it_is_told_in_order(start: Start, tmp_path: Path, rack: RackDefinition) -> None:
    watchdog = start(ECHO)
    assert watchdog.pid == watchdog._process.pid
    watchdog.darkened(iter(["pdu-a/1"]))
    watchdog.cutting("at_once")
    watchdog.relieve("stuck")
    watchdog.dismiss()
    watchdog.cutting("never")
    watchdog.dismiss()
    charge, *news = told(tmp_path)
    assert charge == json.loads(json.dumps({
        "definition": rack.as_json(),
        "secrets": {"host": "swordfish-1", "pdu": "swordfish-2"},
        "run_dir": str(tmp_path.resolve()),
    }))  # fmt: skip
    assert news == [{"dark": ["pdu-a/1"]}, {"cut": "at_once"}, {"take_over": "stuck"}, {"farewell": True}]
    assert watchdog._process.returncode == 0
    assert watchdog._process.stdout is not None
    assert watchdog._process.stdout.closed
    assert watchdog._process.stdin is not None
    assert watchdog._process.stdin.closed


def test_it_inherits_what_it_has_to_hold_and_no_secret(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOST_PASSWORD", "swordfish-1")
    monkeypatch.setenv("SAID_OPENLY", "yes")
    read, write = os.pipe()
    with os.fdopen(read), os.fdopen(write):
        watchdog = start(ECHO, held=(write,))
        environment = Path(f"/proc/{watchdog.pid}/environ").read_bytes()
        assert b"SAID_OPENLY=yes" in environment
        assert b"swordfish" not in environment
        assert Path(f"/proc/{watchdog.pid}/fd/{write}").exists()
        assert os.getsid(watchdog.pid) == watchdog.pid
        watchdog.dismiss()


@pytest.mark.parametrize(
    ("program", "why"),
    [
        ("", "its process ended"),
        ('print(\'{"refused": "no reason"}\', flush=True); import time; time.sleep(600)', "no reason"),
    ],
)
def test_one_that_cannot_watch_is_refused_and_ended(start: Start, program: str, why: str) -> None:
    with pytest.raises(RackproofError, match=f"start the watchdog: {why}. Nothing was contacted; run rackproof doctor"):
        start(program)


def test_one_that_does_not_stand_in_time_is_ended(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "READY_WITHIN", 0.05)
    with pytest.raises(RackproofError, match="it was not ready within 0 s"):
        start("import time; time.sleep(600)")


def test_one_that_ends_is_missed_once(start: Start) -> None:
    watchdog, heard = start(ECHO), queue.SimpleQueue[str]()
    watchdog.call(heard.put)
    watchdog._process.kill()
    assert heard.get(timeout=PATIENCE) == "the watchdog's process has ended"
    watchdog.darkened(["pdu-a/1"])
    watchdog.cutting("never")
    assert heard.empty()
    watchdog.call(heard.put)
    assert heard.get(timeout=PATIENCE) == "the watchdog's process has ended"
    watchdog.dismiss()


def test_one_that_was_dismissed_is_not_missed(start: Start) -> None:
    watchdog, heard = start(ECHO), queue.SimpleQueue[str]()
    watchdog.call(heard.put)
    watchdog.dismiss()
    watchdog._reader.join(PATIENCE)
    assert heard.empty()


def test_one_that_takes_over_says_so(start: Start) -> None:
    heard = queue.SimpleQueue[str]()
    watchdog = start(ECHO.replace('{"heard": true}', '{"took_over": "it hangs"}'))
    watchdog.call(heard.put)
    watchdog.cutting("never")
    assert heard.get(timeout=PATIENCE) == "the watchdog has taken over: it hangs"
    watchdog.dismiss()


def test_one_that_takes_no_more_is_missed_and_holds_nobody_up(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "ENDING_TIME", 0.05)
    watchdog, heard = start(DEAF), queue.SimpleQueue[str]()
    watchdog.call(heard.put)
    watchdog.darkened(["x" * 2_000_000])
    assert heard.get(timeout=PATIENCE).startswith("the watchdog takes no more (")
    assert heard.empty()


def test_one_that_is_busy_is_not_waited_for(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is making the rack safe: its pipe is closed, so that it ends after that, and its answers are still read."""
    monkeypatch.setattr(room, "ENDING_TIME", 0.05)
    watchdog = start(DEAF)
    watchdog.dismiss()
    assert watchdog._process.poll() is None
    assert watchdog._process.stdin is not None
    assert watchdog._process.stdin.closed
    assert watchdog._process.stdout is not None
    assert not watchdog._process.stdout.closed


def beat(watchdog: Watchdog, until: Callable[[], bool]) -> None:
    """Beat until something has happened."""

    async def main() -> None:
        task = asyncio.create_task(watchdog.beat())
        async with asyncio.timeout(PATIENCE):
            while not until():  # noqa: ASYNC110 - what it waits for is a process
                await asyncio.sleep(0.005)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(main())


def test_a_beat_that_is_answered_counts_from_anew(start: Start, tmp_path: Path) -> None:
    watchdog = start(ECHO)
    watchdog._unheard = 7
    # What answered the charge may come late: that is no answer to a beat.
    beat(watchdog, lambda: {} in told(tmp_path) and watchdog._unheard == 0)
    watchdog.dismiss()
    *beats, last = told(tmp_path)[1:]
    assert beats
    assert all(each == {} for each in beats)
    assert last == {"farewell": True}


def test_one_that_answers_no_more_is_missed(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "BEAT", 0.0)
    monkeypatch.setattr(room, "UNHEARD", 3)
    watchdog, heard = start(DEAF), list[tuple[int, str]]()
    watchdog.call(lambda why: heard.append((watchdog._unheard, why)))
    beat(watchdog, lambda: bool(heard))
    assert heard == [(4, "the watchdog answers no more")]
    os.kill(watchdog.pid, signal.SIGKILL)


def test_dark_outlets_are_a_set_like_any_other() -> None:
    dark = DarkOutlets()
    dark.add("pdu-a/1")
    dark.add("pdu-a/1")
    assert (list(dark), len(dark)) == (["pdu-a/1"], 1)
    assert "pdu-a/1" in dark
    assert "pdu-a/2" not in dark
    for outlet in dark:
        dark.discard(outlet)
    dark.discard("pdu-a/1")
    assert (list(dark), len(dark)) == ([], 0)
