"""The tools that load a host: the command for a load, and what its output says of each unit.

Exit codes lie: gpu_burn ends with 0 and FAULTY accelerators, iperf3 and fio with 0 and an error. What the output does
not prove is not counted as done, and what kept a tool from telling is no error of the part: its count is None.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from drivers.host.tools import accelerators, machine, network
from drivers.host.tools.outcome import unreadable
from drivers.host.tools.spec import Printed, Spec
from drivers.inband import ParseError
from harness.workload import Load, LoadOutcome

__all__ = ["TAIL", "Spec", "command", "files", "outcomes"]

Reader = Callable[[Printed], tuple[LoadOutcome, ...]]
Writer = Callable[[Load, Mapping[str, str]], tuple[str, ...]]


@dataclass(frozen=True)
class _Tool:
    """How a tool is started and read; `tail` is how much of its output's end is needed, `unit` whom it is about."""

    command: Writer
    outcomes: Reader
    tail: int
    unit: str
    so_far: Reader | None = None


def _alone(writer: Callable[[Load], tuple[str, ...]]) -> Writer:
    """A tool that needs to know nothing of the network."""
    return lambda load, _: writer(load)


_WHOLE = 4 * 2**20
"""A JSON document is needed whole."""
_TOOLS: Mapping[tuple[str, str], _Tool] = MappingProxyType(
    {
        ("accelerator", "gpu-burn"): _Tool(
            _alone(accelerators.burn), accelerators.burned, 65_536, "accelerators", accelerators.burning
        ),
        ("accelerator", "dcgmi-diag"): _Tool(
            _alone(accelerators.diagnose), accelerators.diagnosed, _WHOLE, "accelerators"
        ),
        ("accelerator", "nccl-tests"): _Tool(_alone(accelerators.reduce), accelerators.reduced, 2**20, "accelerators"),
        ("accelerator", "nvbandwidth"): _Tool(
            lambda _load, _interfaces: accelerators.COPY, accelerators.copied, 2**20, "accelerators"
        ),
        ("cpu", "stress-ng"): _Tool(_alone(machine.stress), machine.stressed, 2**20, "cpu"),
        ("memory", "stress-ng"): _Tool(_alone(machine.stress), machine.stressed, 2**20, "memory"),
        ("memory", "stressapptest"): _Tool(
            _alone(machine.check_by_copies), machine.checked_by_copies, _WHOLE, "memory"
        ),
        ("memory", "memtester"): _Tool(
            _alone(machine.check_by_patterns), machine.checked_by_patterns, _WHOLE, "memory"
        ),
        ("disk", "fio"): _Tool(_alone(machine.exercise), machine.exercised, _WHOLE, "disk"),
        ("network", "iperf3"): _Tool(network.transfer, network.transferred, _WHOLE, ""),
        ("network", "ib-write-bw"): _Tool(network.write_remotely, network.written_remotely, 2**20, ""),
    }
)
TAIL: Mapping[str, int] = MappingProxyType({name: tool.tail for (_, name), tool in _TOOLS.items()})
"""How much of the end of a tool's output its parser needs, in octets."""


def command(load: Load, interfaces: Mapping[str, str]) -> tuple[str, ...]:
    """The command line for a load; `interfaces` maps `nic-0` to its data address and `rdma.nic-0` to its device.

    Raises ValueError, in words, where the load cannot be run: unknown tool, no address, numbers without sense.
    """
    if not (math.isfinite(load.seconds) and math.isfinite(load.limit) and 0 < load.seconds <= load.limit):
        raise ValueError(f"{load.seconds} s of load within {load.limit} s make no sense")
    if not 0 < load.intensity <= 1:
        raise ValueError(f"an intensity of {load.intensity} makes no sense")
    tool = _TOOLS.get((load.kind, load.tool))
    if tool is None:
        known = ", ".join(name for kind, name in _TOOLS if kind == load.kind)
        raise ValueError(
            f"there is no tool {load.tool!r} for a load of kind {load.kind!r}; known are: {known or 'none'}"
        )
    return tool.command(load, interfaces)


def files(load: Load) -> tuple[str, ...]:
    """The files that a load leaves where it is killed: whoever ends it removes them."""
    return (machine.disk_file(load),) if load.kind == "disk" else ()


def outcomes(spec: Spec, text: str, *, exit_code: int | None = None, done: bool) -> tuple[LoadOutcome, ...]:
    """What each unit did, before the end as far as it can be seen; what cannot be read at the end proves nothing."""
    tool = _TOOLS.get((spec.load.kind, spec.load.tool))
    reader = tool and (tool.outcomes if done else tool.so_far)
    if not tool or not reader:
        return ()
    try:
        return reader(Printed(spec.load, text, exit_code))
    except ParseError as error:
        return (unreadable(spec.load.interface or tool.unit, error),) if done else ()
