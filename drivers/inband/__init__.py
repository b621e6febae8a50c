"""What in-band tools print, as typed results: one parser a tool, text in, values out, no I/O."""

from __future__ import annotations


class ParseError(ValueError):
    """The text is not what the tool prints: cut off, garbled, contradicting itself. Never to be taken as a result."""
