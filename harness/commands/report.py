"""`rackproof report`: derive the reports of a run again from its journal."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from harness.bounds import bounded_memory
from harness.errors import DefinitionError
from harness.inert import told
from harness.running import write_reports

MEMORY = 16 * 2**30
"""Octets that deriving reports may map: the directory may be of any making, its telemetry may unpack to any size."""


def execute(arguments: argparse.Namespace) -> int:
    """Write every derived file again and say which."""
    folder = Path(arguments.run)
    if not (folder / "journal.jsonl").is_file():
        raise DefinitionError(f"there is no run in {folder}: it has no journal.jsonl")
    with bounded_memory(MEMORY):
        written, failed = write_reports(folder, Path(arguments.keys) if arguments.keys else None)
    for path in written:
        sys.stdout.write(told(f"written: {path}") + "\n")
    for text in failed:
        sys.stderr.write(told(f"rackproof report: {text}") + "\n")
    return 1 if failed else 0
