"""One line of the journal: the only spelling that a writer writes and a reader accepts.

A line is a JSON object (RFC 8259) in UTF-8 with sorted keys and no spaces. `prev` holds the SHA-256 of the line before
it, without its newline, so that no committed line can change unnoticed while another follows.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from typing import Any

from harness.journal.decoding import event_from_json
from harness.journal.events import Entry

FIRST = "0" * 64
"""What `prev` holds in the first line."""

KEYS = {"body", "event", "mono", "prev", "rack", "seq", "wall"}


def digest(line: bytes) -> str:
    """The SHA-256 of a line without its newline, in hexadecimal."""
    return hashlib.sha256(line).hexdigest()


def encode(entry: Entry) -> bytes:
    """The line of an entry, without newline; raises ValueError where it holds NaN, infinity or no JSON value."""
    found = {
        "body": asdict(entry.event),
        "event": type(entry.event).__name__,
        "mono": entry.mono,
        "prev": entry.previous,
        "rack": entry.rack,
        "seq": entry.seq,
        "wall": entry.wall,
    }
    try:
        return _canonical(found)
    except TypeError as error:
        raise ValueError(str(error)) from error


def decode(found: object) -> Entry:
    """The entry of a parsed line; raises ValueError saying what is not as it must be."""
    if not isinstance(found, dict):
        raise ValueError("it is no JSON object")
    if set(found) != KEYS:
        odd = sorted(KEYS ^ set(found))
        raise ValueError(f"the field {odd[0]!r} is {'missing' if odd[0] in KEYS else 'unknown'}")
    for key, kind in (("body", dict), ("event", str), ("prev", str), ("rack", str), ("seq", int), ("wall", str)):
        if not isinstance(found[key], kind) or isinstance(found[key], bool):
            raise ValueError(f"the field {key!r} has the wrong type")
    if not isinstance(found["mono"], float):
        raise ValueError("the field 'mono' has the wrong type")
    event = event_from_json(found["event"], found["body"])
    return Entry(found["seq"], found["wall"], found["rack"], found["mono"], found["prev"], event)


def is_canonical(line: bytes, found: object) -> bool:
    """Whether `line` spells `found` as a writer does: so no key is doubled, no NaN and no second spelling hidden."""
    try:
        return _canonical(found) == line
    except (ValueError, RecursionError):
        return False


def _canonical(found: Any) -> bytes:
    text = json.dumps(found, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    # A byte that was no UTF-8 on a console arrives as a lone surrogate: its JSON escape keeps it and the line valid.
    return text.encode("utf-8", "backslashreplace")
