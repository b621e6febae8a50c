"""What a host has on record of a load, in our words. What is neither proven done nor seen alive is LOST."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping

from drivers.host.tools import Spec, outcomes
from harness.workload import Job, JobState

SHOWN = 2000
"""Characters of a job's output that a report gets."""


def job_state(facts: Mapping[str, str]) -> JobState:
    """The state of a job from the host's facts."""
    if facts.get("stopped") == "yes":
        return JobState.RUNNING if _alive(facts) else JobState.STOPPED
    if _code(facts) is not None:
        # What the lease, the limit or the loss of its main process ended did not end by itself.
        return JobState.LOST if facts.get("ended") in ("lease", "orphan") else JobState.DONE
    return JobState.RUNNING if facts.get("boot") == "same" and _alive(facts) else JobState.LOST


def job_of(facts: Mapping[str, str], text: str = "", spec: Spec | None = None) -> Job:
    """One load as the host knows it; without its `spec` nothing is read out of its output."""
    name, state = facts.get("name", ""), job_state(facts)
    if facts.get("known") != "yes":
        return Job(name, JobState.LOST, None, (), "the host knows no such load")
    found = outcomes(spec, text, exit_code=_code(facts), done=state is JobState.DONE) if spec else ()
    shown = text[-SHOWN:]
    if state is JobState.LOST:
        shown = f"{_why_lost(facts)}\n{shown}"
    return Job(name, state, _code(facts), found, shown, restarted=facts.get("boot") == "changed")


def left_running(blocks: list[dict[str, str]]) -> list[str]:
    """The loads of which something is still alive."""
    return [each.get("name", "?") for each in blocks if each.get("known") == "yes" and _alive(each)]


def split(text: str) -> tuple[dict[str, str], str]:
    """The facts of one job, and the output behind them."""
    head, _, output = text.partition("\noutput=\n")
    blocks = split_all(head)
    return (blocks[0] if blocks else {}), output


def split_all(text: str) -> list[dict[str, str]]:
    """Facts job by job; each begins with its name."""
    blocks: list[dict[str, str]] = []
    for line in text.splitlines():
        key, equals, value = line.partition("=")
        if key == "name" and equals:
            blocks.append({})
        if equals and blocks:
            blocks[-1][key] = value
    return blocks


def piece(text: str, since: int, most: int) -> bytes:
    """A piece of a load's output from octet `since` on; raises ValueError, in words, where it is not all that is there.

    Nothing is a piece only where the output ends there: an output that is gone, or shorter than was read of it
    before, is no end.
    """
    facts, encoded = split(text)
    if facts.get("known") != "yes":
        raise ValueError("the host knows no such load")
    size = facts.get("size", "").strip()
    if not size.isascii() or not size.isdigit():
        raise ValueError("its output is gone")
    if int(size) < since:
        raise ValueError(f"its output has {size} octets, and {since} of it were read before")
    octets = base64.b64decode("".join(encoded.split()), validate=True)
    # It may have grown since its size was taken, never shrunk.
    if not min(most, int(size) - since) <= len(octets) <= most:
        raise ValueError(f"{len(octets)} octets came of {int(size) - since}")
    return octets


def _why_lost(facts: Mapping[str, str]) -> str:
    if facts.get("ended") == "lease":
        return "[ended by itself: the station did not renew its lease]"
    if facts.get("boot") == "changed":
        return "[lost: the host was restarted]"
    return "[lost: neither a result nor a process]"


def _alive(facts: Mapping[str, str]) -> bool:
    return facts.get("alive") != "no"


def _code(facts: Mapping[str, str]) -> int | None:
    word = facts.get("rc", "")
    return int(word) if re.fullmatch(r"[0-9]{1,3}", word) else None
