"""Values: what is no number, what came after a bad one, and what nobody compares with anything."""

from __future__ import annotations

import json
import math
from functools import partial
from typing import Any

import pytest

from harness.quantities import Quality, Reading, Unit
from harness.rack.load import load_definition
from harness.verdict import Verdict
from tests.failopen.bench import FLOW, Bench, Tiny

THREE = "for value in (5.0, {}, 6.0):\n    measure('thermal.flow', value, 'rack')"
ONE = "measure('thermal.flow', {}, 'rack')"
MEAN = """
from harness.telemetry.statistics import mean
for _ in range(1200):
    if len(rack.window.history("cdu-1", "coolant.flow")) >= 8:
        break
    await rack.wait_seconds(1, "sampling")
measure("thermal.flow", mean(rack.window.history("cdu-1", "coolant.flow")), "cdu-1")
"""
ASKED = "measure('thermal.flow', await cdu.ask(CoolantLoop).coolant(), cdu.slot)"


@pytest.mark.peer("OpenHTF 1.6.3", "5, then 50, then 6 within 0 … 10: the last write wins", "executed")
def test_a_later_good_value_over_a_bad_one(bench: Bench) -> None:
    """FAIL: all three values are in the journal, and one that failed is washed out by none."""
    rack = bench.rack(FLOW)
    bench.passes(bench.run(rack, bench.step(THREE.format(7.0))))
    bench.ends(bench.run(rack, bench.step(THREE.format(500.0))), Verdict.FAIL, "thermal.flow is 500.0")
    assert [measured.value for measured in bench.measured()] == [5.0, 500.0, 6.0]


@pytest.mark.peer("node-scraper 1.2.0", 'NaN, "NaN" and True are within max: 80', "executed")
def test_what_is_no_number(bench: Bench) -> None:
    """INCONCLUSIVE: it cannot be judged, and the step says so."""
    rack = bench.rack(FLOW)
    bench.passes(bench.run(rack, bench.step(ONE.format(12.0))))
    for value in ("float('nan')", "'NaN'", "True", "float('-inf')", "10 ** 400", "'12'", "None"):
        bench.ends(bench.run(rack, bench.step(ONE.format(value))), Verdict.INCONCLUSIVE, "could not be judged")


@pytest.mark.peer("ocptv 0.1.7, HardPy 0.25.2", "NaN is written as bare NaN, which is no JSON", "executed")
def test_nan_in_the_record(bench: Bench) -> None:
    """INCONCLUSIVE: the record holds no value at all, and every line of it is JSON (RFC 8259)."""

    def refuse(word: str) -> None:
        raise AssertionError(f"bare {word}")

    rack = bench.rack(FLOW)
    bench.passes(bench.run(rack, bench.step(ONE.format(12.0))))
    bench.ends(bench.run(rack, bench.step(ONE.format("float('nan')"))), Verdict.INCONCLUSIVE, "could not be judged")
    for line in (bench.run_dir / "journal.jsonl").read_text("utf-8").splitlines():
        json.loads(line, parse_constant=refuse)
    assert [measured.value for measured in bench.measured()] == [None]


@pytest.mark.peer("SuperBench", "a metric of NaN under a rule of variance or value: the node is accepted", "executed")
def test_the_mean_of_samples_one_of_which_is_nan(bench: Bench) -> None:
    """INCONCLUSIVE: statistics over what is unusable are NaN, and NaN passes no limit."""
    rack = bench.rack(FLOW, {"cdu-1": ["cdu"]})
    plan = bench.step(MEAN, takes="rack, measure")

    def cdu(bad: float) -> Tiny:
        flow = ("coolant.flow", "")
        return Tiny(
            "cdu-1", **bench.telemetry("cdu-1", Unit.LITRE_PER_MINUTE, lambda n: {flow: bad if n == 3 else 30.0})
        )

    bench.passes(bench.run(rack, plan, cdu(30.0)))
    bench.ends(bench.run(rack, plan, cdu(math.nan)), Verdict.INCONCLUSIVE, "could not be judged")


@pytest.mark.peer("SuperBench", "a metric that is missing is no violation", "executed")
def test_a_value_that_was_never_taken(bench: Bench) -> None:
    """FAIL: what a step declares and does not measure fails it."""
    rack = bench.rack(FLOW)
    bench.passes(bench.run(rack, bench.step(ONE.format(12.0))))
    bench.ends(bench.run(rack, bench.step("pass")), Verdict.FAIL, "declared but never measured: thermal.flow")


@pytest.mark.peer(
    "TofuPilot framework", "only what was recorded is looked at: a declared measurement may be missing", "read"
)
def test_a_declared_subject_without_a_measurement(bench: Bench) -> None:
    """FAIL: each subject of the definition is asked for by name."""
    rack = bench.rack(FLOW, {"tray-01": ["compute_tray"], "tray-02": ["compute_tray"]})
    marks = '@pytest.mark.measures("thermal.flow", per="compute_tray")'
    both = bench.step(
        "for tray in compute_trays:\n    measure('thermal.flow', 1, tray.slot)", marks, "compute_trays, measure"
    )
    bench.passes(bench.run(rack, both))
    first = both.replace("in compute_trays:", "in list(compute_trays)[:1]:")
    bench.ends(bench.run(rack, first), Verdict.FAIL, "never measured: thermal.flow@tray-02")


@pytest.mark.peer(
    "ocptv 0.1.7", "a value of 5 with the validator LESS_THAN 1: validators are written, never evaluated", "executed"
)
def test_a_limit_is_judged_by_whoever_records(bench: Bench) -> None:
    """FAIL: there is no way to record a value beside its limit without comparing them."""
    rack = bench.rack({"thermal.flow": {"unit": "L/min", "max": 1, "source": "test"}})
    bench.passes(bench.run(rack, bench.step(ONE.format(0.5))))
    bench.ends(bench.run(rack, bench.step(ONE.format(5))), Verdict.FAIL, "thermal.flow is 5, limit ≤ 1 L/min")


@pytest.mark.peer(
    "HardPy 0.25.2", "limits without an operation are decoration: 95 degC within 0 … 80 passes", "executed"
)
def test_a_limit_without_bounds(bench: Bench) -> None:
    """REFUSED: a limit says exactly one thing to judge by, or says that it is only recorded."""
    bench.passes(bench.run(bench.rack(FLOW), bench.step(ONE.format(12.0))))
    bare = {"thermal.flow": {"unit": "L/min", "source": "test"}}
    bench.refuses(lambda: bench.rack(bare), "must have exactly one of: min and/or max")


MEANINGLESS: list[tuple[dict[str, Any], str]] = [
    ({"unit": "L/min", "max": "80"}, "limits.thermal.flow.max"),
    ({"unit": "L/min", "max": True}, "limits.thermal.flow.max"),
    ({"unit": "L/min", "matches": "[0-9", "max": 80}, "matches"),
    ({"unit": "L/min", "operator": "LTE", "max": 80}, "operator"),
    ({"unit": "degC", "max": 80}, "measured in L/min, not in degC"),
    ({"unit": "litres", "max": 80}, "limits.thermal.flow.unit"),
]


@pytest.mark.peer(
    "TofuPilot framework",
    "a wrong type, a bad pattern or an unknown operator leaves the validator unset, and unset passes",
    "read",
)
def test_a_limit_that_means_nothing(bench: Bench) -> None:
    """REFUSED: the model is wrong, and nothing is contacted."""
    bench.passes(bench.run(bench.rack(FLOW), bench.step(ONE.format(12.0))))
    for spec, said in MEANINGLESS:
        limits = {"thermal.flow": spec | {"source": "test"}}
        bench.refuses(partial(bench.rack, limits), said)


@pytest.mark.peer(
    "NVIDIA Infra Controller #2795", "an impossible pattern and a capacity out of range are accepted", "issue"
)
def test_bounds_that_nothing_can_meet_or_miss(bench: Bench) -> None:
    """REFUSED: bounds that are crossed, and a guard band that leaves nothing between them, are no limit."""
    bench.passes(bench.run(bench.rack(FLOW), bench.step(ONE.format(12.0))))
    crossed = {"thermal.flow": {"unit": "L/min", "min": 80, "max": 10, "source": "test"}}
    bench.refuses(lambda: bench.rack(crossed), "min 80 is above max 10")
    endless = '{"thermal.flow": {"unit": "L/min", "max": Infinity, "source": "test"}}'
    bench.refuses(lambda: bench.rack(json.loads(endless)), "max")


@pytest.mark.peer(
    "cluster-readiness-engine #5", "without a threshold the gate is open: a false PASS in the primary output", "issue"
)
def test_a_value_without_a_limit(bench: Bench) -> None:
    """REFUSED: a step may only measure what the model limits."""
    bench.passes(bench.run(bench.rack(FLOW), bench.step(ONE.format(12.0))))
    other = bench.rack({"thermal.rise": {"unit": "K", "max": 15, "source": "test"}})
    bench.refuses(lambda: bench.run(other, bench.step(ONE.format(12.0))), "there is no limit 'thermal.flow'")


@pytest.mark.peer("OpenHTF #766", "a monitor cannot carry a limit: nobody judges what it sees", "issue")
def test_a_limit_that_no_step_judges(bench: Bench) -> None:
    """INCONCLUSIVE: what the model limits and the plan leaves out is named."""
    rack = bench.rack(FLOW)
    bench.passes(bench.run(rack, bench.step(ONE.format(12.0))))
    two = bench.rack(FLOW | {"thermal.rise": {"unit": "K", "max": 15, "source": "test"}})
    bench.ends(bench.run(two, bench.step(ONE.format(12.0))), Verdict.INCONCLUSIVE, "unjudged: thermal.rise")


@pytest.mark.peer(
    "our own list",
    "a good number that its device calls old, absent or faulty",
    "–",
)
def test_a_good_number_of_bad_quality(bench: Bench) -> None:
    """INCONCLUSIVE: only a good reading can be judged."""
    rack = bench.rack(FLOW, {"cdu-1": ["cdu"]})
    plan = bench.step(ASKED, takes="cdu, measure")

    def cdu(found: Quality) -> Tiny:
        return Tiny("cdu-1", coolant=Reading(30.0, Unit.LITRE_PER_MINUTE, bench.clock.now(), found), pumps=())

    bench.passes(bench.run(rack, plan, cdu(Quality.GOOD)))
    for quality in (Quality.STALE, Quality.ABSENT, Quality.BAD):
        bench.ends(bench.run(rack, plan, cdu(quality)), Verdict.INCONCLUSIVE, "could not be judged")


@pytest.mark.peer("our own list", "a value whose unit changed with a firmware", "–")
def test_a_number_in_another_unit(bench: Bench) -> None:
    """INCONCLUSIVE: what cannot be converted cannot be judged."""
    rack = bench.rack(FLOW, {"cdu-1": ["cdu"]})
    plan = bench.step(ASKED, takes="cdu, measure")

    def cdu(unit: Unit) -> Tiny:
        return Tiny("cdu-1", coolant=Reading(30.0, unit, bench.clock.now()), pumps=())

    bench.passes(bench.run(rack, plan, cdu(Unit.LITRE_PER_MINUTE)))
    bench.ends(bench.run(rack, plan, cdu(Unit.KILOPASCAL)), Verdict.INCONCLUSIVE, "could not be judged")


@pytest.mark.peer("OpenHTF #351", "a blank serial number is taken, and the unit passes", "issue")
def test_a_unit_without_a_name(bench: Bench) -> None:
    """REFUSED: what passes must be somebody: a blank serial, one of blanks only, or one nobody can print, is none."""
    bench.rack(FLOW)
    (model,) = bench.folder.glob("model-*.yaml")
    bay = bench.folder / "bay.yaml"
    tray, host = "{driver: bmc, address: 'https://127.0.0.1:1'}", "{driver: host, address: 'ssh://127.0.0.1:2'}"
    lines = f"name: b\nsite: s\nstation: t\ndevices:\n  tray-01: {tray}\n  tray-01-host: {host}\n"
    bay.write_text(lines, "utf-8")
    rack = load_definition(model, bay, "RK-1")
    bench.passes(bench.run(rack, bench.step("measure('thermal.flow', 12.0, 'rack')")))
    for serial in ("", " ", "\t", "\x00", "\u200b"):
        bench.refuses(partial(load_definition, model, bay, serial), "is no serial number")
