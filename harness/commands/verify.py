"""`rackproof verify`: can this run directory be believed?"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from harness.errors import DefinitionError
from harness.inert import told
from harness.registry import run_verifier


def execute(arguments: argparse.Namespace) -> int:
    """Check a run directory: 0 if all of it holds, 1 if anything does not, 2 if it is no run directory."""
    folder = Path(arguments.run)
    if not folder.is_dir():
        raise DefinitionError(f"there is no run directory at {folder}")
    root = Path(arguments.root) if arguments.root else None
    if root is not None and not root.is_file():
        raise DefinitionError(f"there is no root certificate at {root}")
    found = run_verifier()(folder, root)
    if arguments.json:
        findings = [{"file": finding.file, "text": finding.text} for finding in found.findings]
        line = {"ok": found.ok, "verdict": found.verdict, "checked": list(found.checked), "findings": findings}
        line["remarks"] = list(found.remarks)
        sys.stdout.write(json.dumps(line) + "\n")
    else:
        for finding in found.findings:
            # Names and words are those of a directory that may come from anybody.
            sys.stdout.write(told(f"{finding.file}: {finding.text}") + "\n")
        for remark in found.remarks:
            sys.stdout.write(told(f"note: {remark}") + "\n")
        state = "VERIFIED" if found.ok else "NOT TO BE TRUSTED"
        sys.stdout.write(f"{state}: {folder}, {len(found.checked)} files checked, verdict {found.verdict}\n")
    return 0 if found.ok else 1
