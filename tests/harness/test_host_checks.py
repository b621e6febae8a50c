"""The tools of hosts: what they could not look at, what they find, and that they were there at all."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from harness.checks import Check, CheckVerdict
from harness.errors import Unreachable
from harness.verdict import RunSummary, Verdict
from tests.failopen.bench import Bench, Tiny

LIMITS = {
    "host.checks.failed": {"unit": "count", "max": 0, "source": "test"},
    "host.checks.tools": {"unit": "count", "min": 2, "source": "test"},
}
LOOKED = [
    Check("smartctl", "/dev/nvme0", CheckVerdict.OK, "healthy"),
    Check("lspci", "0000:01:00.0", CheckVerdict.OK, "x16"),
    Check("ipmitool", "", CheckVerdict.NOTE, "not installed"),
]
FAILED = Check("smartctl", "/dev/nvme1", CheckVerdict.FAIL, "critical warning")
UNCLEAR = Check("nvme", "/dev/nvme1", CheckVerdict.UNCLEAR, "exit code 1: Permission denied")


def intake(bench: Bench, checks: Sequence[Check] | Exception, **answers: object) -> RunSummary:
    """Run the step of the shipped plan on a host whose tools say so."""
    plan = bench.shipped("test_10_intake", "test_hosts_in_band")
    return bench.run(bench.rack(LIMITS), plan, Tiny("tray-01-host", **(answers or {"checks": checks})))


@pytest.fixture
def sound(tmp_path: Path) -> Bench:
    """A bench whose host is sound."""
    bench = Bench(tmp_path)
    bench.passes(intake(bench, LOOKED))
    return bench


def test_a_unit_that_fell_short(sound: Bench) -> None:
    """FAIL: the tool found it so."""
    sound.ends(intake(sound, [*LOOKED, FAILED]), Verdict.FAIL, "host.checks.failed")
    assert "critical warning" in (sound.run_dir / "attachments" / "tray-01-host-checks.txt").read_text("utf-8")


def test_a_unit_that_could_not_be_looked_at(sound: Bench) -> None:
    """INCONCLUSIVE: it is not sound, and the tool is quoted."""
    summary = intake(sound, [*LOOKED, UNCLEAR])
    sound.ends(summary, Verdict.INCONCLUSIVE, "")
    assert any("nvme /dev/nvme1: exit code 1: Permission denied" in reason for reason in summary.reasons)


def test_a_unit_that_fell_short_beside_one_that_was_not_looked_at(sound: Bench) -> None:
    """FAIL: one that is broken is broken, whatever the others are."""
    sound.ends(intake(sound, [*LOOKED, FAILED, UNCLEAR]), Verdict.FAIL, "host.checks.failed")


@pytest.mark.parametrize("checks", [[], LOOKED[:1], LOOKED[1:]], ids=["none", "one", "one and a note"])
def test_tools_that_were_not_there(sound: Bench, checks: list[Check]) -> None:
    """FAIL: nothing was found because nothing looked."""
    sound.ends(intake(sound, checks), Verdict.FAIL, "host.checks.tools")


def test_a_host_that_does_not_answer_or_has_no_tools(sound: Bench) -> None:
    """INCONCLUSIVE: nothing was looked at."""
    sound.ends(intake(sound, Unreachable("tray-01-host", "look", "no answer")), Verdict.INCONCLUSIVE, "tray-01-host")
    sound.ends(intake(sound, [], entries=()), Verdict.INCONCLUSIVE, "tray-01-host")
