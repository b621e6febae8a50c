"""`rackproof run`: accept a rack."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import TextIO

from harness.errors import DefinitionError
from harness.inert import escaped_json
from harness.rack.load import model_path
from harness.running import Order, Outcome, accept, shipped_plan
from harness.signals import interruptible, stop_without
from harness.simulation import PACE, Simulation, simulated_rack
from harness.verdict import EXIT_CODES


def execute(arguments: argparse.Namespace) -> int:
    """Run the acceptance that was asked for and return the exit code of its verdict."""
    # With --json, standard output belongs to the one JSON line; everything for people goes to standard error.
    output = sys.stderr if arguments.json else sys.stdout
    if arguments.parent_pid is not None:
        stop_without(arguments.parent_pid)
    with interruptible(), contextlib.ExitStack() as stack:
        outcome = accept(_order(arguments, output, stack))
    tell(outcome, output, as_json=arguments.json)
    return EXIT_CODES[outcome.verdict]


def tell(outcome: Outcome, output: TextIO, *, as_json: bool) -> None:
    """Say where the results of a run are; with `as_json` also as one JSON object on standard output."""
    _say_results(outcome, output)
    if as_json:
        _say(sys.stdout, escaped_json(json.dumps(_as_json(outcome), ensure_ascii=False, allow_nan=False)) + "\n")


def _order(arguments: argparse.Namespace, output: TextIO, stack: contextlib.ExitStack) -> Order:
    if arguments.simulate:
        for name in ("bay", "model"):
            if getattr(arguments, name):
                raise DefinitionError(f"--simulate brings its own rack: leave out --{name}")
        pace = PACE if arguments.pace is None else arguments.pace
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rackproof-")))
        path = model_path(arguments.simulate)
        replay = Path(arguments.replay).resolve() if arguments.replay else None
        simulation = Simulation(path, tuple(arguments.fault), arguments.seed, pace, replay)
        bay, model = stack.enter_context(simulated_rack(simulation, folder, output)), str(path)
        serial = arguments.serial or f"SIM-{path.stem}-{arguments.seed}"
    else:
        if arguments.fault or arguments.replay or arguments.pace is not None:
            raise DefinitionError("--fault, --replay and --pace belong to a simulated rack: they need --simulate MODEL")
        missing = [f"--{name}" for name in ("bay", "serial") if not getattr(arguments, name)]
        if missing:
            raise DefinitionError(f"a docked rack needs {' and '.join(missing)}")
        bay, model, serial = Path(arguments.bay), arguments.model, arguments.serial
    return Order(
        model=model,
        bay=bay,
        serial=serial,
        runs=Path(arguments.runs),
        plan=Path(arguments.plan).resolve() if arguments.plan else shipped_plan(),
        operator=arguments.operator,
        order=arguments.order,
        customer=arguments.customer,
        metrics_port=arguments.metrics_port,
        keys=Path(arguments.keys) if arguments.keys else None,
        proof=Path(arguments.proof) if arguments.proof else None,
        reports=arguments.reports,
        output=output,
    )


def _say(stream: TextIO, text: str) -> None:
    """Write to somebody who may have gone (a terminal that was closed, a pipe): the exit code stays the verdict's."""
    try:
        stream.write(text)
        stream.flush()
    except OSError:
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC), stream.fileno())


def _say_results(outcome: Outcome, output: TextIO) -> None:
    names = ", ".join(path.name for path in outcome.written if path.parent == outcome.run_dir)
    lines = [f"Written there: {names}"] if names else []
    lines.append(f"Check it with: rackproof verify {outcome.run_dir}")
    if outcome.failure:
        lines.append(f"EVIDENCE IS INCOMPLETE: {outcome.failure}")
    _say(output, "\n".join(lines) + "\n")


def _as_json(outcome: Outcome) -> dict[str, object]:
    summary, proof = outcome.summary, outcome.summary.proof
    step_of = {id(m): result.planned for result in summary.steps for m in result.measurements}
    return {
        "run_dir": str(outcome.run_dir),
        "verdict": outcome.verdict.value,
        "reasons": list(summary.reasons),
        "failed": [
            {
                "step": step_of[id(m)].step,
                "stage": step_of[id(m)].stage,
                "subject": m.subject,
                "key": m.key,
                "value": m.value,
                "unit": m.unit,
                "limit": m.limit.bounds,
            }
            for m in summary.failed
        ],
        "trips": [
            {"interlock": trip.interlock, "subject": trip.subject, "value": trip.value, "text": trip.text}
            for trip in summary.trips
        ],
        "proof": {"status": proof.status, "reasons": list(proof.reasons), "file": proof.file, "sha256": proof.sha256}
        if proof
        else None,
        "made_safe": bool(summary.made_safe) and all(event.confirmed for event in summary.made_safe),
        "failure": outcome.failure,
    }
