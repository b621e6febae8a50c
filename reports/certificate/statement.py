"""What is certified, as in-toto Statements v1: pure functions of the evidence, with no word of their own.

Two statements share their subjects. `test-result/v0.1` (in-toto/attestation, spec/predicates/test-result.md) is for
tools that know nothing of racks; `rack-acceptance/v1` is ours and holds everything. Such tools may ignore what they do
not know, so nothing that takes away from a pass may hide in ours alone: a simulated, provisional, unproven or marginal
pass reads WARNED, never PASSED (the monotonic principle of in-toto, spec/v1/README.md).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from harness.limits import Judgement
from harness.verdict import StepResult, Verdict
from reports import proof, sittings, view
from reports.as_found import as_found, items
from reports.certificate.envelope import canonical
from reports.evidence import JOURNAL, Evidence, digest_of
from reports.identity import identity, table

STATEMENT = "https://in-toto.io/Statement/v1"
TEST_RESULT = "https://in-toto.io/attestation/test-result/v0.1"
RACK_ACCEPTANCE = "https://rackproof.dev/rack-acceptance/v1"
CERTIFIED = (Verdict.PASS, Verdict.FAIL)
"""The verdicts that say something of the rack; the others get no certificate."""

_TIER = re.compile(r"\((\w+)\)$")


def statements(evidence: Evidence) -> tuple[dict[str, Any], dict[str, Any]]:
    """The test result and the rack acceptance of a run."""
    subjects = _subjects(evidence)
    return (
        {"_type": STATEMENT, "subject": subjects, "predicateType": TEST_RESULT, "predicate": _test_result(evidence)},
        {"_type": STATEMENT, "subject": subjects, "predicateType": RACK_ACCEPTANCE, "predicate": acceptance(evidence)},
    )


def unit_record(evidence: Evidence) -> dict[str, Any]:
    """The unit as it was scanned, built and, where it was asked, found: what stands for the rack in a digest."""
    started = evidence.summary.started
    found = as_found(evidence.summary)
    return dict(table(started.definition.get("unit")) if started else {}) | ({"as_found": found} if found else {})


def tiers(evidence: Evidence) -> dict[str, str]:
    """Device to the tier of its driver; `unknown` where the journal names none."""
    started = evidence.summary.started
    found = {}
    for device, driver in (started.drivers if started else {}).items():
        match = _TIER.search(driver)
        found[device] = match[1] if match and match[1] in view.TIERS else "unknown"
    return found


def is_provisional(evidence: Evidence) -> bool:
    """Whether a driver below silver took part, or none is known."""
    found = tiers(evidence)
    return not found or any(tier not in view.TIERS[1:] for tier in found.values())


def acceptance(evidence: Evidence) -> dict[str, Any]:
    """The predicate of `rack-acceptance/v1`."""
    summary, who = evidence.summary, identity(evidence.summary.started)
    started, plan = summary.started, summary.plan
    definition = started.definition if started else {}
    bay = table(definition.get("bay"))
    return {
        "runId": summary.run_id,
        "verdict": str(summary.verdict),
        "reasons": [str(reason) for reason in view.reasons(summary)],
        "decisionRule": view.DECISION_RULE,
        "limitation": view.LIMITATION,
        "unit": unit_record(evidence),
        "asBuilt": _as_built(evidence),
        "model": {
            "name": who.model,
            "revision": who.revision,
            "title": who.title,
            "sha256": definition.get("model_digest", ""),
        },
        "bay": {"name": who.bay, "site": who.site, "sha256": definition.get("bay_digest", "")},
        "definitionDigest": started.definition_digest if started else "",
        "station": who.station,
        "operator": who.operator,
        "period": {"first": summary.first, "last": summary.last},
        "plan": {
            "name": plan.plan if plan else "",
            "sha256": plan.plan_digest if plan else "",
            "steps": len(plan.steps) if plan else 0,
        },
        "simulation": {"simulated": who.simulated}
        | ({"seed": who.seed, "pace": who.pace, "faults": list(who.faults)} if who.simulated else {}),
        "proof": proof.status(summary),
        "proofMatrix": proof.record(summary),
        "provisional": is_provisional(evidence),
        "drivers": dict(started.drivers) if started else {},
        "software": dict(started.software) if started else {},
        "instruments": list(bay.get("instruments") or ()),
        "waivers": [],
        "sittings": sittings.record(summary),
        "steps": [_step(result) for result in summary.steps],
        "trips": [asdict(trip) for trip in summary.trips],
        "safetyActions": [asdict(action) for action in summary.safety_actions],
        "madeSafe": [asdict(made) for made in summary.made_safe],
        "stops": [asdict(stop) for stop in summary.stops],
        "lostDevices": [asdict(lost) for lost in summary.lost_devices],
        "journal": {"head": evidence.journal.head, "entries": len(evidence.journal.entries)},
        "telemetry": [asdict(segment) for segment in summary.segments],
        "attachments": [asdict(attached) for attached in summary.attachments],
    }


def _subjects(evidence: Evidence) -> list[dict[str, Any]]:
    serial = identity(evidence.summary.started).serial
    unit = hashlib.sha256(canonical(unit_record(evidence))).hexdigest()
    return [
        {"name": f"unit:{serial}", "digest": {"sha256": unit}},
        {"name": JOURNAL, "digest": {"sha256": digest_of(evidence.run_dir / JOURNAL)}},
    ]


def _as_built(evidence: Evidence) -> list[dict[str, Any]]:
    """Every serial that the unit record names, beside what was found there; shown, not judged."""
    return [
        {"place": item.place, "built": item.built, "found": item.serial, "agreement": item.agreement}
        for item in items(evidence.summary)
        if item.built
    ]


def _test_result(evidence: Evidence) -> dict[str, Any]:
    summary, who = evidence.summary, identity(evidence.summary.started)
    started, plan = summary.started, summary.plan
    marginal = [step for step in summary.steps if step.verdict is Verdict.PASS and _is_marginal(step)]
    clean = not (marginal or who.simulated or is_provisional(evidence) or not proof.is_proven(summary))
    result = "FAILED" if summary.verdict is not Verdict.PASS else "PASSED" if clean else "WARNED"
    configuration = [
        (f"plan:{plan.plan}" if plan else "plan", plan.plan_digest if plan else ""),
        (f"model:{who.model}@{who.revision}", started.definition.get("model_digest", "") if started else ""),
        ("definition", started.definition_digest if started else ""),
    ]
    return {
        "result": result,
        "configuration": [{"name": name, "digest": {"sha256": digest}} for name, digest in configuration if digest],
        "passedTests": _names(s for s in summary.steps if s.verdict is Verdict.PASS and s not in marginal),
        "warnedTests": _names(marginal),
        "failedTests": _names(s for s in summary.steps if s.verdict is not Verdict.PASS),
    }


def _is_marginal(step: StepResult) -> bool:
    return any(m.judgement == Judgement.MARGINAL for m in step.measurements)


def _names(steps: Iterable[StepResult]) -> list[str]:
    return [step.planned.step for step in steps]


def _step(result: StepResult) -> dict[str, Any]:
    return {
        "step": result.planned.step,
        "title": result.planned.title,
        "stage": result.planned.stage,
        "device": result.planned.device,
        "verdict": str(result.verdict),
        "text": result.text,
        "started": result.started,
        "finished": result.finished,
        "missing": list(result.missing),
        "deviceFailures": [asdict(failure) for failure in result.device_failures],
        "attempts": result.attempts,
        "measurements": [{k: v for k, v in asdict(m).items() if k != "step"} for m in result.measurements],
        "superseded": [{k: v for k, v in asdict(m).items() if k != "step"} for m in result.superseded],
    }
