"""Text from elsewhere, made inert: nothing in it moves a cursor, hides, reverses or forges what stands beside it.

A device, a file name or a scanned serial may hold any character. What a terminal obeys (ECMA-48: the controls of C0
and C1) and what changes the reading of its neighbours without being seen (Unicode Technical Report 36, 3.1 and 3.5:
bidirectional and invisible format characters, lone surrogates) is shown as what it is. Evidence itself stays as it
came: this is for whatever a person looks at.
"""

from __future__ import annotations

import re

OBEYED = "\x00-\x08\x0b-\x1f\x7f-\x9f"
"""Controls, without tab and line feed."""
UNSEEN = "\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f"
"""Format characters: they are not seen, and some turn around what follows them."""
_ANY = re.compile(f"[{OBEYED}{UNSEEN}\ud800-\udfff]")
_UNSEEN_OR_C1 = re.compile(f"[\x7f-\x9f{UNSEEN}]")
_LINE, _LINES = 2000, 500
"""Characters of a line and lines of a message: nobody reads a megabyte there, the journal has it whole."""


def spelled(text: str) -> str:
    """The text with each such character spelled out: `\\u{1b}`. Tabs and line feeds stay."""
    return _ANY.sub(lambda match: f"\\u{{{ord(match[0]):x}}}", text)


def masked(text: str) -> str:
    """The text, as long as before, with a replacement character for each such one. Tabs and line feeds stay."""
    return _ANY.sub("\ufffd", text)


def shortened(text: str) -> str:
    """The text, or as much of it as anybody reads on a screen or on paper, and how long it is."""
    return text if len(text) <= _LINE else f"{text[:_LINE]} … ({len(text)} characters)"


def told(text: str, indent: str = "  ") -> str:
    """A message for a terminal: spelled out, of bounded length, its further lines indented."""
    lines = spelled(text[: _LINE * _LINES]).split("\n")
    shown = [shortened(line) for line in lines[:_LINES]]
    more = [f"… and {len(lines) - _LINES} more lines"] if len(lines) > _LINES else []
    return f"\n{indent}".join(shown + more)


def escaped_json(text: str) -> str:
    """A JSON text with such characters as JSON escapes: it says the same, and may be looked at on a terminal."""
    return _UNSEEN_OR_C1.sub(_as_json, text)


def _as_json(match: re.Match[str]) -> str:
    units = match[0].encode("utf-16-be")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))
