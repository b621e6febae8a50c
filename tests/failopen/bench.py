"""A small bench for plans: a rack of one's own making, drivers that answer as a test says, and the harness as it is."""

from __future__ import annotations

import inspect
import json
import re
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from harness.clock import Clock
from harness.connection import Driver
from harness.errors import DefinitionError
from harness.journal import events as e
from harness.journal.reader import read_journal
from harness.plugin.collection import Collection
from harness.plugin.execution import Execution
from harness.plugin.measuring import Arguments
from harness.quantities import Channel, Quality, Reading, Sample, Unit, Value
from harness.quiet import run_plan
from harness.rack.definition import RackDefinition, offline_definition
from harness.rack.load import load_model
from harness.running import Outcome
from harness.session import RackSession
from harness.setup import Setup
from harness.verdict import RunSummary, Verdict, fold

PACE = 20.0
"""Rack seconds per wall second."""
HEAD = '''"""A plan."""
import asyncio
import contextlib
import pytest
from harness.capabilities import *
from harness.errors import *

pytestmark = pytest.mark.stage("own")

'''
FLOW = {"thermal.flow": {"unit": "L/min", "max": 80, "source": "test"}}
"""A limit of numbers, for steps that only judge."""
JUDGED = {
    "burn_in.load.work": {"unit": "count", "min": 1, "source": "test"},
    "burn_in.load.errors": {"unit": "count", "max": 0, "source": "test"},
    "burn_in.load.exit_code": {"unit": "count", "equals": 0, "source": "test"},
}
"""The limits of a load that the shipped plan runs by itself."""
TRAY = {"tray-01": ["compute_tray", "host"]}
ASSEMBLIES = {
    "compute_tray": {
        "parts": [{"kind": "accelerator", "count": 2, "manufacturer": "Bench", "part_numbers": ["P"]}],
    },
    "power_shelf": {"parts": [{"kind": "psu", "count": 2}]},
}
QUICK = ("-p", "no:unraisableexception", "-p", "no:threadexception")
"""The pytest around these tests watches for what nobody awaited; a second look at everything takes long."""
PHYSICS = (
    "idle_power full_power tray_power plate_resistance plate_capacity plate_flow loop_volume supply_setpoint "
    "facility_temperature exchanger_conductance switch_power bus_voltage line_voltage"
)
"""Constants that no check reads; a model must have them."""


class Tiny:
    """A driver that answers as a test says.

    Each keyword is a member of a capability: a value that it gives, an error that it raises, or a function (of its
    arguments, awaited where it is to be) whose result it gives.
    """

    def __init__(self, device: str, **answers: Any) -> None:
        self.device = device
        for name, answer in answers.items():
            setattr(self, name, _member(name, answer))

    async def open(self) -> None:
        """Always open."""

    async def close(self) -> None:
        """Never closed."""


def _member(name: str, answer: Any) -> Any:
    if name in ("polling_floor", "lease"):
        return answer
    if name in ("channels", "problems"):
        return lambda *_: answer

    async def asked(*arguments: Any, **named: Any) -> Any:
        given = answer(*arguments, **named) if callable(answer) else answer
        if isinstance(given, BaseException):
            raise given
        return await given if inspect.isawaitable(given) else given

    return asked


@dataclass
class Bench:
    """Runs plans against racks and says what came of them; what a test has seen is kept for the check at its end."""

    folder: Path
    healthy: int = 0
    """Runs that passed as they should: without them, a run that does not pass proves nothing."""
    said: list[str] = field(default_factory=list)
    """What became of what was provoked: a verdict, or REFUSED where nothing was run."""
    clock: Clock = field(default_factory=lambda: Clock(PACE, datetime.now(UTC), time.monotonic()))
    run_dir: Path = Path()
    """Of the latest run."""

    def rack(
        self,
        limits: Mapping[str, Mapping[str, Any]],
        slots: Mapping[str, Sequence[str]] | None = None,
        **sections: Any,
    ) -> RackDefinition:
        """A rack of these slots (a tray with its host unless said) and limits; raises DefinitionError.

        `sections` are those of a model file: loads, interlocks, sampling, power_map, durations …
        """
        places = TRAY if slots is None else slots
        kinds = {roles[0] for roles in places.values()}
        named = {"manufacturer": "Bench", "model": "M", "part_numbers": ["P"]}
        model = {
            "schema_version": 1,
            "name": "failopen",
            "revision": "1",
            "title": "A rack to fail",
            "assemblies": {kind.replace("_", "-"): named | ASSEMBLIES.get(kind, {}) for kind in sorted(kinds)},
            "slots": {
                name: {"roles": list(roles), "assembly": roles[0].replace("_", "-")} for name, roles in places.items()
            },
            "cable_map": [],
            "power_map": [],
            "coolant": {
                "name": "W", "density": [1000], "specific_heat": [4180], "liquid_share": 0.9, "source": "test",
            },
            "limits": limits,
            "durations": {"ramp": 2, "cool-down": 1, "outlet-settle": 2, "feed-loss": 1},
            "loads": {},
            "interlocks": {},
            "sampling": {"periods": {role: 0.1 for roles in places.values() for role in roles}},
            "make_safe": {"cool_below": 50, "cooling_time": 2, "action_time": 2},
            "physics": dict.fromkeys(PHYSICS.split(), 1) | {"liquid_share": 0.9},
        }  # fmt: skip
        file = self.folder / f"model-{uuid.uuid4().hex}.yaml"
        file.write_text(json.dumps(model | sections), "utf-8")
        return offline_definition(load_model(file), file.name)

    def step(self, body: str, marks: str = '@pytest.mark.measures("thermal.flow")', takes: str = "measure") -> str:
        """A plan of one asynchronous step."""
        lines = "".join(f"    {line}\n" for line in body.splitlines())
        return f'{HEAD}{marks}\nasync def test_it({takes}):\n    """It holds."""\n{lines}'

    def shipped(self, module: str, *steps: str) -> str:
        """A plan of steps of the shipped one."""
        return f"{HEAD}from test_plans.rack.{module} import {', '.join(steps)}\n"

    def run(self, rack: RackDefinition, plan: str, *drivers: Driver, arguments: Sequence[str] = ()) -> RunSummary:
        """Run a plan to its end and fold its journal as `rackproof run` does; devices without a driver are mute.

        Raises DefinitionError where the plan is refused.
        """
        name = uuid.uuid4().hex
        # Modules are known by name within one process: every plan has a name of its own.
        file = self.folder / f"test_{name}.py"
        file.write_text(plan, "utf-8")
        given = {driver.device: driver for driver in drivers}
        every: dict[str, Driver] = {entry.name: given.get(entry.name, Tiny(entry.name)) for entry in rack.devices}
        self.run_dir = self.folder / name
        setup = Setup(rack, every, {}, self.clock, name, self.run_dir)
        collection = Collection(rack, file)
        opened: list[RackSession] = []

        def open_session() -> RackSession:
            self.run_dir.mkdir()
            opened.append(RackSession(setup, ()))
            return opened[0]

        execution = Execution(collection, open_session)
        plugins = {
            "rackproof-collection": collection,
            "rackproof-arguments": Arguments(),
            "rackproof-steps": execution,
        }
        said = run_plan(file, plugins, *QUICK, *arguments)
        if not opened:
            raise DefinitionError(collection.problems or said)
        summary = fold(read_journal(self.run_dir / "journal.jsonl").entries)
        outcome = Outcome(self.run_dir, summary, str(opened[0].evidence.failure or ""), ())
        assert (outcome.verdict is Verdict.PASS) == (summary.verdict is Verdict.PASS)
        return summary

    def passes(self, summary: RunSummary) -> None:
        """What nothing was provoked in passes: the rack, the plan and the drivers are sound."""
        assert summary.verdict is Verdict.PASS, summary.reasons
        self.healthy += 1

    def ends(self, summary: RunSummary, verdict: Verdict, reason: str) -> None:
        """What was provoked ends so and no pass, and the first reason that is given holds these words."""
        assert verdict is not Verdict.PASS
        assert summary.verdict is verdict, (summary.verdict, summary.reasons)
        assert reason in summary.reasons[0], summary.reasons
        self.said.append(verdict.value)

    def refuses(self, attempt: Callable[[], object], reason: str) -> None:
        """A definition or a plan is refused with these words before anything is contacted."""
        with pytest.raises(DefinitionError, match=re.escape(reason)):
            attempt()
        self.said.append("REFUSED")

    def measured(self) -> list[e.Measured]:
        """Every measurement of the latest run, in order."""
        entries = read_journal(self.run_dir / "journal.jsonl").entries
        return [entry.event for entry in entries if isinstance(entry.event, e.Measured)]

    def telemetry(
        self, device: str, unit: Unit, sweeps: Callable[[int], Mapping[tuple[str, str], Value | None]]
    ) -> dict[str, Any]:
        """Telemetry for a `Tiny`: `sweeps` maps the number of a sweep to values by quantity and part.

        The channels are those of sweep 0. None is a reading of nothing; a channel that is left out is not given at all.
        """
        taken = [0]

        def sample() -> list[Sample]:
            number, now = taken[0], self.clock.now()
            taken[0] += 1
            return [
                Sample(Channel(device, quantity, unit, part), self.reading(value, unit, now))
                for (quantity, part), value in sweeps(number).items()
            ]

        channels = [Channel(device, quantity, unit, part) for quantity, part in sweeps(0)]
        return {"polling_floor": 0.01, "channels": channels, "sample": sample}

    def reading(self, value: Value | None, unit: Unit, at: datetime | None = None) -> Reading:
        """A good reading; an absent one of None."""
        when = at or self.clock.now()
        if value is None:
            return Reading(float("nan"), unit, when, Quality.ABSENT)
        return Reading(value, unit, when)
