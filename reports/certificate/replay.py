"""The run judged again: every recorded judgement must follow from its own value and from the model's limit.

The verdict is folded from judgements; here they are derived once more from the values, so that a journal in which a
limit was loosened or a judgement flattered does not verify, whoever signed it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from harness.journal.events import Measured, RunStarted
from harness.limits import Limit, judge
from harness.quantities import Quality, Reading, Unit
from harness.verdict import RunSummary
from reports.certificate.envelope import canonical
from reports.identity import table

_NEVER = datetime(1970, 1, 1, tzinfo=UTC)


def contradictions(summary: RunSummary) -> Iterator[str]:
    """What does not follow: of the definition's digest, of a limit, of a judgement."""
    if summary.started is None:
        return
    digest = hashlib.sha256(canonical(summary.started.definition)).hexdigest()
    if digest != summary.started.definition_digest:
        yield "the definition is not the one that its digest names"
    limits = _limits(summary.started)
    for step in summary.steps:
        for measured in (*step.measurements, *step.superseded):
            yield from _of_measurement(measured, table(limits.get(measured.key)), f"{measured.subject} {measured.key}")


def _of_measurement(measured: Measured, written: Mapping[str, Any], name: str) -> Iterator[str]:
    try:
        limit = _limit(measured, written)
        derived = judge(_reading(measured), limit)
    except (ValueError, TypeError, KeyError):
        yield f"{name}: its limit cannot be read"
        return
    if not written:
        yield f"{name}: the model has no such limit"
    elif not _agrees(measured, written):
        yield f"{name}: it was judged against a limit that is not the model's"
    if str(derived) != measured.judgement:
        yield f"{name}: it is recorded as {measured.judgement}, and judged again it is {derived}"


def _limits(started: RunStarted) -> Mapping[str, Any]:
    return table(table(started.definition.get("model")).get("limits"))


def _limit(measured: Measured, written: Mapping[str, Any]) -> Limit:
    used = measured.limit
    return Limit(
        key=used.key,
        unit=Unit(used.unit),
        source=used.source,
        minimum=used.minimum,
        maximum=used.maximum,
        allowed=used.allowed,
        guard=used.guard,
        uncertainty=used.uncertainty,
        by_definition=bool(written.get("by_definition")) and used.allowed is None,
        recorded_only=bool(written.get("recorded_only")),
    )


def _reading(measured: Measured) -> Reading:
    quality = Quality.BAD if measured.value is None else Quality(measured.quality)
    return Reading("" if measured.value is None else measured.value, Unit(measured.unit), _NEVER, quality)


def _agrees(measured: Measured, written: Mapping[str, Any]) -> bool:
    """Whether the limit used is the written one; the allowed values of a limit by definition come with the subject."""
    used = measured.limit
    bounds = (used.unit, used.minimum, used.maximum, used.guard, used.source)
    wanted = (
        written.get("unit"),
        written.get("min"),
        written.get("max"),
        written.get("guard", 0.0),
        written.get("source"),
    )
    if used.key != measured.key or bounds != wanted:
        return False
    if written.get("by_definition"):
        return True
    equals = written.get("equals")
    return used.allowed == (None if equals is None else (equals,))
