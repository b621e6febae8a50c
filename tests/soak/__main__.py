"""A soak: a station watches a rack under load for days of rack time, and every minute a device misbehaves on the wire.

`python -m tests.soak --hours 72 --pace 20` needs 3.6 hours; it prints what it finds and ends with 1 where a promise is
broken: every sweep that was due is accounted for, every sample that was taken is on disk, the station's memory is flat
after the first hour, and it holds no more files and threads at the end than after that hour.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from tests.soak.findings import Findings
from tests.soak.standing import soak


def main() -> int:
    """Soak, print what was found, and say by the exit code whether every promise was kept."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--hours", type=float, default=72.0, help="of rack time (default 72)")
    parser.add_argument("--pace", type=float, default=20.0, help="rack seconds per wall second (default 20)")
    parser.add_argument("--keep", type=Path, help="keep the run directory here")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="rackproof-soak-") as folder:
        found: Findings = soak(asked.keep or Path(folder), asked.hours, asked.pace)
    sys.stdout.write(json.dumps(found.as_json(), indent=2) + "\n")
    for broken in found.broken():
        sys.stdout.write(f"BROKEN: {broken}\n")
    return 1 if found.broken() else 0


if __name__ == "__main__":
    sys.exit(main())
