"""dcgmi diag: verdicts by severity, every accelerator accounted for, nothing taken from what did not run."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from drivers.inband import ParseError
from drivers.inband.dcgm import Outcome, Remark, Status, parse
from drivers.inband.dcgm_judgement import findings
from drivers.inband.finding import Finding, Verdict

LEVEL1 = "dcgmi-diag-gb10-level1.json"
ALLOWED = "dcgmi-diag-gb10-level2-plugins-allowed.json"
GATED = "dcgmi-diag-gb10-level2-plugins-gated.json"
PERSISTENCE = (
    "Persistence Mode: Persistence mode for GPU 0 is disabled. Enable persistence mode by running "
    '"nvidia-smi -i <gpuId> -pm 1 " as root.'
)


def result(gpu: int, status: str = "Pass", *warnings: Any) -> dict[str, Any]:
    found: dict[str, Any] = {"entity_group": "GPU", "entity_group_id": 1, "entity_id": gpu, "status": status}
    return found | ({"warnings": list(warnings)} if warnings else {})


def warning(severity: int, error: int = 101, category: int = 5) -> dict[str, Any]:
    return {"warning": "it said so", "error_id": error, "error_category": category, "error_severity": severity}


def document(*results: dict[str, Any], name: str = "memory", category: str = "Hardware", **more: Any) -> dict[str, Any]:
    test = {"name": name, "results": list(results), "test_summary": {"status": "Pass"}} | more
    return {
        "DCGM Diagnostic": {"test_categories": [{"category": category, "tests": [test]}]},
        "metadata": {"version": "4.5.2", "Driver Version Detected": "580.82.09"},
    }


def judged(found: dict[str, Any], gpus: int = 2, tests: tuple[str, ...] = ()) -> list[tuple[Verdict, str]]:
    (run,) = parse(json.dumps(found))
    return [(each.verdict, each.unit) for each in findings(run, gpus=gpus, tests=tests)]


def test_a_recorded_level_1_that_ended_with_226(recorded: Callable[[str], str]) -> None:
    """A healthy GB10 whose persistence mode is off: an ERROR of its setting, no failure of the part."""
    (run,) = parse(recorded(LEVEL1))
    assert (run.version, run.driver, run.error) == ("4.2.3", "580.82.09", "")
    assert run.serials == (("GPU 0", ""),)
    (test,) = run.tests
    assert (test.category, test.name, test.summary) == ("Deployment", "software", Status.FAIL)
    assert test.outcomes == (Outcome("GPU 0", Status.FAIL, (Remark(PERSISTENCE, 29, 8, 5),)),)
    assert findings(run, gpus=1) == (Finding(Verdict.ERROR, "GPU 0", f"software: {PERSISTENCE}"),)


def test_a_recorded_level_2(recorded: Callable[[str], str]) -> None:
    (run,) = parse(recorded(ALLOWED))
    assert run.version == "4.5.2"
    assert [(test.category, test.name, test.summary) for test in run.tests] == [
        ("Deployment", "software", Status.FAIL),
        ("Hardware", "memory", Status.PASS),
        ("Integration", "pcie", Status.PASS),
    ]
    assert findings(run, gpus=1, tests=("memory", "PCIe")) == (
        Finding(Verdict.ERROR, "GPU 0", f"software: {PERSISTENCE}"),
    )


def test_a_recorded_level_2_that_skipped(recorded: Callable[[str], str]) -> None:
    (run,) = parse(recorded(GATED))
    assert [test.outcomes[0].status for test in run.tests] == [Status.FAIL, Status.SKIP, Status.SKIP]
    found = findings(run, gpus=1)
    assert {each.verdict for each in found} == {Verdict.ERROR}
    assert [each.text for each in found[1:]] == [
        "memory was not run: skip",
        "memory ran on 0 accelerators, 1 were expected",
        "pcie was not run: skip",
        "pcie ran on 0 accelerators, 1 were expected",
    ]


def test_all_pass() -> None:
    assert judged(document(result(0), result(1, "PASS"))) == []


@pytest.mark.parametrize(
    ("severity", "error", "category", "verdict"),
    [
        (2, 52, 10, Verdict.FAIL),
        (4, 30, 13, Verdict.FAIL),
        (6, 85, 10, Verdict.FAIL),
        (5, 29, 8, Verdict.ERROR),
        (3, 1, 0, Verdict.ERROR),
        (99, 500, 77, Verdict.ERROR),
        (1, 42, 9, Verdict.FAIL),
        (1, 43, 15, Verdict.FAIL),
        (1, 12, 14, Verdict.FAIL),
        (1, 5, 10, Verdict.FAIL),
        (1, 51, 6, Verdict.WARN),
    ],
)
def test_severities_even_on_a_pass(severity: int, error: int, category: int, verdict: Verdict) -> None:
    found = document(result(0), result(1, "Pass", warning(severity, error, category)))
    assert judged(found) == [(verdict, "GPU 1")]


def test_a_failed_test_is_never_a_mere_warning() -> None:
    assert judged(document(result(0), result(1, "Fail"))) == [(Verdict.FAIL, "GPU 1")]
    monitored = document(result(0), result(1, "FAIL", warning(1, 51, 6)))
    assert judged(monitored) == [(Verdict.WARN, "GPU 1"), (Verdict.FAIL, "GPU 1")]
    software = document(result(0), result(1, "Fail"), name="software", category="Deployment")
    assert judged(software) == [(Verdict.ERROR, "GPU 1")]
    whole = document(result(0), result(1), test_summary={"status": "Fail"})
    assert judged(whole) == [(Verdict.FAIL, "")]


def test_accelerators_that_are_not_named_did_not_run() -> None:
    assert judged(document(result(0))) == [(Verdict.ERROR, "")]
    assert judged(document()) == [(Verdict.ERROR, "")]
    assert judged(document(result(0), result(1)), gpus=4) == [(Verdict.ERROR, "")]


def test_tests_that_were_asked_for_must_be_there() -> None:
    found = document(result(0), result(1))
    assert judged(found, tests=("memory",)) == []
    assert judged(found, tests=("memory", "targeted_power")) == [(Verdict.ERROR, "")]
    skipped = document(result(0, "Skip"), result(1, "Skip"))
    assert {verdict for verdict, _ in judged(skipped, tests=("memory",))} == {Verdict.ERROR}
    also = document(result(0, "Skip"), result(1, "Skip"), name="eud")
    assert judged(also, tests=("memory",)) == [(Verdict.ERROR, ""), (Verdict.WARN, "GPU 0"), (Verdict.WARN, "GPU 1")]


def test_an_unknown_word_is_an_error() -> None:
    assert {verdict for verdict, _ in judged(document(result(0), result(1, "Perhaps")))} == {Verdict.ERROR}


def test_a_summary_tells_what_no_accelerator_told() -> None:
    summary = {"status": "Pass", "warnings": [warning(2, 52, 10)]}
    assert judged(document(result(0), result(1), test_summary=summary)) == [(Verdict.FAIL, "")]


OLDER = {
    "DCGM GPU Diagnostic": {
        "test_categories": [
            {
                "category": "Deployment",
                "tests": [
                    {"name": "Denylist", "results": [{"status": "Pass"}]},
                    None,
                    {"name": "Persistence Mode", "results": [{"status": "Fail", "warnings": ["it is off"]}]},
                    {"name": "Page Retirement/Row Remap", "results": [{"status": "Fail"}]},
                ],
            },
            {
                "category": "Hardware",
                "tests": [
                    {
                        "name": "GPU Memory",
                        "results": [
                            {"gpu_ids": "0,1", "status": "PASS"},
                            {"gpu_id": "2", "status": "Fail", "warnings": "it has errors"},
                        ],
                    },
                    {"name": "CPU EUD Test", "results": [{"cpu_id": "0", "status": "Pass"}]},
                ],
            },
        ]
    },
    "Version": "3.3.1",
}


def test_the_older_shape_behind_a_banner() -> None:
    (run,) = parse("Successfully ran diagnostic for group.\n" + json.dumps(OLDER))
    assert run.version == "3.3.1"
    found = findings(run, gpus=3)
    assert [(each.verdict, each.unit, each.text) for each in found] == [
        (Verdict.WARN, "", "Persistence Mode: it is off"),
        (Verdict.ERROR, "", "Persistence Mode failed"),
        (Verdict.FAIL, "", "Page Retirement/Row Remap failed"),
        (Verdict.WARN, "GPU 2", "GPU Memory: it has errors"),
        (Verdict.FAIL, "GPU 2", "GPU Memory failed"),
    ]


def test_level_1_of_3_3_names_its_words_differently() -> None:
    level1 = {"warnings": "it is off", "error_id": 29, "error_category": 8, "error_severity": 5}
    found = {"name": "Persistence Mode", "results": [{"gpu_id": 0, "status": "Fail", "warnings": [level1]}]}
    body = {"test_categories": [{"category": "Deployment", "tests": [found]}]}
    assert judged({"DCGM GPU Diagnostic": body}, gpus=8) == [(Verdict.ERROR, "GPU 0")]


def test_iterations() -> None:
    good, bad = document(result(0)), document(result(0, "Fail"))
    both = parse(json.dumps({"iterations": [good, good], "Overall Result": "Pass"}))
    assert [findings(each, gpus=1) for each in both] == [(), ()]
    early = parse(json.dumps({"iterations": [good, bad], "Overall Result": "Fail", "Warning": "NVVS Error"}))
    assert [[each.verdict for each in findings(run, gpus=1)] for run in early] == [
        [], [Verdict.FAIL], [Verdict.ERROR],
    ]  # fmt: skip
    unrun = parse(json.dumps({"iterations": [None], "Overall Result": "Pass"}))
    assert [each.verdict for each in findings(unrun[0], gpus=1)] == [Verdict.ERROR]


def test_a_runtime_error_is_an_error() -> None:
    assert judged({"DCGM Diagnostic": {"version": "4.5.2", "runtime_error": "it is paused"}}) == [(Verdict.ERROR, "")]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[]",
        "Error: unable to connect to host engine",
        '{"DCGM Diagnostic": {}}',
        '{"DCGM Diagnostic": {"test_categories": []}}',
        '{"DCGM Diagnostic": {"test_categories": [{"category": "x", "tests": []}]}}',
        '{"iterations": []}',
        json.dumps(document(result(0), result(0))),
        json.dumps(document({"status": "Pass", "entity_group": "GPU"})),
        json.dumps(document({"entity_id": 0, "entity_group": "GPU"})),
        json.dumps(document(result(0)))[:-1],
        json.dumps(document(result(0))) * 2,
        json.dumps(document(result(0))).replace('"status": "Pass"', '"status": "Fail", "status": "Pass"'),
        "x" * 5000 + "\n" + json.dumps(document(result(0))),
    ],
)
def test_what_is_no_diagnosis_is_refused(text: str) -> None:
    with pytest.raises(ParseError):
        parse(text)


@pytest.mark.parametrize("name", [LEVEL1, ALLOWED, GATED])
def test_spoilt_recordings_raise_nothing_else_and_are_no_pass(
    name: str, recorded: Callable[[str], str], mutations: Callable[[str, int, int], Iterator[str]]
) -> None:
    whole = recorded(name)
    for text in mutations(whole, 3, 280):
        with contextlib.suppress(ParseError):
            for run in parse(text):
                findings(run, gpus=1)
    for length in range(0, len(whole.rstrip()), 23):
        with pytest.raises(ParseError):
            parse(whole[:length])
