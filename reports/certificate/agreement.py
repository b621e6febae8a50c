"""Whether a signed statement says what is derived again from the evidence.

Written by this very release, it must agree to the byte. Another release may have worded the same facts differently, or
have known fewer of them: then every fact it states must be the one that is derived now, and its words are not compared.
A fact that it does not state is not taken for agreement: what decides must be there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from harness.verdict import RunSummary
from reports.certificate.envelope import Opened, canonical
from reports.identity import table

WORDS = ("reasons", "decisionRule", "limitation", "proof")
"""What is told to a person and follows from the facts beside it."""
DECIDING = ("verdict", "result", "runId", "unit", "model", "definitionDigest", "plan", "simulation", "journal", "steps")
"""Facts that a statement may not do without, where the present release derives them."""


def is_of_this_release(summary: RunSummary) -> bool:
    """Whether the run was recorded, and so its statements were written, by the release that runs now."""
    return summary.started is not None and summary.started.software.get("rackproof") == version("rackproof")


def disagreements(sealed: Opened, derived: dict[str, Any], *, same_release: bool) -> tuple[str, ...]:
    """The names of what differs between a signed statement and the derived one; none where they agree."""
    if canonical(derived) == sealed.payload:
        return ()
    signed, again = sealed.statement, json.loads(canonical(derived))
    left, right = table(signed.get("predicate")), table(again.get("predicate"))
    if same_release:
        names = [name for name in sorted({*left, *right}) if left.get(name) != right.get(name)]
    else:
        left, right = _facts(left), _facts(right)
        names = [name for name in sorted(left) if not _says(left[name], right.get(name))]
        names += [name for name in DECIDING if name in right and name not in left]
    names += ["subject"] if signed.get("subject") != again.get("subject") else []
    if names:
        return tuple(names)
    return ("its form",) if same_release or signed.get("_type") != again.get("_type") else ()


def _facts(predicate: Mapping[str, Any]) -> dict[str, Any]:
    facts = {name: value for name, value in predicate.items() if name not in WORDS}
    steps = facts.get("steps")
    if isinstance(steps, list):
        facts["steps"] = [{name: value for name, value in table(step).items() if name != "text"} for step in steps]
    return facts


def _says(signed: object, derived: object) -> bool:
    """Whether all that was signed is derived now, element by element; a later release may derive more."""
    if isinstance(signed, dict) and isinstance(derived, dict):
        return all(name in derived and _says(value, derived[name]) for name, value in signed.items())
    if isinstance(signed, list) and isinstance(derived, list):
        return len(signed) == len(derived) and all(map(_says, signed, derived))
    return type(signed) is type(derived) and signed == derived
