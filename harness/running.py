"""From an order to a verdict: prepare everything, run the plan under pytest, fold the journal, write the reports."""

from __future__ import annotations

import platform
import secrets as randomness
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import TextIO

from harness.claim import Terms, claim_rack
from harness.collecting import seldom_collecting
from harness.errors import DefinitionError, RackproofError
from harness.journal.reader import read_journal
from harness.observing import FinishedRun, LiveOptions, Observer
from harness.plugin.collection import Collection
from harness.plugin.execution import Execution
from harness.plugin.measuring import Arguments
from harness.proof.finding import look_for_proof
from harness.rack.load import load_definition, model_path
from harness.registry import build_drivers, check_keys, driver_tiers, open_observers, report_writers
from harness.resuming.resumption import find_broken, resumption
from harness.safety.watchdog import Charge, Watchdog
from harness.secrets import resolve
from harness.session import RackSession
from harness.setup import Setup, software
from harness.verdict import RunSummary, Verdict, fold

FREE_SPACE = 64 * 2**20
"""Octets that must be free for a run directory: engineering judgement, a day of a full-scale rack's telemetry."""


def shipped_plan() -> Path:
    """The plan that comes with Rackproof."""
    return Path(str(files("test_plans"))) / "rack"


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be accepted, where, and how it is to be shown."""

    model: str
    bay: Path
    serial: str
    runs: Path
    plan: Path
    operator: str = ""
    order: str = ""
    customer: str = ""
    metrics_port: int | None = None
    keys: Path | None = None
    proof: Path | None = None
    """A proof of the plan; None for the one beside the plan."""
    resumes: Path | None = None
    """The run directory of a run to be taken up again; None for a new run."""
    reports: bool = True
    """Whether reports are written at the end; where not, the journal says so, and they can be derived later."""
    output: TextIO = field(default_factory=lambda: sys.stderr)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run came to. `failure` says why evidence is incomplete, where it is."""

    run_dir: Path
    summary: RunSummary
    failure: str
    written: tuple[Path, ...]

    @property
    def verdict(self) -> Verdict:
        """The folded verdict; evidence that could not be kept is never a pass."""
        return Verdict.ABORTED if self.failure and self.summary.verdict is Verdict.PASS else self.summary.verdict


@dataclass(slots=True)
class _Opening:
    """Opens the session, late: only once the plan has been found sound."""

    order: Order
    setup: Setup
    session: RackSession | None = None
    refusal: RackproofError | None = None
    """Why the rack could not be had."""

    def __call__(self) -> RackSession:
        try:
            return self._open()
        except RackproofError as error:
            self.refusal = error
            raise

    def _open(self) -> RackSession:
        order, setup = self.order, self.setup
        claim = claim_rack(setup.definition, order.bay, setup.run_id, Terms(say=lambda text: _say(text, order.output)))
        setup = replace(setup, claim=claim)
        if setup.charge is not None:
            setup = replace(setup, charge=replace(setup.charge, held=(claim.descriptor,)))
        try:
            return self._begin(order, setup)
        except BaseException:
            claim.release()
            raise

    def _begin(self, order: Order, setup: Setup) -> RackSession:
        options = LiveOptions(setup.run_dir, setup.clock, order.output, order.metrics_port)
        observers: list[Observer] = open_observers(options)
        watchdog: Watchdog | None = None
        try:
            setup.run_dir.mkdir(mode=0o700, parents=True, exist_ok=setup.resumption is not None)
            watchdog = Watchdog(setup.charge) if setup.charge is not None else None
            self.session = RackSession(setup, observers, watchdog)
        except BaseException:
            if watchdog is not None:
                watchdog.dismiss()
            for observer in observers:
                observer.close()
            raise
        return self.session


def prepare(order: Order) -> Setup:
    """Load and check everything an order needs; raises DefinitionError with every problem. Contacts nothing."""
    broken = None if order.resumes is None else find_broken(order.resumes)
    model = model_path(order.model)
    definition = load_definition(model, order.bay, order.serial, order=order.order, customer=order.customer)
    found = resolve(definition.bay, order.bay)
    clock = definition.bay.clock()
    drivers = build_drivers(definition, found, clock)
    if not order.plan.exists():
        raise DefinitionError(f"there is no plan at {order.plan}")
    plan_digest = Collection(definition, order.plan).planned().plan_digest
    proof = look_for_proof(order.plan, plan_digest, definition.model.model_dump(mode="json"), order.proof)
    if order.reports:
        check_keys(order.keys)
    _check_room(order.runs)
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    run_id = f"{stamp}-{definition.unit.serial.replace('/', '_')}-{randomness.token_hex(2)}"
    run_dir, tiers = order.runs / run_id, driver_tiers(definition)
    ordered = {"model": str(model.resolve()), "bay": str(order.bay.resolve()), "plan": str(order.plan.resolve())}
    if not order.reports:
        ordered["reports"] = "none"
    setup = Setup(
        definition=definition,
        drivers=drivers,
        tiers=tiers,
        clock=clock,
        run_id=run_id,
        run_dir=run_dir,
        operator=order.operator,
        proof=proof,
        charge=Charge(definition, found, run_dir),
        ordered=ordered,
    )
    if broken is None:
        return setup
    going_on = resumption(
        broken,
        definition,
        proof.checked.running,
        software(),
        tiers,
        operator=order.operator,
        station=platform.node(),
    )
    return replace(
        setup,
        run_id=broken.summary.run_id,
        run_dir=broken.run_dir,
        charge=Charge(definition, found, broken.run_dir),
        resumption=going_on,
    )


def order_again(run_dir: Path, order: Order) -> Order:
    """The order of a run that is taken up again: what `order` leaves open is as it was; raises DefinitionError."""
    started = find_broken(run_dir).started
    unit = started.definition.get("unit", {})
    was = started.ordered
    return replace(
        order,
        model=order.model or was.get("model", ""),
        bay=order.bay if str(order.bay) != "." else Path(was.get("bay", "")),
        plan=order.plan if str(order.plan) != "." else Path(was.get("plan", "")),
        serial=unit.get("serial", ""),
        order=unit.get("order", ""),
        customer=unit.get("customer", ""),
        runs=run_dir.parent,
        resumes=run_dir,
    )


def plugins_for(order: Order) -> Mapping[str, object]:
    """The plugins that make a pytest run an acceptance run, ready but without having contacted anything."""
    return _plugins(order, prepare(order))[0]


def _plugins(order: Order, setup: Setup) -> tuple[Mapping[str, object], Collection, _Opening]:
    begun = setup.resumption.broken.summary.plan if setup.resumption else None
    collection = Collection(setup.definition, order.plan, begun)
    opening = _Opening(order, setup)
    execution = Execution(collection, opening)
    named = {"rackproof-collection": collection, "rackproof-arguments": Arguments(), "rackproof-steps": execution}
    return named, collection, opening


def accept(order: Order) -> Outcome:
    """Run an acceptance to its end; raises DefinitionError where it cannot begin."""
    from harness.quiet import run_plan
    from harness.signals import stopping_on_signals

    setup = prepare(order)
    plugins, collection, opening = _plugins(order, setup)
    with seldom_collecting(), stopping_on_signals(lambda: opening.session, order.output) as stops:
        text = run_plan(order.plan, plugins)
        if opening.session is None:
            if stops.requested:
                raise KeyboardInterrupt
            problems = collection.problems
            raise opening.refusal or DefinitionError(problems or f"the plan did not start: {text}")
        stops.report(setup.run_dir)
        failure = str(opening.session.evidence.failure or "")
        summary = fold(read_journal(setup.run_dir / "journal.jsonl").entries)
        written, failed = write_reports(setup.run_dir, order.keys) if order.reports else ([], [])
    return Outcome(setup.run_dir, summary, failure or "; ".join(failed), tuple(written))


def write_reports(run_dir: Path, keys: Path | None) -> tuple[list[Path], list[str]]:
    """Derive every report of a finished run again: what was written, and what each writer that failed had to say."""
    written: list[Path] = []
    failed: list[str] = []
    for name, write in report_writers():
        try:
            written += write(FinishedRun(run_dir, keys))
        except Exception as error:  # noqa: BLE001 - one report that fails takes no other one with it
            failed.append(f"{name} could not be written: {error or type(error).__name__}")
    return written, failed


def _say(text: str, output: TextIO) -> None:
    output.write(f"{text}\n")
    output.flush()


def _check_room(runs: Path) -> None:
    """Say now, rather than in the middle of a burn-in, that evidence cannot be kept."""
    try:
        runs.mkdir(parents=True, exist_ok=True)
        probe = runs / f".rackproof-{randomness.token_hex(4)}"
        probe.mkdir()
        probe.rmdir()
        free = shutil.disk_usage(runs).free
    except OSError as error:
        raise DefinitionError(
            f"no run directory can be made in {runs}: {error.strerror}. Choose another with --runs DIR"
        ) from error
    if free < FREE_SPACE:
        raise DefinitionError(
            f"only {free / 2**20:.1f} MiB are free in {runs}, a run needs {FREE_SPACE // 2**20} MiB. "
            "Free some space or choose another place with --runs DIR"
        )
