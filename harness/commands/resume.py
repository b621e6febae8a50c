"""`rackproof resume`: go on with a run that was stopped, killed or cut off."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from harness.commands.run import tell
from harness.running import Order, accept, order_again
from harness.signals import interruptible
from harness.verdict import EXIT_CODES


def execute(arguments: argparse.Namespace) -> int:
    """Go on with the run and return the exit code of its verdict."""
    output = sys.stderr if arguments.json else sys.stdout
    order = Order(
        model=arguments.model or "",
        bay=Path(arguments.bay or ""),
        serial="",
        runs=Path(),
        plan=Path(arguments.plan).resolve() if arguments.plan else Path(),
        operator=arguments.operator,
        metrics_port=arguments.metrics_port,
        keys=Path(arguments.keys) if arguments.keys else None,
        output=output,
    )
    with interruptible():
        outcome = accept(order_again(Path(arguments.run), order))
    tell(outcome, output, as_json=arguments.json)
    return EXIT_CODES[outcome.verdict]
