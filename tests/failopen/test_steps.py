"""Steps: what is skipped, swallowed, tried again, left out or never begun."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from harness.errors import Unreachable, Unsupported
from harness.journal.reader import read_journal
from harness.running import write_reports
from harness.verdict import Verdict, fold
from tests.failopen.bench import FLOW, HEAD, Bench, Tiny

GOOD = "measure('thermal.flow', 12.0, 'rack')"
BAD = "measure('thermal.flow', 95.0, 'rack')"
TRAYS = {"tray-01": ["compute_tray"], "tray-02": ["compute_tray"]}
ONE_EACH = '@pytest.mark.measures("thermal.flow", per="compute_tray")'
ALL = """
for tray, _ in await compute_trays.each(lambda tray: tray.ask(LeakDetection).leaks()):
    measure('thermal.flow', 1, tray.slot)
"""


FULL = """
import pathlib
import resource
journals = sorted(pathlib.Path({!r}).glob("*/journal.jsonl"), key=lambda file: file.stat().st_mtime)
resource.setrlimit(resource.RLIMIT_FSIZE, (journals[-1].stat().st_size + 10, {}))
"""
"""No file may grow beyond what the journal of this run holds so far, and ten octets."""


def leaky(device: str, **answers: object) -> Tiny:
    return Tiny(device, **({"leaks": ()} | answers))


@pytest.mark.peer(
    "HardPy 0.25.2", "95 and 96 degC fail, the third attempt passes: the first two are gone from the record", "executed"
)
def test_tried_again_until_it_passes(bench: Bench) -> None:
    """FAIL: every attempt is a measurement of its own, kept and judged."""
    rack = bench.rack(FLOW)
    tries = "for value in ({}):\n    if measure('thermal.flow', value, 'rack') is Judgement.PASS:\n        break"
    plan = HEAD.replace("import pytest", "import pytest\nfrom harness.limits import Judgement") + bench.step(
        tries
    ).removeprefix(HEAD)
    bench.passes(bench.run(rack, plan.format("79.0,")))
    bench.ends(bench.run(rack, plan.format("95.0, 96.0, 79.0")), Verdict.FAIL, "thermal.flow is 95.0")
    assert [measured.value for measured in bench.measured()] == [95.0, 96.0, 79.0]


@pytest.mark.peer("OpenTAP #12, Checkbox #2120", "repeat with retry clears an error: pass", "issue")
def test_a_device_that_answers_the_second_time(bench: Bench) -> None:
    """INCONCLUSIVE: the first failure is in the journal, and a later answer does not take it back."""
    rack = bench.rack(FLOW, TRAYS)
    twice = f"await compute_trays.each(lambda tray: tray.ask(LeakDetection).leaks())\n{ALL}"
    plan = bench.step(twice, ONE_EACH, "compute_trays, measure")
    bench.passes(bench.run(rack, plan, leaky("tray-01"), leaky("tray-02")))
    answers = iter([Unreachable("tray-02", "read its detectors", "no answer"), ()])
    flaky = leaky("tray-02", leaks=lambda: next(answers))
    bench.ends(
        bench.run(rack, plan, leaky("tray-01"), flaky), Verdict.INCONCLUSIVE, "tray-02: read its detectors: no answer"
    )
    assert len(bench.measured()) == 2


@pytest.mark.peer(
    "cluster-readiness-engine #71, gcm",
    "what was skipped is PASSED; a kill switch ends the check with OK",
    "issue; read",
)
def test_a_step_that_takes_itself_out(bench: Bench) -> None:
    """INCONCLUSIVE or FAIL: pytest's word is not asked, and what was to be measured was not."""
    rack = bench.rack(FLOW)
    bench.passes(bench.run(rack, bench.step(GOOD)))
    for how in ("pytest.skip('not today')", "pytest.xfail('known')", "pytest.fail('odd')", "raise AssertionError"):
        found = bench.run(rack, bench.step(f"if True:\n    {how}\n{GOOD}"))
        bench.ends(found, Verdict.INCONCLUSIVE, "It holds: the")
    found = bench.run(rack, bench.step(f"if True:\n    return\n{GOOD}"))
    bench.ends(found, Verdict.FAIL, "declared but never measured")


@pytest.mark.peer(
    "NVIDIA Infra Controller", "a pre-condition or a configuration that failed ends with 0, Skipped", "read"
)
def test_a_step_that_is_marked_to_be_skipped(bench: Bench) -> None:
    """NOT_RUN: it stands in the plan, so it is missed."""
    rack = bench.rack(FLOW)
    bench.passes(bench.run(rack, bench.step(GOOD)))
    for mark in ("skip(reason='not today')", "skipif(True, reason='x')", "xfail(run=False)"):
        marks = f'@pytest.mark.{mark}\n@pytest.mark.measures("thermal.flow")'
        bench.ends(bench.run(rack, bench.step(GOOD, marks)), Verdict.NOT_RUN, "never started")


@pytest.mark.peer("TofuPilot framework", "an outcome that Python sets stands above the limits of the file", "read")
def test_an_outcome_that_the_step_gives_itself(bench: Bench) -> None:
    """FAIL: a mark that expects the failure, and a step that catches everything, change nothing that was measured."""
    rack = bench.rack(FLOW)
    marks = '@pytest.mark.xfail(reason="known")\n@pytest.mark.measures("thermal.flow")'
    bench.passes(bench.run(rack, bench.step(GOOD, marks)))
    bench.ends(bench.run(rack, bench.step(BAD, marks)), Verdict.FAIL, "thermal.flow is 95.0")


@pytest.mark.peer(
    "CVS", "failures go to a list, and a second call turns them into a failure: forgotten, it passes", "read"
)
def test_a_failure_that_nobody_follows_up(bench: Bench) -> None:
    """FAIL: to measure is to record; what the step does afterwards is its own affair."""
    rack = bench.rack(FLOW)
    body = "with contextlib.suppress(Exception):\n    {}\n    raise ValueError\nreturn True"
    bench.passes(bench.run(rack, bench.step(body.format(GOOD))))
    bench.ends(bench.run(rack, bench.step(body.format(BAD))), Verdict.FAIL, "thermal.flow is 95.0")


@pytest.mark.peer("NVIDIA Infra Controller", "a switch is validated by a TODO, a partition by a stub: Ready", "read")
def test_a_step_that_is_not_written_yet(bench: Bench) -> None:
    """REFUSED or FAIL: a step that declares nothing is no step; one that declares and does nothing fails."""
    rack = bench.rack(FLOW)
    bench.passes(bench.run(rack, bench.step(GOOD)))
    bench.refuses(lambda: bench.run(rack, bench.step("pass", "")), "measures nothing proves nothing")
    bench.ends(bench.run(rack, bench.step("pass  # TODO")), Verdict.FAIL, "declared but never measured")


@pytest.mark.peer(
    "NVIDIA Infra Controller #740",
    "deleted tests would have continued passing with the handler completely broken",
    "issue",
)
def test_a_step_that_was_deleted(bench: Bench) -> None:
    """INCONCLUSIVE: the limit that it judged is left over."""
    rack = bench.rack(FLOW | {"thermal.rise": {"unit": "K", "max": 15, "source": "test"}})
    both = bench.step(GOOD) + bench.step(
        "measure('thermal.rise', 9.0, 'rack')", '@pytest.mark.measures("thermal.rise")'
    ).removeprefix(HEAD).replace("test_it", "test_rise")
    bench.passes(bench.run(rack, both))
    bench.ends(bench.run(rack, bench.step(GOOD)), Verdict.INCONCLUSIVE, "1 limits of the model unjudged: thermal.rise")


@pytest.mark.peer("cluster-readiness-engine #71", "nodes that were left out are PASSED", "issue")
def test_a_device_that_was_deselected(bench: Bench) -> None:
    """NOT_RUN: what was collected is planned, also what the command line leaves out."""
    rack = bench.rack(FLOW, TRAYS)
    plan = bench.step("measure('thermal.flow', 1, compute_tray.slot)", takes="compute_tray, measure")
    bench.passes(bench.run(rack, plan))
    bench.ends(
        bench.run(rack, plan, arguments=["-k", "not tray-02"]), Verdict.NOT_RUN, "It holds [tray-02]: never started"
    )


@pytest.mark.peer("ai-cloud-validation #657", "a part of a check is skipped, and the whole passes", "issue")
def test_a_device_that_cannot_be_asked(bench: Bench) -> None:
    """INCONCLUSIVE: the device that has no such ability is named."""
    rack = bench.rack(FLOW, TRAYS)
    plan = bench.step(ALL, ONE_EACH, "compute_trays, measure")
    bench.passes(bench.run(rack, plan, leaky("tray-01"), leaky("tray-02")))
    bench.ends(bench.run(rack, plan, leaky("tray-01")), Verdict.INCONCLUSIVE, "tray-02: ask for LeakDetection")


@pytest.mark.peer(
    "Azure HPC health checks", "the metadata service is down: SKU '' is not supported, exit code 0", "executed"
)
def test_a_device_that_is_said_not_to_be_supported(bench: Bench) -> None:
    """INCONCLUSIVE: what a device cannot do is no answer to what was asked of it."""
    rack = bench.rack(FLOW, TRAYS)
    plan = bench.step(ALL, ONE_EACH, "compute_trays, measure")
    bench.passes(bench.run(rack, plan, leaky("tray-01"), leaky("tray-02")))
    unknown = leaky("tray-02", leaks=Unsupported("tray-02", "read its detectors", "model '' is not supported"))
    bench.ends(bench.run(rack, plan, leaky("tray-01"), unknown), Verdict.INCONCLUSIVE, "model '' is not supported")


@pytest.mark.peer(
    "ai-cloud-validation #652, NVIDIA Infra Controller",
    "a check that finds nothing configured marks itself passed; zero results are a success",
    "issue; read",
)
def test_a_loop_over_nothing(bench: Bench) -> None:
    """REFUSED or FAIL: a step for devices that the rack has not is none; a loop that never turned measured nothing."""
    loop = "for cdu in cdus:\n    measure('thermal.flow', 1, cdu.slot)"
    plain = bench.step(loop, takes="cdus, measure")
    bench.passes(bench.run(bench.rack(FLOW, {"cdu-1": ["cdu"]}), plain))
    none = bench.rack(FLOW, TRAYS)
    bench.ends(bench.run(none, plain), Verdict.FAIL, "declared but never measured")
    each = bench.step(loop, '@pytest.mark.measures("thermal.flow", per="cdu")', "cdus, measure")
    bench.refuses(lambda: bench.run(none, each), "measures nothing proves nothing")


@pytest.mark.peer("CVS", "a check of zero hosts passes", "executed")
def test_a_role_that_no_device_has(bench: Bench) -> None:
    """NOT_RUN: one step a device, and no device, is a step that never ran."""
    plan = bench.step("measure('thermal.flow', 1, host.slot)", takes="host, measure")
    bench.passes(bench.run(bench.rack(FLOW), plan))
    bench.ends(bench.run(bench.rack(FLOW, TRAYS), plan), Verdict.NOT_RUN, "never started")


@pytest.mark.peer(
    "our own list",
    "what an earlier phase should have left is not there, and is taken as given",
    "–",
)
def test_a_step_that_needs_what_an_earlier_one_did_not_leave(bench: Bench) -> None:
    """INCONCLUSIVE: nothing may be assumed of a step that failed."""
    rack = bench.rack(FLOW)
    body = "{}\nmeasure('thermal.flow', rack.kept('flow', float), 'rack')"
    bench.passes(bench.run(rack, bench.step(body.format("rack.keep('flow', 12.0)"), takes="rack, measure")))
    bench.ends(
        bench.run(rack, bench.step(body.format("pass"), takes="rack, measure")),
        Verdict.INCONCLUSIVE,
        "no earlier step has left 'flow'",
    )


@pytest.mark.peer("TofuPilot framework", "run_outcome.unwrap_or(Pass): a run that says nothing has passed", "read")
def test_a_run_without_an_outcome(bench: Bench) -> None:
    """ABORTED: a journal that has no end is that of a run that was interrupted, whatever was measured before."""
    bench.passes(bench.run(bench.rack(FLOW), bench.step(GOOD)))
    entries = read_journal(bench.run_dir / "journal.jsonl").entries
    bench.ends(fold(entries[:-1]), Verdict.ABORTED, "its journal has no end")
    for length in range(len(entries)):
        assert fold(entries[:length]).verdict is not Verdict.PASS


@pytest.mark.peer(
    "gpud #381, SuperBench #626",
    "after a restart a real fault reads Healthy; the same data are accepted once and once not",
    "issue",
)
def test_a_verdict_asked_for_after_a_restart(bench: Bench) -> None:
    """FAIL: the verdict is derived from the journal each time, and nothing is held in memory."""
    rack = bench.rack(FLOW)
    bench.passes(bench.run(rack, bench.step(GOOD)))
    bench.ends(bench.run(rack, bench.step(BAD)), Verdict.FAIL, "thermal.flow is 95.0")
    bad = bench.run_dir
    bench.passes(bench.run(rack, bench.step(GOOD)))
    again = fold(read_journal(bad / "journal.jsonl").entries)
    bench.ends(again, Verdict.FAIL, "thermal.flow is 95.0")


@pytest.mark.peer("cluster-readiness-engine #176", "the reason is missing from the report", "issue")
def test_a_report_without_a_reason(bench: Bench) -> None:
    """INCONCLUSIVE: whatever is no pass has a reason, and every report says it."""
    rack = bench.rack(FLOW)
    bench.passes(bench.run(rack, bench.step(GOOD)))
    bench.ends(bench.run(rack, bench.step("raise ValueError('odd weather')")), Verdict.INCONCLUSIVE, "odd weather")
    _, failed = write_reports(bench.run_dir, None)
    assert failed == []
    for file in ("report.html", "junit.xml", "ocptv.jsonl"):
        assert "odd weather" in (bench.run_dir / file).read_text("utf-8"), file


@pytest.mark.peer("NVIDIA Infra Controller", "a result that cannot be stored is logged, and the run goes on", "read")
def test_a_result_that_cannot_be_stored(bench: Bench) -> None:
    """ABORTED: the run is stopped at the first line that does not reach the disk."""
    rack = bench.rack(FLOW)
    bench.passes(bench.run(rack, bench.step(GOOD)))
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        found = bench.run(rack, bench.step(FULL.format(str(bench.folder), most) + GOOD))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    bench.ends(found, Verdict.ABORTED, "its journal has no end")


@pytest.mark.peer(
    "OpenHTF 1.6.3, Checkbox",
    "killed in phase 2 there is no record at all; a job that was to reboot is passed when the session is back",
    "executed; read",
)
def test_a_run_that_was_killed(bench: Bench) -> None:
    """ABORTED: every event that bears on the verdict is on disk when it happens."""
    rack = bench.rack(FLOW)
    bench.passes(bench.run(rack, bench.step(GOOD)))
    script = textwrap.dedent(
        f"""
        from pathlib import Path
        from tests.failopen.bench import FLOW, Bench
        bench = Bench(Path({str(bench.folder)!r}))
        body = "import os\\n{GOOD}\\nprint(flush=True)\\nos.kill(os.getpid(), 9)"
        bench.run(bench.rack(FLOW), bench.step(body))
        """
    )
    root = Path(__file__).parents[2]
    before = {path.parent for path in bench.folder.glob("*/journal.jsonl")}
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=root, env=os.environ | {"PYTHONPATH": str(root)}, check=False, timeout=60
    )
    assert done.returncode == -signal.SIGKILL
    (killed,) = {path.parent for path in bench.folder.glob("*/journal.jsonl")} - before
    found = fold(read_journal(killed / "journal.jsonl").entries)
    bench.ends(found, Verdict.ABORTED, "its journal has no end")
    assert [measured.value for measured in found.steps[0].measurements] == [12.0]
