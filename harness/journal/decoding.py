"""Events rebuilt from the plain JSON values that a journal holds."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from harness.journal.breaks import Repeated
from harness.journal.events import EVENTS, Event, FoundPart, LimitUsed, PlannedStep


def event_from_json(kind: str, body: dict[str, Any]) -> Event:
    """Rebuild an event; raises ValueError on an unknown kind, missing or surplus field."""
    if kind not in EVENTS:
        raise ValueError(f"unknown event {kind!r}")
    known = {f.name for f in fields(EVENTS[kind])}
    if not set(body) <= known:
        raise ValueError(f"{kind} has no field {sorted(set(body) - known)[0]!r}")
    body = dict(body)
    try:
        if kind == "Planned":
            body["steps"] = tuple(PlannedStep(**{**s, "measures": tuple(s["measures"])}) for s in body["steps"])
        elif kind == "Measured":
            limit = dict(body["limit"])
            limit["allowed"] = None if limit.get("allowed") is None else tuple(limit["allowed"])
            body["limit"] = LimitUsed(**limit)
        elif kind == "Inventoried":
            body["parts"] = tuple(FoundPart(**part) for part in body["parts"])
        elif kind == "ProofChecked":
            body |= {name: tuple(body[name]) for name in ("reasons", "remarks")}
        elif kind == "MadeSafe":
            body["unconfirmed"] = tuple(body["unconfirmed"])
        elif kind == "StepFinished":
            body["touched"] = tuple(body.get("touched", ()))
        elif kind == "TakenUp":
            body["stands"] = tuple(body["stands"])
            body["again"] = tuple(Repeated(**again) for again in body["again"])
        return EVENTS[kind](**body)
    except (TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"{kind} is not well formed: {error}") from error
