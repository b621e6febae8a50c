"""How much is read of a run directory: whoever hands one over does not decide on our memory and our time.

The numbers are engineering judgement: many times what the longest run of a full-scale rack leaves behind.
"""

from __future__ import annotations

from itertools import islice
from pathlib import Path

from harness.bounds import MIB, Oversized

JOURNAL = 256 * MIB
BUNDLE = 64 * MIB
PAPER = 16 * MIB
PROOF = 32 * MIB
CHAIN = MIB
FILE = 4096 * MIB
"""Octets of any file whose digest is taken."""
WHOLE = 16 * FILE
FILES = 100_000
"""Files and folders; three days of telemetry are some 4,400."""
MEMORY = 8192 * MIB
"""Octets that a verification may map beyond what the program has; the longest journal takes half of it."""
PAPER_MEMORY = 1024 * MIB
"""Of these for the PDF: a stream of zeros in it may unpack to any size."""


def below(directory: Path) -> list[Path]:
    """Everything below a directory, sorted; a link to a folder is not entered. Raises Oversized."""
    found = list(islice(directory.rglob("*"), FILES + 1))
    if len(found) > FILES:
        raise Oversized(f"holds more than {FILES} files")
    return sorted(found)
