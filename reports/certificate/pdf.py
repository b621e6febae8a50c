"""The certificate on paper: PDF/A-3b by typst, the signed statements attached, then signed itself.

Every text of the run reaches the template as data (JSON in `sys.inputs`), never as markup. typst reads no font of the
machine and no clock, so the same evidence gives the same bytes on every station.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any

import typst

from harness.inert import shortened
from harness.journal.events import Measured
from harness.limits import Judgement
from harness.verdict import RunSummary, Verdict
from reports import proof, sittings, texts, view
from reports.as_found import CONTRADICTS, Item, items
from reports.certificate.manifest import CERTIFICATE
from reports.certificate.pdf_signature import sign_pdf
from reports.certificate.signing import Keys
from reports.certificate.statement import is_provisional, tiers
from reports.evidence import Evidence
from reports.identity import identity, table

Rows = list[list[str]]

_LABEL = {
    Judgement.PASS: "pass",
    Judgement.MARGINAL: "marginal",
    Judgement.FAIL: "FAIL",
    Judgement.UNJUDGED: "unjudged",
}


def certificate_pdf(evidence: Evidence, envelopes: bytes, keys: Keys) -> bytes:
    """The signed PDF of a run with `envelopes` attached; the same inputs give the same bytes."""
    moment = ended(evidence.summary)
    document = draw_pdf(evidence, envelopes, moment, demo=keys.demo)
    who = identity(evidence.summary.started)
    place = texts.place_text(who)
    return sign_pdf(document, keys, moment, name=who.station or "rackproof", place=place, reason="Rack acceptance")


def ended(summary: RunSummary) -> datetime:
    """The instant of the last event (UTC, whole seconds): the date of issue, and the moment signatures count for."""
    try:
        moment = datetime.fromisoformat(summary.last)
    except ValueError:
        return datetime(1970, 1, 1, tzinfo=UTC)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC).replace(microsecond=0)


def draw_pdf(evidence: Evidence, envelopes: bytes, moment: datetime, *, demo: bool) -> bytes:
    """The PDF before it is signed."""
    template = files("reports") / "templates" / "certificate.typ"
    return bytes(
        typst.compile(
            template.read_bytes(),
            format="pdf",
            ignore_system_fonts=True,
            sys_inputs={
                "page": json.dumps(_printed(page(evidence, moment, demo=demo)), allow_nan=False),
                "envelopes": envelopes.decode(),
                "name": CERTIFICATE,
            },
            pdf_standards="a-3b",
            pdf_tags=False,
            timestamp=moment,
        )
    )


def page(evidence: Evidence, moment: datetime, *, demo: bool) -> dict[str, Any]:
    """Everything that is printed, in the order of the template."""
    summary, who = evidence.summary, identity(evidence.summary.started)
    started, plan = summary.started, summary.plan
    definition = table(started.definition if started else {})
    sources = _sources(summary)
    return {
        "number": summary.run_id,
        "date": {"year": moment.year, "month": moment.month, "day": moment.day},
        "issued": texts.time_text(moment.isoformat()),
        "verdict": str(summary.verdict),
        "sentence": view.verdict_sentence(summary),
        "simulated": who.simulated,
        "marks": _marks(evidence, demo=demo),
        "reasons": [str(reason) for reason in view.reasons(summary)],
        "identification": [
            ["Unit serial", who.serial],
            ["Order", who.order],
            ["Customer", who.customer],
            ["Model", f"{who.model} revision {who.revision}: {who.title}"],
            ["Plan", plan.plan if plan else ""],
            ["Proof of the plan", f"{proof.status(summary)}: {proof.meaning(summary)}"],
            ["Place", texts.place_text(who)],
            ["Station, operator", ", ".join(part for part in (who.station, who.operator) if part)],
            ["Tested", f"{texts.time_text(summary.first)} to {texts.time_text(summary.last)}"],
        ],
        "simulation": _simulation(evidence),
        "devices": _devices(evidence),
        "found": _found(summary),
        "uninventoried": "" if summary.inventory else view.NO_INVENTORY,
        "contradicts": CONTRADICTS,
        "rule": view.DECISION_RULE,
        "limitation": view.LIMITATION,
        "waivers": view.NO_WAIVERS,
        "stages": _stages(summary),
        "results": _results(summary, sources),
        "sources": [[str(number), source] for source, number in sources.items()],
        "sittings": [list(row) for row in sittings.rows(summary, evidence.run_dir)],
        "trips": [
            [t.interlock, t.subject, texts.value_text(t.value, t.unit), view.trip_bounds(t), t.text]
            for t in summary.trips
        ],
        "safety": [
            [a.device, a.action, "confirmed" if a.confirmed else "NOT CONFIRMED", a.text]
            for a in summary.safety_actions
        ],
        "charts": list(evidence.charts),
        "instruments": [
            [str(i.get("name", "")), str(i.get("serial", "")), str(i.get("calibration_due", ""))]
            for i in map(table, table(definition.get("bay")).get("instruments") or ())
        ],
        "software": [[name, version] for name, version in sorted((started.software if started else {}).items())],
        "drivers": [[d, started.drivers[d] if started else "", tier] for d, tier in sorted(tiers(evidence).items())],
        "digests": _digests(evidence),
    }


def _marks(evidence: Evidence, *, demo: bool) -> list[list[str]]:
    """What takes away from this certificate: printed on its first page, each with its meaning."""
    marks = []
    if identity(evidence.summary.started).simulated:
        marks.append([view.SIMULATED, "no rack was tested: every device was simulated"])
    if demo:
        marks.append(["DEMO KEYS", "signed with throw-away keys: it authenticates nobody"])
    swapped = view.not_as_built(evidence.summary)
    if swapped:
        marks.append([CONTRADICTS, _many(swapped)])
    if is_provisional(evidence):
        marks.append([view.PROVISIONAL, "a driver below silver took part (section 6)"])
    if not proof.is_proven(evidence.summary):
        marks.append([proof.status(evidence.summary), proof.meaning(evidence.summary)])
    return marks


def _many(sentences: Sequence[str]) -> str:
    more = f"; and {len(sentences) - 3} more" if len(sentences) > 3 else ""
    return f"{'; '.join(sentences[:3])}{more} (appendix A)"


def _simulation(evidence: Evidence) -> str:
    who = identity(evidence.summary.started)
    if not who.simulated:
        return ""
    faults = ", ".join(who.faults) or "none"
    return f"seed {who.seed}, {who.pace:g} rack seconds a second, faults put in: {faults}"


def _devices(evidence: Evidence) -> Rows:
    """One row a slot: the host and the console of a tray are the same piece of hardware.

    Maker and model in brackets are those of the definition, where the device itself does not tell them.
    """
    rows: dict[str, list[str]] = {}
    found: dict[str, list[Item]] = {}
    for item in items(evidence.summary):
        if not item.kind and "/" not in item.place:
            found.setdefault(item.place, []).append(item)
    for d in identity(evidence.summary.started).devices:
        slot = d.name.removesuffix(f"-{d.role}")
        role = d.role.replace("_", " ")
        if slot in rows:
            rows[slot][1] += f", {role}"
            continue
        asked = found.pop(d.name, [])
        maker = _either([item.manufacturer for item in asked], d.manufacturer)
        model = _either([item.model for item in asked], d.model)
        serial = _either([item.serial for item in asked], "") or "not read"
        built = " / ".join(dict.fromkeys(item.built_text for item in asked if item.built_text))
        rows[slot] = [d.name, role, maker, model, serial, built or "–"]
    for place, asked in found.items():
        rows[place] = [place, "", *(_either([getattr(i, f) for i in asked], "") for f in _TOLD), asked[-1].built_text]
    return list(rows.values())


_TOLD = ("manufacturer", "model", "serial")


def _either(told: list[str], defined: str) -> str:
    """What the device said (all of it, where it said two things), else the definition's word in brackets."""
    said = " / ".join(dict.fromkeys(filter(None, told)))
    return said or (f"({defined})" if defined else "")


def _found(summary: RunSummary) -> Rows:
    """The as-found record: one row a device, one a part."""
    return [
        [
            item.place,
            item.manufacturer,
            " ".join(filter(None, (item.model if item.model != item.part_number else "", item.part_number))),
            item.serial,
            item.firmware,
            item.built_text,
        ]
        for item in items(summary)
    ]


def _stages(summary: RunSummary) -> Rows:
    rows: dict[str, list[str]] = {}
    for stage in dict.fromkeys(step.planned.stage for step in summary.steps):
        steps = [step for step in summary.steps if step.planned.stage == stage]
        taken = [m.judgement for step in steps for m in step.measurements]
        counts = [sum(j == kind for j in taken) for kind in (Judgement.MARGINAL, Judgement.FAIL, Judgement.UNJUDGED)]
        gravest = min((step.verdict for step in steps), key=list(Verdict).index)
        rows[stage] = [texts.stage_text(stage), *map(str, (len(steps), len(taken), *counts)), str(gravest)]
    return list(rows.values())


def _sources(summary: RunSummary) -> dict[str, int]:
    found = dict.fromkeys(m.limit.source for step in summary.steps for m in step.measurements)
    return {source: number for number, source in enumerate(found, start=1)}


def _results(summary: RunSummary, sources: dict[str, int]) -> list[dict[str, Any]]:
    stages = [step.planned.stage for step in summary.steps]
    return [
        {
            # A heading where a stage begins.
            "stage": "" if n and stages[n - 1] == step.planned.stage else texts.stage_text(step.planned.stage),
            "title": texts.step_text(step),
            "verdict": str(step.verdict),
            "text": view.shortfall(step),
            "rows": [_result(m, sources) for m in step.measurements],
        }
        for n, step in enumerate(summary.steps)
    ]


def _result(m: Measured, sources: dict[str, int]) -> list[str]:
    value = texts.value_text(m.value, m.unit)
    bounds, guard = texts.bounds_text(m.limit), texts.guard_text(m.limit)
    return [
        m.key,
        m.subject,
        value,
        bounds,
        guard,
        str(sources[m.limit.source]),
        _LABEL.get(Judgement(m.judgement), ""),
    ]


def _digests(evidence: Evidence) -> Rows:
    summary = evidence.summary
    started, plan = summary.started, summary.plan
    rows = [["journal head", evidence.journal.head]]
    if started:
        rows += [
            ["definition", started.definition_digest],
            ["model file", str(started.definition.get("model_digest", ""))],
            ["bay file", str(started.definition.get("bay_digest", ""))],
        ]
    if plan:
        rows.append(["plan", plan.plan_digest])
    if summary.proof and summary.proof.sha256:
        rows.append([f"proof of the plan ({summary.proof.file})", summary.proof.sha256])
    rows += [[segment.file, segment.sha256] for segment in summary.segments]
    return rows + [[attached.file, attached.sha256] for attached in summary.attachments]


def _printed(whole: dict[str, Any]) -> dict[str, Any]:
    """A page as it goes to the template: cleaned, and what may be long breakable."""
    # Charts are drawn by ourselves; all else may come from anywhere.
    cleaned = {key: value if key == "charts" else _clean(value) for key, value in whole.items()}
    for key in ("reasons", "devices", "results", "trips", "sittings", "safety", "software", "drivers"):
        cleaned[key] = _breakable(cleaned[key])
    for key in ("devices", "found", "digests"):
        # Serials and digests stay as they are: they are copied from here.
        cleaned[key] = [[_breakable(row[0]), *row[1:]] for row in cleaned[key]]
    return cleaned


_JOINT = re.compile("[._/@-]")


def _breakable(value: Any) -> Any:
    """Keys and part names may break after any of their joints: the template would take half a second to find them."""
    if isinstance(value, str):
        return _JOINT.sub("\\g<0>\u200b", value)
    if isinstance(value, list):
        return [_breakable(each) for each in value]
    return {key: _breakable(each) for key, each in value.items()}


def _clean(value: Any) -> Any:
    """`value` with every character that the built-in fonts lack spelled out: PDF/A knows no silent box."""
    if isinstance(value, str):
        # The statements that are attached have it whole.
        return "".join(map(_printable, shortened(value)))
    if isinstance(value, list):
        return [_clean(each) for each in value]
    if isinstance(value, dict):
        return {key: _clean(each) for key, each in value.items()}
    return value


_PRINTED = "–—‘’“”•…€−≤≥≠±×·→°µΩΔρ"


def _printable(character: str) -> str:
    point = ord(character)
    if character in _PRINTED or 0x20 <= point < 0x7F or (0xA1 <= point < 0x180 and point != 0xAD):
        return character
    return " " if character in "\t\n\r\xa0" else f"\\u{{{point:x}}}"
