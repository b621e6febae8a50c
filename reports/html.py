"""The run as one self-contained HTML page: verdict, reasons, what to do, every measurement, charts. No script."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template

from harness.inert import spelled
from harness.journal.watchdog import read_watchdog, unsafe
from harness.observing import FinishedRun
from harness.verdict import RunSummary, StepResult, Verdict
from reports import proof, sittings, texts, view
from reports.as_found import CONTRADICTS, contradictions, items
from reports.evidence import Evidence, put, read_evidence
from reports.identity import identity

FILE = "report.html"


def write(run: FinishedRun) -> tuple[Path, ...]:
    """Write `report.html` into the run directory; raises as `read_evidence` does."""
    return (put(run.run_dir / FILE, render(read_evidence(run.run_dir))),)


def render(evidence: Evidence) -> bytes:
    """The page; the same evidence gives the same bytes."""
    summary, who = evidence.summary, identity(evidence.summary.started)
    template = Template((files("reports") / "templates" / "report.html").read_text("utf-8"))
    charts = "".join(f'<figure class="chart">{svg}</figure>' for svg in evidence.charts)
    page = template.substitute(
        title=escape(f"{summary.verdict} {who.serial} {summary.run_id}"),
        verdict=summary.verdict,
        tone="good" if summary.verdict is Verdict.PASS else "bad" if summary.verdict is Verdict.FAIL else "open",
        simulated=f'<div class="mark">{view.SIMULATED}</div>' if who.simulated else "",
        watermark="simulated" if who.simulated else "",
        sentence=escape(view.verdict_sentence(summary)),
        actions="".join(f"<li>{escape(action)}</li>" for action in (*_look(evidence), *view.next_action(summary))),
        reasons=_reasons(summary),
        identification=_identification(evidence),
        found=_found(summary),
        stages=_stages(summary),
        steps="".join(_step(step) for step in summary.steps),
        sittings=_sittings(evidence),
        interlocks=_interlocks(summary) + _watchdog(evidence),
        charts=charts or "<p>No telemetry to draw.</p>",
        rule=escape(view.DECISION_RULE),
        files=_files(evidence),
    )
    return spelled(page).encode()


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], judged: bool = False) -> str:
    """A table; with `judged`, the last cell of a row also gives the row its colour."""
    lines = []
    for row in rows:
        kind = f' class="{escape(row[-1].lower())}"' if judged else ""
        lines.append(f"<tr{kind}>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>")
    if not lines:
        return ""
    header = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    return f'<div class="wide"><table><thead><tr>{header}</tr></thead><tbody>{"".join(lines)}</tbody></table></div>'


def _reasons(summary: RunSummary) -> str:
    rows = [(r.where, r.subject, r.what, r.seen, r.wanted) for r in view.reasons(summary)]
    table = _table(("Where", "Subject", "What", "Seen", "Wanted"), rows)
    return f"<h2>Why</h2>{table}" if table else ""


def _identification(evidence: Evidence) -> str:
    summary, who = evidence.summary, identity(evidence.summary.started)
    started, plan = summary.started, summary.plan
    simulation = (
        f"seed {who.seed}, pace {who.pace:g}, faults: {', '.join(who.faults) or 'none'}" if who.simulated else ""
    )
    rows = (
        ("Unit", who.serial),
        ("Order", who.order),
        ("Customer", who.customer),
        ("Model", f"{who.model} revision {who.revision} – {who.title}" if who.model else ""),
        ("Plan", plan.plan if plan else ""),
        ("Proof", f"{proof.status(summary)}: {proof.meaning(summary)}"),
        ("Place", ", ".join(p for p in (texts.place_text(who), who.station) if p)),
        ("Operator", who.operator),
        ("Started", texts.time_text(summary.first)),
        ("Ended", texts.time_text(summary.last)),
        ("Simulation", simulation),
        ("Software", ", ".join(f"{n} {v}" for n, v in sorted((started.software if started else {}).items()))),
    )
    return "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in rows if value)


def _sittings(evidence: Evidence) -> str:
    table = _table(sittings.HEAD, sittings.rows(evidence.summary, evidence.run_dir))
    return f"<h2>Segments of this run</h2>{table}" if table else ""


def _found(summary: RunSummary) -> str:
    """Every device and part as it was found; what is not as built stands out, and opens the list."""
    unasked = "" if summary.inventory else f"<p>{escape(view.NO_INVENTORY)}</p>"
    if not items(summary):
        return unasked
    wrong = contradictions(summary)
    head = ("Device or part", "Manufacturer", "Model", "Part number", "Serial", "Firmware", "Built")
    rows = []
    for item in items(summary):
        cells = (item.place, item.manufacturer, item.model, item.part_number, item.serial, item.firmware)
        kind = ' class="fail"' if item.agreement == CONTRADICTS else ""
        body = "".join(f"<td>{escape(cell)}</td>" for cell in (*cells, item.built_text))
        rows.append(f"<tr{kind}>{body}</tr>")
    header = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    devices = len({record.device for record in summary.inventory})
    said = f"{devices} devices and their parts" + (f", {len(wrong)} {CONTRADICTS}" if wrong else "")
    return unasked + (
        f"<details{' open' if wrong else ''}><summary>{escape(said)}</summary>"
        f'<div class="wide"><table><thead><tr>{header}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'
        "</details>"
    )


def _stages(summary: RunSummary) -> str:
    rows = []
    for stage in dict.fromkeys(step.planned.stage for step in summary.steps):
        steps = [step for step in summary.steps if step.planned.stage == stage]
        taken = sum(len(step.measurements) for step in steps)
        gravest = min((step.verdict for step in steps), key=list(Verdict).index)
        rows.append((texts.stage_text(stage), str(len(steps)), str(taken), str(gravest)))
    return _table(("Stage", "Steps", "Measurements", "Verdict"), rows, judged=True)


def _step(step: StepResult) -> str:
    head = ("Measurement", "Subject", "Value", "Limit", "Guard, U", "Source", "Result")
    rows = (
        (
            m.key,
            m.subject,
            texts.value_text(m.value, m.unit),
            texts.bounds_text(m.limit),
            texts.guard_text(m.limit),
            m.limit.source,
            m.judgement,
        )
        for m in step.measurements
    )
    opened = "" if step.verdict is Verdict.PASS else " open"
    short = view.shortfall(step)
    said = f"<p>{escape(short)}</p>" if short else ""
    return (
        f'<details{opened}><summary><span class="word {step.verdict.lower()}">{step.verdict}</span> '
        f"{escape(texts.step_text(step))} <small>{escape(texts.stage_text(step.planned.stage))}, "
        f"{len(step.measurements)} measured</small></summary>{said}{_table(head, rows, judged=True)}</details>"
    )


def _interlocks(summary: RunSummary) -> str:
    trips = _table(
        ("Interlock", "Subject", "Value", "Bounds", "Blames", "What happened", "What to do"),
        (
            (
                t.interlock,
                t.subject,
                texts.value_text(t.value, t.unit),
                t.bounds.replace("degC", "°C"),
                view.BLAMED.get(t.blames, t.blames),
                t.text,
                t.advice,
            )
            for t in summary.trips
        ),
    )
    actions = _table(
        ("Device", "Made safe by", "Took", "Remark", "Read back"),
        (
            (a.device, a.action, f"{a.took:.2f} s", a.text, "confirmed" if a.confirmed else "unconfirmed")
            for a in summary.safety_actions
        ),
        judged=True,
    )
    lost = _table(("Device lost", "Text"), ((x.device, x.text) for x in summary.lost_devices))
    return (trips or "<p>No interlock tripped.</p>") + actions + lost


def _look(evidence: Evidence) -> tuple[str, ...]:
    """What a station that was cut off could not say: whether the rack was left safe."""
    told = sum(len(sitting.watchdog) for sitting in evidence.summary.sittings)
    left = unsafe(read_watchdog(evidence.run_dir)[told:])  # what came before a resumption was looked at in it
    return (f"NOT CONFIRMED SAFE by the watchdog: {left}",) if left else ()


def _watchdog(evidence: Evidence) -> str:
    """What the watchdog did; it stands in no journal, for the journal was the station's."""
    rows = [
        (a.wall, a.device, a.action, a.text, "confirmed" if a.confirmed else "unconfirmed")
        for a in read_watchdog(evidence.run_dir)
    ]
    table = _table(("When (UTC)", "Device", "The watchdog's action", "Remark", "Read back"), rows, judged=True)
    return f"<h3>The watchdog took over</h3>{table}" if table else ""


def _files(evidence: Evidence) -> str:
    summary = evidence.summary
    rows = [("journal head", evidence.journal.head)]
    if summary.proof and summary.proof.sha256:
        rows.append((f"proof of the plan ({summary.proof.file})", summary.proof.sha256))
    rows += [(s.file, s.sha256) for s in summary.segments]
    rows += [(f"{a.file} ({a.what})", a.sha256) for a in summary.attachments]
    return _table(("Evidence", "SHA-256"), rows)
