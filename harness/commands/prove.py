"""`rackproof prove`: does this plan catch every fault, and leave sound racks alone?"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

from harness.errors import DefinitionError
from harness.plugin.collection import Collection
from harness.proof.campaign import Finished, Job, run_all
from harness.proof.digests import digests
from harness.proof.forked import RUN, Forked, preloaded
from harness.proof.judging import function_of, judge_fault, judge_seed
from harness.proof.ledger import Ledger, about
from harness.proof.matrix import Proof
from harness.proof.record import digest, encode, path_beside
from harness.proof.results import (
    LEFT_OUT,
    NOT_ASKED,
    NOT_DRAWN,
    Catch,
    Fault,
    FaultResult,
    SeedResult,
    read_catalogue,
)
from harness.proof.sample import draw
from harness.proof.table import drawn, line_of
from harness.quiet import run_plan
from harness.rack.definition import offline_definition
from harness.rack.load import load_model, model_path
from harness.rack.suggest import did_you_mean
from harness.running import shipped_plan
from harness.simulation import PACE, simulator_command
from harness.verdict import Verdict

PROVEN, SHORT, NOT_ALL_RUN, STOPPED = 0, 1, 3, 4
LIMIT = 900.0
"""Wall seconds after which a run at the usual pace counts as hung; more at a slower one."""


@dataclass(frozen=True, slots=True)
class _Subject:
    """What is to be proven: a plan on a model, with every fault that its simulated rack can have."""

    plan: Path
    model: Path
    blank: Proof
    faults: tuple[Fault, ...]


def execute(arguments: argparse.Namespace) -> int:
    """Prove a plan: 0 proven, 1 it falls short, 3 something could not be run, 4 stopped."""
    _check(arguments)
    subject = _subject(arguments)
    asked = _chosen(arguments.fault, subject.faults)
    chosen = draw(asked, arguments.sample, arguments.seed) if arguments.sample is not None else asked
    left_out = {fault.spec: NOT_DRAWN for fault in asked if fault not in chosen}
    out = Path(arguments.out) if arguments.out else path_beside(subject.plan, subject.blank.model)
    ledger = Ledger(out, about(subject.blank), resume=arguments.resume)
    # What intake catches is over in seconds and stands first in the catalogue: run last, it leaves no core idle.
    jobs = [Job(fault, arguments.seed) for fault in reversed(chosen)]
    jobs += [Job(None, seed) for seed in range(1, arguments.seeds + 1)]
    jobs = [job for job in jobs if not ledger.done(job.fault.spec if job.fault else None, job.seed)]
    _say(f"{len(jobs)} runs to do, {len(ledger.faults) + len(ledger.seeds)} taken over, {arguments.jobs} at a time")
    try:
        with _stoppable():
            _run(jobs, arguments, subject, ledger)
    except KeyboardInterrupt:
        ledger.close(finished=False)
        _say(f"stopped; what is done is kept in {ledger.path}, go on with --resume")
        return STOPPED
    proof = _proof(subject, ledger, left_out)
    content = encode(proof)
    try:
        _put(out, content)
    except OSError as error:
        ledger.close(finished=False)
        raise DefinitionError(
            f"{out} could not be written: {error.strerror}. What is done is kept in {ledger.path}: mend it and go on "
            "with --resume"
        ) from error
    ledger.close(finished=True)
    _show(arguments, proof, out, digest(content))
    missing = [result for result in proof.faults if result.catch is Catch.NOT_RUN and result.text not in LEFT_OUT]
    if missing or len(proof.judged) < len(proof.healthy):
        return NOT_ALL_RUN
    return SHORT if proof.shortcomings else PROVEN


def _check(arguments: argparse.Namespace) -> None:
    if arguments.jobs < 1 or arguments.seeds < 0 or not arguments.pace > 0:
        raise DefinitionError("--jobs needs 1 or more, --seeds 0 or more, --pace more than 0")
    if arguments.sample is not None and arguments.sample < 1:
        raise DefinitionError("--sample needs 1 or more")


def _subject(arguments: argparse.Namespace) -> _Subject:
    plan = Path(arguments.plan).resolve() if arguments.plan else shipped_plan()
    if not plan.exists():
        raise DefinitionError(f"there is no plan at {plan}")
    path = model_path(arguments.model)
    model = load_model(path)
    collection = Collection(offline_definition(model, path.name), plan)
    said = run_plan(plan, {"rackproof-collection": collection}, "--collect-only")
    if collection.problems or not collection.steps:
        raise DefinitionError(collection.problems or said)
    stages: dict[str, list[str]] = {}
    for step in collection.steps:
        steps = stages.setdefault(step.stage, [])
        if function_of(step.step) not in steps:
            steps.append(function_of(step.step))
    planned = collection.planned()
    blank = Proof(
        plan=planned.plan,
        model=model.name,
        revision=model.revision,
        made="",
        running=digests(planned.plan_digest, model.model_dump(mode="json")),
        pace=float(arguments.pace),
        seed=arguments.seed,
        stages={stage: tuple(steps) for stage, steps in stages.items()},
        faults=(),
        healthy=(),
    )
    return _Subject(plan, path.resolve(), blank, _catalogue(path))


def _catalogue(model: Path) -> tuple[Fault, ...]:
    """Every fault that the simulated rack of a model can have, as the simulator itself lists them."""
    command = simulator_command(model, "--list-faults", "--json")
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own interpreter
    if done.returncode != 0:
        raise DefinitionError(done.stderr.strip() or "the simulated rack could not list its faults")
    try:
        return read_catalogue(json.loads(done.stdout))
    except ValueError as error:
        raise DefinitionError(f"the simulated rack's list of faults cannot be read: {error}") from error


def _chosen(words: Sequence[str] | None, faults: tuple[Fault, ...]) -> tuple[Fault, ...]:
    """The faults that are asked for, by the name of their kind or as they are put in; all where none is named."""
    if words is None:
        return faults
    known = {word for fault in faults for word in (fault.name, fault.spec)}
    if unknown := [word for word in words if word not in known]:
        raise DefinitionError(
            f"there is no fault {unknown[0]!r}{did_you_mean(unknown[0], known)}; "
            "`rackproof simulate --list-faults` lists them"
        )
    return tuple(fault for fault in faults if {fault.name, fault.spec} & set(words))


def _run(jobs: Sequence[Job], arguments: argparse.Namespace, subject: _Subject, ledger: Ledger) -> None:
    def start(job: Job, runs: Path, said: Path) -> Forked:
        line = ["run", "--simulate", str(subject.model), "--plan", str(subject.plan)]
        line += ["--seed", str(job.seed), "--pace", f"{arguments.pace:g}", "--runs", str(runs), "--json"]
        line += ["--parent-pid", str(os.getpid()), "--no-reports"]
        return Forked(RUN, [*line, *(["--fault", job.fault.spec] if job.fault else [])], said, has_forks=True)

    running, limit = subject.blank.running, LIMIT * max(1.0, PACE / arguments.pace)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rackproof-prove-")))
        stack.enter_context(preloaded())
        finished = run_all(jobs, start, folder, at_once=arguments.jobs, limit=limit, quick=arguments.quick)
        for number, one in enumerate(stack.enter_context(contextlib.closing(finished)), start=1):
            result = _judged(one, running)
            ledger.add(result)
            _say(f"[{number}/{len(jobs)}] {one.took:.0f} s  {_line(result)}")
            if arguments.keep and not _is_as_it_should(result):
                _keep(one, Path(arguments.keep))


def _judged(one: Finished, running: Mapping[str, str]) -> FaultResult | SeedResult:
    fault = one.job.fault
    return judge_fault(fault, one.ran, running) if fault else judge_seed(one.job.seed, one.ran, running)


def _is_as_it_should(result: FaultResult | SeedResult) -> bool:
    return result.catch is Catch.RIGHT if isinstance(result, FaultResult) else result.verdict == Verdict.PASS


def _keep(one: Finished, folder: Path) -> None:
    """Keep a run directory for whoever looks into it."""
    if one.run_dir is not None:
        shutil.copytree(one.run_dir, folder / one.run_dir.name)


def _line(result: FaultResult | SeedResult) -> str:
    if isinstance(result, FaultResult):
        return line_of(result)
    reasons = f": {'; '.join(result.reasons[:2])}" if result.reasons else ""
    return f"healthy rack, seed {result.seed}: {result.verdict or 'NOT RUN'}{reasons}"


def _proof(subject: _Subject, ledger: Ledger, left_out: Mapping[str, str]) -> Proof:
    """The proof that all results together make; a fault that was not asked for, or not drawn, was not run."""
    return replace(
        subject.blank,
        made=datetime.now(UTC).isoformat(timespec="seconds"),
        faults=tuple(_result(fault, ledger, left_out) for fault in subject.faults),
        healthy=tuple(ledger.seeds[seed] for seed in sorted(ledger.seeds)),
    )


def _result(fault: Fault, ledger: Ledger, left_out: Mapping[str, str]) -> FaultResult:
    """What came of a fault. What an earlier proof left out is looked at anew: this one may have asked for it."""
    found = ledger.faults.get(fault.spec)
    if found is not None and found.text not in LEFT_OUT:
        return found
    return FaultResult(fault, Catch.NOT_RUN, text=left_out.get(fault.spec, NOT_ASKED))


def _put(out: Path, content: bytes) -> None:
    """Write the proof, whole or not at all."""
    part = out.with_suffix(".part")
    with part.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    part.replace(out)


def _show(arguments: argparse.Namespace, proof: Proof, out: Path, sha256: str) -> None:
    from rich.console import Console

    if arguments.json:
        content = json.loads(encode(proof)) | {"file": str(out), "sha256": sha256, "proven": not proof.shortcomings}
        sys.stdout.write(json.dumps(content, ensure_ascii=False, allow_nan=False) + "\n")
        sys.stdout.flush()
        return
    console = Console(width=None if sys.stdout.isatty() else 120, highlight=False, emoji=False, markup=False)
    unicode = console.encoding.lower().startswith("utf")
    for part in drawn(proof, width=console.width, unicode=unicode):
        console.print(part)
    console.print(f"Written: {out}\nSHA-256: {sha256}", soft_wrap=True)


def _say(text: str) -> None:
    """What comes in meanwhile; standard output belongs to the matrix."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


@contextlib.contextmanager
def _stoppable() -> Iterator[None]:
    """While inside, SIGTERM and SIGHUP end the proof as Ctrl-C does: in order."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    numbers = (signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, stop) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
