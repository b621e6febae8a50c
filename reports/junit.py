"""The run as JUnit XML: for the CI server that knows nothing of racks. A pass here is a pass of the folded verdict."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path
from xml.etree import ElementTree as ET

from harness.inert import spelled
from harness.observing import FinishedRun
from harness.verdict import StepResult, Verdict
from reports import texts, view
from reports.as_found import items
from reports.evidence import Evidence, put, read_evidence
from reports.identity import identity

FILE = "junit.xml"

# XML 1.0, 2.2: what a document may hold; anything else is spelled out.
_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def write(run: FinishedRun) -> tuple[Path, ...]:
    """Write `junit.xml` into the run directory; raises as `read_evidence` does."""
    return (put(run.run_dir / FILE, render(read_evidence(run.run_dir))),)


def render(evidence: Evidence) -> bytes:
    """One suite a stage, one case a step, and one case for the run itself so that its verdict cannot be missed."""
    summary, who = evidence.summary, identity(evidence.summary.started)
    root = ET.Element("testsuites", name=_xml(f"rackproof {who.model}"))
    for stage in dict.fromkeys(step.planned.stage for step in summary.steps):
        suite = ET.SubElement(root, "testsuite", name=_xml(stage or "steps"))
        cases = [_case(suite, step) for step in summary.steps if step.planned.stage == stage]
        _count(suite, cases)
    whole = ET.SubElement(root, "testsuite", name="verdict", timestamp=_xml(summary.first))
    properties = ET.SubElement(whole, "properties")
    facts = {
        "run": summary.run_id,
        "serial": who.serial,
        "model": f"{who.model} {who.revision}",
        "simulated": str(who.simulated).lower(),
        "journal.head": evidence.journal.head,
        "verdict": str(summary.verdict),
    }
    for name, value in (facts | _found(evidence)).items():
        ET.SubElement(properties, "property", name=_xml(name), value=_xml(value))
    case = ET.SubElement(
        whole, "testcase", classname="rackproof", name="verdict", time=_seconds(summary.first, summary.last)
    )
    if summary.verdict is not Verdict.PASS:
        text = "\n".join(str(reason) for reason in view.reasons(summary))
        _mark(case, summary.verdict, view.verdict_sentence(summary), text)
    _count(whole, [case])
    for name in ("tests", "failures", "errors", "skipped"):
        root.set(name, str(sum(int(suite.get(name, "0")) for suite in root)))
    ET.indent(root)
    return f'<?xml version="1.0" encoding="utf-8"?>\n{ET.tostring(root, encoding="unicode")}\n'.encode()


def _found(evidence: Evidence) -> dict[str, str]:
    """The as-found record as flat facts: `found.tray-01/nic-0.serial`; what a device did not say is left out."""
    facts: dict[str, str] = {}
    for item in items(evidence.summary):
        told = {
            "manufacturer": item.manufacturer,
            "model": item.model,
            "part_number": item.part_number,
            "serial": item.serial,
            "firmware": item.firmware,
            "built": item.built_text,
        }
        facts |= {f"found.{item.place}.{name}": value for name, value in told.items() if value}
    return facts


def _case(suite: ET.Element, step: StepResult) -> ET.Element:
    file, _, name = step.planned.step.partition("::")
    classname = file.removesuffix(".py").replace("/", ".")
    case = ET.SubElement(
        suite,
        "testcase",
        classname=_xml(classname),
        name=_xml(name or file),
        time=_seconds(step.started, step.finished),
    )
    if step.verdict is not Verdict.PASS:
        said = view.remark(step)
        lines = [said]
        lines += [
            f"{m.subject}: {m.key} is {texts.value_text(m.value, m.unit)}, {texts.bounds_text(m.limit)} ({m.judgement})"
            for m in step.measurements
            if m.judgement not in ("pass", "marginal")
        ]
        _mark(case, step.verdict, said, "\n".join(lines))
    return case


def _mark(case: ET.Element, verdict: Verdict, message: str, text: str) -> None:
    # A step that never ran is skipped, but the run as a whole then still is an error: nothing proven is no pass.
    kind = {Verdict.FAIL: "failure", Verdict.NOT_RUN: "skipped"}.get(verdict, "error")
    if case.get("classname") == "rackproof" and kind == "skipped":
        kind = "error"
    element = ET.SubElement(case, kind, message=_xml(message))
    if kind != "skipped":
        element.set("type", str(verdict))
        element.text = _xml(text)


def _count(suite: ET.Element, cases: list[ET.Element]) -> None:
    suite.set("tests", str(len(cases)))
    for name, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(name, str(sum(case.find(tag) is not None for case in cases)))
    suite.set("time", f"{sum(float(case.get('time', '0')) for case in cases):.3f}")


def _seconds(first: str, last: str) -> str:
    try:
        span = (datetime.fromisoformat(last) - datetime.fromisoformat(first)).total_seconds()
    except (ValueError, TypeError):
        return "0.000"
    return f"{max(0.0, span):.3f}"


def _xml(text: str) -> str:
    return _FORBIDDEN.sub(lambda match: f"\\u{{{ord(match[0]):x}}}", spelled(text))
