"""The tools that load a host: the command for a load, and what its output says of each unit.

Exit codes lie: gpu_burn ends with 0 and FAULTY accelerators, iperf3 with 0 and an error. Whatever is not proven by the
output counts as an error of the unit.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass

from drivers.inband import ParseError, gpu_burn, iperf3
from harness.capabilities import Load, LoadOutcome

TAIL = {"gpu-burn": 65_536, "iperf3": 4 * 2**20}
"""How much of the end of a tool's output its parser needs: a JSON document is needed whole."""


@dataclass(frozen=True, slots=True)
class Spec:
    """What a job was started as, kept beside it on the host so that any later session can read its output."""

    tool: str
    interface: str
    serves: bool
    text: str
    """The whole load as canonical JSON: two loads of one name must have the same."""

    @classmethod
    def of(cls, load: Load) -> Spec:
        """The specification of a load."""
        whole = {field: getattr(load, field) for field in Load.__slots__ if field != "name"}
        text = json.dumps(whole, sort_keys=True, separators=(",", ":"), allow_nan=False)
        return cls(load.tool, load.interface, not load.peer, text)

    @classmethod
    def read(cls, text: str) -> Spec | None:
        """The specification as a host has kept it; None where it is not whole."""
        try:
            whole = json.loads(text)
            return cls(str(whole["tool"]), str(whole["interface"]), not whole["peer"], text)
        except (ValueError, LookupError, TypeError, RecursionError):
            return None


def command(load: Load, addresses: Mapping[str, str]) -> tuple[str, ...]:
    """The command line for a load; `addresses` maps interfaces to addresses on the data network.

    Raises ValueError, in words, where the load cannot be run: unknown tool, no address, numbers without sense.
    """
    if not (math.isfinite(load.seconds) and math.isfinite(load.limit) and 0 < load.seconds <= load.limit):
        raise ValueError(f"{load.seconds} s of load within {load.limit} s make no sense")
    if not 0 < load.intensity <= 1:
        raise ValueError(f"an intensity of {load.intensity} makes no sense")
    seconds = str(math.ceil(load.seconds))
    if load.tool == "gpu-burn":
        memory = () if load.intensity == 1 else ("-m", f"{max(1, round(load.intensity * 100))}%")
        return ("gpu_burn", *memory, seconds)
    if load.tool == "iperf3":
        local = addresses.get(load.interface)
        if not local:
            raise ValueError(f"the bay file has no option 'data.{load.interface}', the interface's data address")
        if not load.peer:
            return ("iperf3", "-s", "-1", "-B", local)
        return ("iperf3", "-c", load.peer, "--bidir", "-t", seconds, "-J", "-B", local)
    raise ValueError(f"there is no tool {load.tool!r} here; known are {', '.join(TAIL)}")


def outcomes(spec: Spec, text: str, *, done: bool) -> tuple[LoadOutcome, ...]:
    """What each unit did. Before the end it is what can be seen so far; at the end an unreadable output is an error."""
    try:
        if spec.tool == "gpu-burn":
            return _burned(gpu_burn.parse(text), done=done)
        if not done:
            return ()
        transfer = iperf3.parse_server(text) if spec.serves else iperf3.parse_client(text)
        return (LoadOutcome(spec.interface, transfer.octets, 1 if transfer.error else 0, transfer.error),)
    except ParseError as error:
        if not done:
            return ()
        return (LoadOutcome(spec.interface or "accelerator", 0.0, 1, f"its output proves nothing: {error}"),)


def _burned(burn: gpu_burn.Burn, *, done: bool) -> tuple[LoadOutcome, ...]:
    found = []
    for number, unit in enumerate(burn.units):
        notes = []
        if unit.died:
            notes.append("its process died")
        if unit.faulty:
            notes.append("gpu_burn calls it FAULTY")
        if done and unit.faulty is None:
            notes.append("gpu_burn gave no final verdict")
        errors = max(unit.errors, 1) if notes else unit.errors
        found.append(LoadOutcome(f"accelerator-{number}", float(unit.processed), errors, "; ".join(notes)))
    return tuple(found)
