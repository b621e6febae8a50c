"""The run in the OCP Test & Validation output format, version 2.0 (ocp-diag-core, json_spec): JSON Lines.

Pairs of status and result are those that the specification allows: COMPLETE with PASS or FAIL, ERROR and SKIP with
NOT_APPLICABLE. A value that was not there is an error artifact, never a NaN; marginal rides in the metadata.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness.inert import escaped_json
from harness.journal import events as e
from harness.limits import Judgement
from harness.observing import FinishedRun
from harness.verdict import RunSummary, Verdict
from reports import texts, view
from reports.as_found import Item, items, records
from reports.evidence import Evidence, put, read_evidence
from reports.identity import identity

FILE = "ocptv.jsonl"

Artifact = dict[str, Any]

_RUN_END = {
    Verdict.PASS: ("COMPLETE", "PASS"),
    Verdict.FAIL: ("COMPLETE", "FAIL"),
    Verdict.INCONCLUSIVE: ("ERROR", "NOT_APPLICABLE"),
    Verdict.ABORTED: ("SKIP", "NOT_APPLICABLE"),
    Verdict.NOT_RUN: ("SKIP", "NOT_APPLICABLE"),
}
_STEP_END = {"completed": "COMPLETE", "error": "ERROR"}


def write(run: FinishedRun) -> tuple[Path, ...]:
    """Write `ocptv.jsonl` into the run directory; raises as `read_evidence` does."""
    return (put(run.run_dir / FILE, render(read_evidence(run.run_dir))),)


def render(evidence: Evidence) -> bytes:
    """The artifacts in the order of the journal, one line each."""
    lines = []
    for number, (stamp, artifact) in enumerate(_artifacts(evidence)):
        root = {"sequenceNumber": number, "timestamp": _stamp(stamp), **artifact}
        text = json.dumps(root, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        lines.append(escaped_json(text).encode("utf-8", "backslashreplace") + b"\n")
    return b"".join(lines)


def _artifacts(evidence: Evidence) -> Iterator[tuple[str, Artifact]]:
    summary = evidence.summary
    yield summary.first, {"schemaVersion": {"major": 2, "minor": 0}}
    if summary.started is None:
        return
    story = _Story(summary)
    yield summary.first, {"testRunArtifact": {"testRunStart": _run_start(summary, story.hardware)}}
    for entry in evidence.journal.entries:
        for artifact in story.tell(entry.event):
            yield entry.wall, artifact
    for artifact in story.close():
        yield summary.last, artifact
    status, result = _RUN_END[summary.verdict]
    yield summary.last, {"testRunArtifact": {"testRunEnd": {"status": status, "result": result}}}


class _Story:
    """Turns events into artifacts. Each attempt at a step gets an id of its own, as a step cannot start twice."""

    def __init__(self, summary: RunSummary) -> None:
        places = [device.name for device in identity(summary.started).devices]
        places += [item.place for item in items(summary)]
        self.hardware = {place: str(n) for n, place in enumerate(dict.fromkeys(places))}
        self._titles = {step.planned.step: texts.step_text(step) for step in summary.steps}
        self._missing = {
            step.planned.step: [view.shortfall(step)]
            for step in summary.steps
            if step.missing and step.verdict is Verdict.FAIL
        }
        self._open: dict[str, str] = {}
        self._attempts = 0

    def tell(self, event: e.Event) -> Iterator[Artifact]:
        if isinstance(event, e.StepStarted | e.Measured | e.DeviceFailed | e.StepFinished | e.Attached):
            yield from self._of_step(event)
        else:
            yield from _of_run(event)

    def close(self) -> Iterator[Artifact]:
        """End what the run left open."""
        for number in self._open.values():
            yield _in_step(number, {"testStepEnd": {"status": "SKIP"}})

    def _of_step(
        self, event: e.StepStarted | e.Measured | e.DeviceFailed | e.StepFinished | e.Attached
    ) -> Iterator[Artifact]:
        if isinstance(event, e.StepStarted):
            if event.step in self._open:
                yield _in_step(self._open.pop(event.step), {"testStepEnd": {"status": "SKIP"}})
            self._open[event.step] = str(self._attempts)
            name = self._titles.get(event.step, event.step)
            yield _in_step(str(self._attempts), {"testStepStart": {"name": name}})
            self._attempts += 1
            return
        number = self._number(event)
        match event:
            case e.DeviceFailed():
                error = {"error": {"symptom": f"device-{event.error.lower()}", "message": event.text}}
                yield _in_step(number, error) if number else {"testRunArtifact": error}
            case e.Measured() if number:
                yield from _measured(number, event, self.hardware)
            case e.StepFinished() if number:
                for said in self._missing.pop(event.step, ()):
                    yield _in_step(number, {"error": {"symptom": "never-measured", "message": said}})
                if event.text and event.outcome != "completed":
                    yield _in_step(number, {"log": {"severity": "ERROR", "message": event.text}})
                yield _in_step(number, {"testStepEnd": {"status": _STEP_END.get(event.outcome, "SKIP")}})
                del self._open[event.step]
            case e.Attached() if number:
                file = {"displayName": event.what, "uri": event.file, "isSnapshot": True}
                yield _in_step(number, {"file": file | {"metadata": {"sha256": event.sha256}}})
            case e.Attached():
                yield _log("INFO", f"attached {event.file}: {event.what}")
            case _:
                yield _log("ERROR", f"outside of any step: {type(event).__name__} of {event.step}")

    def _number(self, event: e.Measured | e.DeviceFailed | e.StepFinished | e.Attached) -> str:
        if isinstance(event, e.Attached):
            return next(reversed(self._open.values()), "")
        return self._open.get(event.step, "")


def _of_run(event: e.Event) -> Iterator[Artifact]:
    match event:
        case e.Tripped():
            message = f"{event.subject}: {event.text}. {event.advice}"
            yield {"testRunArtifact": {"error": {"symptom": f"interlock-{event.interlock}", "message": message}}}
        case e.DeviceLost():
            yield _log("WARNING", f"{event.device} lost: {event.text}")
        case e.DeviceBack():
            yield _log("INFO", f"{event.device} is back after {event.silent:.1f} s")
        case e.SafetyAction():
            word = "confirmed" if event.confirmed else "NOT CONFIRMED"
            yield _log("INFO" if event.confirmed else "ERROR", f"{event.device}: {event.action}: {word}. {event.text}")
        case e.StopRequested():
            yield _log("WARNING", f"stopped by {event.by}: {event.text}")
        case e.Noted():
            yield _log("INFO", event.text)
        case _:
            pass


def _run_start(summary: RunSummary, hardware: dict[str, str]) -> dict[str, Any]:
    started, who = summary.started, identity(summary.started)
    software = started.software if started else {}
    return {
        "name": summary.plan.plan if summary.plan else "rackproof",
        "version": software.get("rackproof", "unknown"),
        "commandLine": "rackproof run",
        "parameters": {
            "model": who.model,
            "modelRevision": who.revision,
            "definitionSha256": started.definition_digest if started else "",
            "planSha256": summary.plan.plan_digest if summary.plan else "",
        },
        "dutInfo": {
            "dutInfoId": "0",
            "name": who.serial,
            "hardwareInfos": _hardware(summary, hardware),
            "softwareInfos": _software(summary, software),
            "metadata": {"simulated": who.simulated, "order": who.order, "bay": who.bay},
        },
        "metadata": {"runId": summary.run_id, "simulated": who.simulated, "station": who.station},
    }


def _hardware(summary: RunSummary, hardware: dict[str, str]) -> list[dict[str, str]]:
    """Every device of the rack and every part found in one; what it said of itself comes before what the model says."""
    # A device that was asked twice and said two things counts as it was last.
    found: dict[str, Item] = {item.place: item for item in items(summary)}
    devices = {device.name: device for device in identity(summary.started).devices}
    infos = []
    for place, number in hardware.items():
        item, device = found.get(place), devices.get(place)
        facts = {
            "hardwareInfoId": number,
            "name": place,
            "location": place,
            "partType": device.role if device else item.kind if item else "",
            "manufacturer": (item.manufacturer if item else "") or (device.manufacturer if device else ""),
            "manufacturerPartNumber": (item.part_number if item else "") or (device.model if device else ""),
            "serialNumber": item.serial if item else "",
        }
        infos.append({name: value for name, value in facts.items() if value})
    return infos


def _software(summary: RunSummary, station: dict[str, str]) -> list[dict[str, str]]:
    """The station's own packages, then the firmware of the rack as it was found."""
    told = [(name, version, "APPLICATION") for name, version in sorted(station.items())]
    for record in records(summary):
        told += [(f"{record.device}/{name}", version, "FIRMWARE") for name, version in record.firmware.items()]
    return [
        {"softwareInfoId": str(n), "name": name, "version": version, "softwareType": kind}
        for n, (name, version, kind) in enumerate(told)
    ]


def _measured(number: str, m: e.Measured, hardware: dict[str, str]) -> Iterator[Artifact]:
    device, _, part = m.subject.partition("/")
    place: dict[str, Any] = {}
    if m.subject in hardware:
        place["hardwareInfoId"] = hardware[m.subject]
    else:
        place |= {"hardwareInfoId": hardware[device]} if device in hardware else {}
        place |= {"subcomponent": {"name": part}} if part else {}
    if m.value is None or (isinstance(m.value, float) and not math.isfinite(m.value)):
        message = f"{m.subject}: no usable value for {m.key} ({m.quality})"
        yield _in_step(number, {"error": {"symptom": "no-value", "message": message}})
    else:
        measurement: dict[str, Any] = {"name": m.key, "value": m.value, **place}
        if m.unit not in ("text", "bool"):
            measurement["unit"] = m.unit
        validators = _validators(m)
        if validators:
            measurement["validators"] = validators
        measurement["metadata"] = {
            "subject": m.subject,
            "judgement": m.judgement,
            "quality": m.quality,
            "at": m.at,
            "source": m.limit.source,
            "guard": m.limit.guard,
        } | ({"marginal": True} if m.judgement == Judgement.MARGINAL else {})
        yield _in_step(number, {"measurement": measurement})
    if m.judgement != Judgement.PASS:
        symptom = re.sub(r"[^a-z0-9]+", "-", m.key.lower()).strip("-")
        kind = {"marginal": "PASS", "fail": "FAIL"}.get(m.judgement, "UNKNOWN")
        seen = texts.value_text(m.value, m.unit)
        message = f"{m.subject}: {m.key} is {seen}, {texts.bounds_text(m.limit)}. {view.advice(m)}"
        diagnosis = {"verdict": f"{symptom}-{m.judgement}", "type": kind, "message": message, **place}
        yield _in_step(number, {"diagnosis": diagnosis})


def _validators(m: e.Measured) -> list[dict[str, Any]]:
    """The limit as validators, in the unit of the limit; none where that is not the unit of the value."""
    limit = m.limit
    if limit.unit != m.unit:
        return []
    if limit.allowed is not None:
        if len(limit.allowed) == 1:
            return [{"type": "EQUAL", "value": limit.allowed[0]}]
        # The JSON schema wants scalars, so a set of texts becomes an alternation.
        if all(isinstance(value, str) for value in limit.allowed):
            pattern = "|".join(re.escape(str(value)) for value in limit.allowed)
            return [{"type": "REGEX_MATCH", "value": f"^(?:{pattern})$"}]
        return []
    found: list[dict[str, Any]] = []
    if limit.minimum is not None:
        found.append({"type": "GREATER_THAN_OR_EQUAL", "value": limit.minimum})
    if limit.maximum is not None:
        found.append({"type": "LESS_THAN_OR_EQUAL", "value": limit.maximum})
    return found


def _in_step(number: str, content: Artifact) -> Artifact:
    return {"testStepArtifact": {"testStepId": number, **content}}


def _log(severity: str, message: str) -> Artifact:
    return {"testRunArtifact": {"log": {"severity": severity, "message": message}}}


def _stamp(instant: str) -> str:
    """RFC 3339 in UTC; the epoch where the journal has no instant."""
    try:
        moment = datetime.fromisoformat(instant)
    except ValueError:
        moment = datetime(1970, 1, 1, tzinfo=UTC)
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
