"""What signals mean, moment by moment, and that a reader who has gone costs no exit code."""

from __future__ import annotations

import io
import os
import signal
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from harness.commands import run as command
from harness.signals import Stops, interruptible, stopping_on_signals


class Left(Exception):
    """What leaving the process is in a test: its exit code."""


@dataclass
class Rack:
    """A session that only remembers."""

    stopped: list[tuple[str, str]] = field(default_factory=list)
    is_watched: bool = True
    left: tuple[str, ...] = ("tray-01-host: stop loads",)

    def stop(self, by: str, text: str) -> None:
        self.stopped.append((by, text))

    def unconfirmed(self) -> list[str]:
        return list(self.left)


@pytest.fixture(autouse=True)
def leaving(monkeypatch: pytest.MonkeyPatch) -> None:
    def leave(code: int) -> None:
        raise Left(code)

    monkeypatch.setattr(os, "_exit", leave)


def stops(rack: Any, output: io.StringIO) -> Stops:
    return Stops(lambda: rack, output)


@pytest.mark.parametrize(
    ("rack", "said"),
    [
        (Rack(is_watched=False, left=()), "ABANDONED. The rack was made safe, and all of that was read back"),
        (Rack(is_watched=True, left=()), "Not confirmed safe, go and look: unknown. The watchdog goes on"),
        (Rack(is_watched=False), "go and look: tray-01-host: stop loads.\n"),
    ],
)
def test_what_is_abandoned_is_called_what_it_is(rack: Rack, said: str) -> None:
    output = io.StringIO()
    answering = stops(rack, output)
    for _ in range(2):
        answering.take(signal.SIGINT, None)
    with pytest.raises(Left, match="4"):
        answering.take(signal.SIGINT, None)
    assert said in output.getvalue()


def test_once_stops_twice_informs_thrice_abandons() -> None:
    rack, output = Rack(), io.StringIO()
    answering = stops(rack, output)
    answering.take(signal.SIGINT, None)
    assert rack.stopped == [("Ctrl-C", "stopping the loads and making the rack safe")]
    assert not output.getvalue(), "the run's own screen says it"
    answering.take(signal.SIGTERM, None)
    assert "Already stopping" in output.getvalue()
    with pytest.raises(Left, match="4"):
        answering.take(signal.SIGHUP, None)
    assert (
        "ABANDONED. Not confirmed safe, go and look: tray-01-host: stop loads. The watchdog goes on"
        in output.getvalue()
    )
    assert len(rack.stopped) == 1


def test_nothing_is_said_of_a_watchdog_that_is_not_there() -> None:
    output = io.StringIO()
    answering = stops(Rack(is_watched=False), output)
    answering.take(signal.SIGINT, None)
    answering.take(signal.SIGINT, None)
    with pytest.raises(Left):
        answering.take(signal.SIGINT, None)
    assert "watchdog" not in output.getvalue()


def test_before_there_is_a_session_it_interrupts_and_is_remembered() -> None:
    answering = stops(None, io.StringIO())
    with pytest.raises(KeyboardInterrupt):
        answering.take(signal.SIGHUP, None)
    assert answering.requested == "SIGHUP"


def test_while_reports_are_written_once_informs_and_twice_leaves() -> None:
    rack, output = Rack(), io.StringIO()
    answering = stops(rack, output)
    answering.take(signal.SIGINT, None)
    answering.report(Path("runs/one"))
    answering.take(signal.SIGINT, None)
    assert "The rack is safe and the run is over" in output.getvalue()
    with pytest.raises(Left, match="4"):
        answering.take(signal.SIGINT, None)
    assert "rackproof report runs/one writes them" in output.getvalue()
    assert len(rack.stopped) == 1


def test_a_terminal_that_is_gone_keeps_nobody_from_stopping() -> None:
    output = io.StringIO()
    output.close()
    answering = stops(Rack(), output)
    answering.take(signal.SIGHUP, None)
    answering.take(signal.SIGHUP, None)
    with pytest.raises(Left):
        answering.take(signal.SIGHUP, None)


def test_handlers_are_put_back() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    with interruptible(), stopping_on_signals(lambda: None, io.StringIO()):
        assert signal.getsignal(signal.SIGTERM) not in before
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)] == before


def test_a_hang_up_that_was_ignored_stays_so() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with interruptible():
            os.kill(os.getpid(), signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_sigterm_interrupts_before_anything_is_contacted() -> None:
    with interruptible():
        answer = signal.getsignal(signal.SIGTERM)
    assert callable(answer)
    with pytest.raises(KeyboardInterrupt):
        answer(signal.SIGTERM, None)


def test_a_reader_who_has_gone_costs_no_exit_code() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "w", encoding="utf-8") as stream:
        command._say(stream, "a line\n")
        command._say(stream, "another\n")
