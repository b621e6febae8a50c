"""The journal's reader: the entries of a run, or exactly what is wrong with them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from harness.errors import DefinitionError, RackproofError
from harness.journal.events import Entry
from harness.journal.lines import FIRST, decode, digest, encode, is_canonical


class CorruptJournal(RackproofError):
    """A journal was altered or damaged: it proves nothing. `line` counts from 1, `octet` from 0 where it begins."""

    def __init__(self, path: Path, line: int, text: str, octet: int = 0) -> None:
        self.path = path
        self.line = line
        self.octet = octet
        super().__init__(
            f"{path}: line {line}: {text}. It begins at octet {octet}. The journal was altered or its disk is failing: "
            "do not certify this run, keep the file and run the rack again."
        )


@dataclass(frozen=True, slots=True)
class Journal:
    """A sound journal."""

    entries: tuple[Entry, ...]
    head: str
    """SHA-256 of the last complete line; 64 zeros where there is none. It vouches for every line."""
    torn: bool
    """Whether a last line, cut off while it was written, was left out."""
    size: int
    """Bytes up to the end of the last complete line."""


def read_journal(path: Path, *, head: str = "") -> Journal:
    """Read a journal, complete or of a run that was killed at any instant.

    A torn last line is left out and flagged. Everything else that is not as it was written raises CorruptJournal. The
    chain vouches for each line that another follows; the last one is vouched for by `head` alone, as a certificate
    states it: where given, it must match. Raises DefinitionError where the file cannot be read.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DefinitionError(f"{path}: the journal cannot be read: {error.strerror}") from error
    journal = _read(path, data)
    if head and journal.head != head:
        last = journal.size - (len(encode(journal.entries[-1])) + 1 if journal.entries else 0)
        raise CorruptJournal(path, len(journal.entries), f"it does not end as certified (SHA-256 {head})", last)
    return journal


def _read(path: Path, data: bytes) -> Journal:
    *lines, rest = data.split(b"\n")
    entries: list[Entry] = []
    head, size, torn = FIRST, 0, bool(rest)
    for number, line in enumerate(lines, start=1):
        found = _parse(line)
        if found is None:
            if number == len(lines) and not rest:
                torn = True
                break
            raise CorruptJournal(path, number, f"it is no JSON{_where(line)}", size)
        entries.append(_check(path, number, line, found[0], head, octet=size))
        head = digest(line)
        size += len(line) + 1
    return Journal(tuple(entries), head, torn, size)


def _parse(line: bytes) -> tuple[object] | None:
    """What a line says, in a tuple of one; None where it is no JSON text."""
    try:
        return (json.loads(line.decode("utf-8")),)
    except (ValueError, RecursionError):
        return None


def _where(line: bytes) -> str:
    """The place in a line where it stops being JSON, where that can be told."""
    try:
        json.loads(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        return f" from its octet {error.start} on"
    except json.JSONDecodeError as error:
        return f" from its character {error.pos} on"
    except (ValueError, RecursionError):
        pass
    return ""


def _check(path: Path, number: int, line: bytes, found: object, head: str, *, octet: int) -> Entry:
    try:
        entry = decode(found)
    except ValueError as error:
        raise CorruptJournal(path, number, str(error), octet) from error
    wrong = ""
    if not is_canonical(line, found):
        wrong = "it is not spelt as a journal is written (a doubled key, a space, NaN)"
    elif entry.seq != number - 1:
        wrong = f"its sequence number is {entry.seq}, not {number - 1}: lines are missing"
    elif entry.previous != head:
        wrong = "it does not follow the line before it: that one was altered"
    if wrong:
        raise CorruptJournal(path, number, wrong, octet)
    return entry
