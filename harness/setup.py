"""What a session is made of, and what the station that runs it is made of."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

from harness.claim import Claim
from harness.clock import Clock
from harness.connection import Driver
from harness.proof.finding import ProofFound
from harness.rack.definition import RackDefinition
from harness.resuming.resumption import Resumption
from harness.safety.watchdog import Charge

PACKAGES = ("rackproof", "pytest", "redfish", "pysnmp", "pymodbus", "pyserial", "paramiko", "duckdb")


@dataclass(frozen=True, slots=True)
class Setup:
    """All that a session is made of, prepared and checked before anything is contacted."""

    definition: RackDefinition
    drivers: Mapping[str, Driver]
    tiers: Mapping[str, str]
    clock: Clock
    run_id: str
    run_dir: Path
    operator: str = ""
    proof: ProofFound | None = None
    charge: Charge | None = None
    """What a watchdog is given of the run; None for a run without one."""
    ordered: Mapping[str, str] = field(default_factory=dict)
    """The files that the run was ordered with, for whoever resumes it."""
    resumption: Resumption | None = None
    """How a run that broke goes on; None for a new one."""
    claim: Claim | None = None
    """How this station holds the rack; the session's from now on."""


def software() -> dict[str, str]:
    """What this station runs: package to version."""
    return {name: version(name) for name in PACKAGES} | {"python": platform.python_version()}
