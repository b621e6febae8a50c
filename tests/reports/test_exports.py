"""OCPTV, JUnit and HTML: valid where there is a schema, true where there is a verdict, safe where there is a text."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from harness.journal import events as e
from reports import charts, html, junit, ocptv
from reports.evidence import Evidence, read_evidence

SCHEMA = Path(__file__).parents[3] / "shared" / "captures" / "ocptv-schema"
STEP = "test_30_links.py::test_cable_map"
VERDICTS = ["PASS", "FAIL", "INCONCLUSIVE", "ABORTED"]


def validator() -> Any:
    if not SCHEMA.is_dir():
        pytest.skip("the OCPTV schema is not here")
    jsonschema = pytest.importorskip("jsonschema")
    from referencing import Registry, Resource

    loaded = [json.loads(path.read_text("utf-8")) for path in sorted(SCHEMA.glob("*.json"))]
    registry: Any = Registry().with_resources([(one["$id"], Resource.from_contents(one)) for one in loaded])
    root = next(one for one in loaded if one["$id"].endswith("/output"))
    return jsonschema.Draft202012Validator(root, registry=registry, format_checker=jsonschema.FormatChecker())


def lines(evidence: Evidence) -> list[dict[str, Any]]:
    return [json.loads(line) for line in ocptv.render(evidence).splitlines()]


def busy(run: Any) -> Any:
    """A run in which everything happens that a journal can hold."""
    run.start().plan(
        (STEP, "links", "", ("link.speed",)), ("test_40.py::test_never", "burn_in", "tray-01", ("burn_in.work",))
    )
    run.inventory("tray-01", "T1", ("nic-0", ""), ("cpu-0", "C0")).inventory("tray-01", "T9").inventory("odd-1", "")
    run.add(e.StepStarted(STEP))
    run.add(run.measured(STEP, "firmware.version", "tray-01/nic-0", "9.9", "40.44.1036", "40.45.1000"))
    run.add(run.measured(STEP, "link.speed", "tray-01/nic-0", 400.0, 400.0))
    run.add(run.measured(STEP, "thermal.flow", "cdu-1", None), run.measured(STEP, "thermal.flow", "cdu-1", 22.2))
    run.add(
        e.DeviceFailed(STEP, "pdu-a", "Refused", "pdu-a: wrong secret"),
        e.DeviceFailed("", "pdu-b", "Unreachable", "gone"),
    )
    run.add(
        e.StepFinished(STEP, "error", "the plan broke"), e.StepStarted(STEP), e.StepFinished(STEP, "stopped", "trip")
    )
    run.add(e.DeviceLost("tray-02", "silent"), e.DeviceBack("tray-02", 12.5), e.Noted("a \x01 remark \udc80"))
    run.add(
        e.Tripped("coolant-leak", "cdu-1", 1, "count", "≤ 0 count", "rack", "a detector is wet", "Close the valves.")
    )
    run.add(e.SafetyAction("pdu-a", "outlets off", False, "no answer", 5.0), e.MadeSafe("trip", False, ("pdu-a",)))
    run.add(e.StopRequested("operator", "Ctrl-C"), e.StepStarted("test_40.py::test_never"))
    return run.attach("late.log", b"x").finish("FAIL")


@pytest.mark.parametrize("verdict", [*VERDICTS, "busy"])
def test_every_ocptv_line_is_valid(make_run: Callable[..., Any], blank: Any, verdict: str) -> None:
    check = validator()
    run = busy(blank) if verdict == "busy" else make_run(verdict)
    found = lines(read_evidence(run.dir))
    for line in found:
        check.validate(line)
    assert [line["sequenceNumber"] for line in found] == list(range(len(found)))


@pytest.mark.parametrize(
    ("verdict", "status", "result"),
    [
        ("PASS", "COMPLETE", "PASS"),
        ("FAIL", "COMPLETE", "FAIL"),
        ("INCONCLUSIVE", "ERROR", "NOT_APPLICABLE"),
        ("ABORTED", "SKIP", "NOT_APPLICABLE"),
    ],
)
def test_the_ocptv_run_ends_with_the_folded_verdict(
    make_run: Callable[..., Any], verdict: str, status: str, result: str
) -> None:
    last = lines(read_evidence(make_run(verdict).dir))[-1]
    assert last["testRunArtifact"]["testRunEnd"] == {"status": status, "result": result}


def test_an_ocptv_step_starts_and_ends_once_an_attempt(blank: Any) -> None:
    found = [line["testStepArtifact"] for line in lines(read_evidence(busy(blank).dir)) if "testStepArtifact" in line]
    started = [artifact["testStepId"] for artifact in found if "testStepStart" in artifact]
    ended = [artifact["testStepId"] for artifact in found if "testStepEnd" in artifact]
    assert started == ["0", "1", "2"]
    assert sorted(ended) == started


def test_a_lost_value_is_an_error_artifact_and_marginal_is_said(blank: Any) -> None:
    found = [line.get("testStepArtifact", {}) for line in lines(read_evidence(busy(blank).dir))]
    assert any(artifact.get("error", {}).get("symptom") == "no-value" for artifact in found)
    marginal = [a["measurement"] for a in found if a.get("measurement", {}).get("metadata", {}).get("marginal")]
    assert [m["value"] for m in marginal] == [22.2]
    assert any(a.get("diagnosis", {}).get("verdict") == "firmware-version-fail" for a in found)


@pytest.mark.parametrize("verdict", [*VERDICTS, "busy"])
def test_junit_never_reads_green_unless_it_is_a_pass(make_run: Callable[..., Any], blank: Any, verdict: str) -> None:
    run = busy(blank) if verdict == "busy" else make_run(verdict)
    root = ET.fromstring(junit.render(read_evidence(run.dir)))
    bad = int(root.get("failures", "0")) + int(root.get("errors", "0"))
    assert (bad == 0) is (verdict == "PASS")
    cases = root.findall(".//testcase")
    assert int(root.get("tests", "0")) == len(cases)
    assert sum(case.find("failure") is not None for case in cases) == int(root.get("failures", "0"))


def test_an_empty_journal_is_still_reported(blank: Any) -> None:
    (blank.dir / "journal.jsonl").write_bytes(b"")
    evidence = read_evidence(blank.dir)
    assert int(ET.fromstring(junit.render(evidence)).get("errors", "0")) == 1
    assert b"ABORTED" in html.render(evidence)
    assert len(lines(evidence)) == 1


@pytest.mark.parametrize("verdict", VERDICTS)
def test_the_page_needs_nothing_from_outside(make_run: Callable[..., Any], verdict: str) -> None:
    page = html.render(read_evidence(make_run(verdict).dir)).decode()
    assert f"<b>{verdict}</b>" in page
    assert "SIMULATED" in page
    for outside in ("<script", "<link", "src=", "@import", "url("):
        assert outside not in page
    assert page.count("http") == page.count("http://www.w3.org/2000/svg")


def test_a_spike_survives_the_thinning_and_a_gap_is_no_bridge() -> None:
    line = [(float(t), 50.0) for t in range(5000)]
    line[3210] = (3210.0, 97.0)
    thin = charts.decimate(line, 0.0, 5000.0, 300)
    assert len(thin) <= 600
    assert (3210.0, 97.0) in thin
    assert len(charts.pieces([*line[:1000], *line[2000:]])) == 2
    assert len(charts.pieces([(0.0, 1.0), (1.0, float("nan")), (2.0, 1.0)])) == 2


@pytest.mark.parametrize(
    "series",
    [{}, {"a": []}, {"a": [(0.0, float("nan"))]}, {"a": [(5.0, 3.0)]}, {"<&>": [(0.0, -1.0), (9.0, 1e9)]}],
)
def test_a_chart_is_always_well_formed(series: dict[str, list[tuple[float, float]]]) -> None:
    ET.fromstring(charts.draw(charts.Chart("Flow", "L/min", series, (22.0,))))


def test_charts_take_their_channels_by_name() -> None:
    channels = {
        "tray-01/accelerator-0.accelerator.temperature": [(0.0, 40.0), (10.0, 60.0)],
        "cdu-1.coolant.flow": [(0.0, 23.0), (4.0, 23.1)],
        "cdu-1.pump.speed": [(0.0, 3000.0)],
    }
    drawn = charts.run_charts(channels)
    assert len(drawn) == 2
    assert drawn == charts.run_charts(dict(reversed(channels.items())))
