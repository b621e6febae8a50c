"""`rackproof simulate`: keep a simulated rack standing until it is stopped."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys

from harness.errors import DefinitionError
from harness.rack.load import model_path

FIRST_MODEL = "bench4"


def execute(arguments: argparse.Namespace) -> int:
    """Run the simulated rack's own process in the foreground and return its exit code."""
    if not arguments.model and not arguments.list_faults:
        raise DefinitionError("simulate needs a MODEL, or --list-faults")
    # The examples of a list of faults have to be of some model: the first one, unless asked otherwise.
    command = [sys.executable, "-m", "fixtures", str(model_path(arguments.model or FIRST_MODEL))]
    if arguments.list_faults:
        command += ["--list-faults", *(["--json"] if arguments.json else [])]
    else:
        command += ["--seed", str(arguments.seed), "--pace", str(arguments.pace), "--parent-pid", str(os.getpid())]
        for fault in arguments.fault:
            command += ["--fault", fault]
        if arguments.replay:
            command += ["--replay", arguments.replay]
        if arguments.bay_out:
            command += ["--bay-out", arguments.bay_out]
    process = subprocess.Popen(command)  # noqa: S603 - our own interpreter and package
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            continue  # the simulator got it as well and is ending by itself
