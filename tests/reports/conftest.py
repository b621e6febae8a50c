"""Runs made by hand: a journal with fixed times, its sealed files, and demo keys of their own."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.journal import events as e
from harness.journal.lines import FIRST, digest, encode
from harness.limits import Limit, judge
from harness.proof.digests import digests
from harness.proof.matrix import Proof
from harness.proof.record import encode as encode_proof
from harness.proof.results import Catch, Fault, FaultResult, SeedResult
from harness.quantities import Quality, Reading, Unit, Value
from harness.rack.model import LimitSpec

START = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)


class Run:
    """A run directory in the making; times advance two seconds an event, twenty in rack time."""

    def __init__(self, directory: Path) -> None:
        self.dir = directory
        self._entries: list[e.Entry] = []
        directory.mkdir(parents=True, exist_ok=True)
        self._head = FIRST
        self.model = _model()
        self.release = version("rackproof")
        self._start: Callable[[], e.RunStarted] | None = None
        self._planned: tuple[str, ...] = ()

    @property
    def entries(self) -> list[e.Entry]:
        """What was appended so far."""
        return self.add()._entries

    def add(self, *events: e.Event) -> Run:
        """Append events, the start before all others."""
        start, self._start = self._start, None
        for event in (start(), *events) if start else events:
            number = len(self._entries)
            wall = (START + timedelta(seconds=2 * number)).isoformat()
            rack = (START + timedelta(seconds=20 * number)).isoformat()
            entry = e.Entry(number, wall, rack, 100.0 + number, self._head, event)
            line = encode(entry)
            self._head = digest(line)
            self._entries.append(entry)
            with (self.dir / "journal.jsonl").open("ab") as file:
                file.write(line + b"\n")
        return self

    def start(self, *, simulated: bool = True, tier: str = "silver", **unit: Any) -> Run:
        """RunStarted with the first model, of whose limits only those that the plan judges."""
        self._start = lambda: self._started(simulated, tier, unit)
        return self

    def _started(self, simulated: bool, tier: str, unit: dict[str, Any]) -> e.RunStarted:
        bay: dict[str, Any] = {
            "name": "bay-3",
            "site": "Line 2",
            "station": "station-7",
            "devices": {},
            "instruments": [{"name": "flow meter", "serial": "FM-118", "calibration_due": "2027-03-01"}],
        }
        if simulated:
            bay["simulated"] = {"pace": 20.0, "seed": 7, "faults": [], "epoch": START.isoformat(), "started": 0.0}
        definition = {
            "model": self.model | {"limits": {key: self.model["limits"][key] for key in self._judged()}},
            "bay": bay,
            "unit": {"serial": "BR4-00017", "order": "PO-4471", "customer": "", "built_serials": {"tray-01": "T1"}}
            | unit,
            "model_digest": "aa" * 32,
            "bay_digest": "bb" * 32,
        }
        text = json.dumps(definition, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        drivers = {
            name: f"bmc/redfish ({tier})" if "host" not in name else f"host/linux ({tier})"
            for slot, spec in self.model["slots"].items()
            for name in [slot, *(f"{slot}-{role}" for role in spec["roles"][1:])]
        }
        return e.RunStarted(
            run_id="20261122-090000-BR4-00017",
            definition=definition,
            definition_digest=hashlib.sha256(text.encode()).hexdigest(),
            software={"rackproof": self.release, "python": "3.11.7", "redfish": "3.4.2"},
            drivers=drivers,
            simulated=simulated,
            operator="operator-1",
            station="station-7",
        )

    def plan(self, *steps: tuple[str, str, str, tuple[str, ...]]) -> Run:
        """Planned, from (step, stage, device, measures)."""
        self._planned = tuple(measure.partition("@")[0] for *_, measures in steps for measure in measures)
        planned = tuple(
            e.PlannedStep(step, step.rpartition("::")[2].replace("_", " ").capitalize(), stage, device, measures)
            for step, stage, device, measures in steps
        )
        return self.add(e.Planned("rack", "cc" * 32, planned))

    def prove(self) -> Run:
        """A whole proof of this very plan and model, named and kept; the run must be on a released Rackproof."""
        planned = self.entries[1].event
        started = self.entries[0].event
        assert isinstance(planned, e.Planned)
        assert isinstance(started, e.RunStarted)
        running = digests(planned.plan_digest, started.definition["model"])
        fault = Fault("leak", "cdu-1.leak", "thermal", "it leaks", "interlock", "coolant-leak", "cdu-1")
        healthy = tuple(SeedResult(seed, "PASS") for seed in range(1, 301))
        caught = (FaultResult(fault, Catch.RIGHT, "FAIL", after=2.5),)
        whole = Proof("rack", "bench4", "1.0", "2026-11-22T08:00:00+00:00", running, 20.0, 1, {}, caught, healthy)
        content = encode_proof(whole)
        sha256 = hashlib.sha256(content).hexdigest()
        self.add(e.ProofChecked("PROVEN", (), (), "rack-bench4.json", sha256, whole.sentence, running))
        return self.attach("proof.json", content)

    def _judged(self) -> tuple[str, ...]:
        return self._planned or tuple(self.model["limits"])

    def step(self, name: str, *measured: tuple[str, str, Value | None], outcome: str = "completed") -> Run:
        """A whole step with its measurements (key, subject, value), judged as the harness does."""
        self.add(e.StepStarted(name))
        for key, subject, value in measured:
            self.add(self.measured(name, key, subject, value))
        return self.add(e.StepFinished(name, outcome))

    def measured(self, step: str, key: str, subject: str, value: Value | None, *expected: Value) -> e.Measured:
        """A measurement against the model's limit of that key."""
        spec = self.model["limits"][key]
        equals = (spec["equals"],) if spec.get("equals") is not None else None
        limit = Limit(
            key=key,
            unit=Unit(spec["unit"]),
            source=spec["source"],
            minimum=spec["min"],
            maximum=spec["max"],
            allowed=expected or equals,
            guard=spec["guard"],
            uncertainty=spec["uncertainty"],
            recorded_only=spec["recorded_only"],
        )
        reading = Reading(
            "" if value is None else value, limit.unit, START, Quality.GOOD if value is not None else Quality.ABSENT
        )
        used = e.LimitUsed(
            key,
            str(limit.unit),
            limit.describe(),
            limit.source,
            limit.minimum,
            limit.maximum,
            limit.allowed,
            limit.guard,
            limit.uncertainty,
        )
        at = (START + timedelta(seconds=20 * len(self._entries))).isoformat()
        return e.Measured(
            step, key, subject, value, str(limit.unit), at, str(reading.quality), str(judge(reading, limit)), used
        )

    def inventory(self, device: str, serial: str, *parts: tuple[str, str], firmware: str = "1.08.3") -> Run:
        """What a device says of itself and of its parts (name, serial)."""
        found = tuple(e.FoundPart(name, name.partition("-")[0], "Bench Silicon", "900-1", s) for name, s in parts)
        versions = {"bios": firmware} | {name: "97.0" for name, _ in parts}
        return self.add(e.Inventoried(device, "Bench Compute", "BC-4A", "BC4A-100", serial, versions, found))

    def attach(self, name: str, content: bytes) -> Run:
        """A file of evidence, attached."""
        path = self.dir / "attachments" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        return self.add(e.Attached(f"attachments/{name}", hashlib.sha256(content).hexdigest(), "console log"))

    def seal(self, name: str, content: bytes) -> Run:
        """A telemetry segment, sealed."""
        path = self.dir / "telemetry" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        return self.add(
            e.SegmentSealed(
                f"telemetry/{name}", hashlib.sha256(content).hexdigest(), 3, START.isoformat(), START.isoformat()
            )
        )

    def finish(self, verdict: str = "PASS") -> Run:
        """RunFinished."""
        return self.add(e.RunFinished(verdict))


def _model() -> dict[str, Any]:
    """The first model as the journal holds it, every field of a limit filled in."""
    path = Path(__file__).parents[2] / "test_plans" / "models" / "bench4.yaml"
    model: dict[str, Any] = yaml.safe_load(path.read_text("utf-8"))
    empty = LimitSpec(unit=Unit.COUNT, source="-").model_dump(mode="json")
    model["limits"] = {key: empty | written for key, written in model["limits"].items()}
    return model


INTAKE = "test_10_intake.py::test_identity[tray-01]"
LINKS = "test_30_links.py::test_cable_map"
BURN_IN = "test_40_burn_in.py::test_burn_in"


def _small(run: Run, *, hot: float = 71.5, simulated: bool = True, tier: str = "silver", release: str = "") -> Run:
    run.release = release or run.release
    run.start(simulated=simulated, tier=tier).plan(
        (INTAKE, "intake", "tray-01", ("parts.healthy", "leak.state")),
        (LINKS, "links", "", ("link.up",)),
        (BURN_IN, "burn_in", "", ("accelerator.temperature.max", "burn_in.errors")),
    )
    run.step(INTAKE, ("parts.healthy", "tray-01/accelerator-0", True), ("leak.state", "tray-01", "dry"))
    run.step(LINKS, ("link.up", "switch-1/swp1", True), ("link.up", "switch-1/swp2", True))
    run.add(e.StepStarted(BURN_IN), e.Progressed(BURN_IN, "burning in", 120.0, 240.0))
    run.attach("tray-01-console.log", b"boot ok\n")
    run.seal("segment-0001.parquet", bytes(range(256)))
    run.add(run.measured(BURN_IN, "accelerator.temperature.max", "tray-01/accelerator-0", hot))
    run.add(run.measured(BURN_IN, "accelerator.temperature.max", "tray-02/accelerator-3", 82.0))
    run.add(run.measured(BURN_IN, "burn_in.errors", "tray-01/accelerator-0", 0))
    return run.add(e.StepFinished(BURN_IN, "completed"))


@pytest.fixture(autouse=True)
def demo_keys(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Demo keys below a directory of their own, never the user's; made once a session."""
    home = tmp_path_factory.getbasetemp() / "xdg"
    monkeypatch.setenv("XDG_DATA_HOME", str(home))
    monkeypatch.delenv("RACKPROOF_KEY_PASSPHRASE", raising=False)
    return home / "rackproof" / "demo-keys"


@pytest.fixture
def blank(tmp_path: Path) -> Run:
    """An empty run directory."""
    return Run(tmp_path / "run")


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., Run]:
    """Makes runs that end in a given verdict."""

    def make(verdict: str, **options: Any) -> Run:
        run = Run(tmp_path / f"run-{verdict.lower()}")
        if verdict == "PASS":
            return _small(run, **options).finish()
        if verdict == "FAIL":
            return _small(run, hot=91.25, **options).finish("FAIL")
        if verdict == "INCONCLUSIVE":
            _small(run, **options)
            run.add(
                e.DeviceFailed(
                    BURN_IN, "tray-03", "Unreachable", "tray-03: reading sensors: no answer. Check its cable."
                )
            )
            return run.finish("INCONCLUSIVE")
        _small(run, **options)
        run.add(
            e.StopRequested("operator", "Ctrl-C"), e.SafetyAction("pdu-a", "outlets off", True, "read back off", 0.2)
        )
        return run.add(e.MadeSafe("stop", True, ())).finish("ABORTED")

    return make
