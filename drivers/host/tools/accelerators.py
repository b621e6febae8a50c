"""Tools that load accelerators: gpu-burn, NVIDIA's DCGM diagnostic, collectives, and copies over the host's bus."""

from __future__ import annotations

import math

from drivers.host.tools.outcome import outcome
from drivers.host.tools.spec import Printed
from drivers.inband import dcgm, dcgm_judgement, gpu_burn, nccl_tests, nvbandwidth
from drivers.inband.finding import Finding, Verdict
from harness.quantities import Unit
from harness.workload import Figure, Load, LoadOutcome

COPIES = ("host_to_device_memcpy_ce", "device_to_host_memcpy_ce")
"""nvbandwidth's tests of one accelerator at a time, by copy engine."""
COPY = ("nvbandwidth", "-t", *COPIES)
"""Copies between the host's memory and each accelerator, both ways."""
LARGEST = 16 * 1024
"""MiB: the size of message at which a collective is judged where the load names none (16 GiB, as operators do)."""
LEVELS = ((60.0, "1"), (600.0, "2"), (3600.0, "3"), (math.inf, "4"))
"""Seconds below which a level of `dcgmi diag` is chosen: it takes seconds, minutes, half an hour, hours (NVIDIA)."""


def burn(load: Load) -> tuple[str, ...]:
    """gpu_burn on all accelerators; a share of memory where the intensity is not whole."""
    memory = () if load.intensity == 1 else ("-m", f"{max(1, round(load.intensity * 100))}%")
    return ("gpu_burn", *memory, str(math.ceil(load.seconds)))


def burned(printed: Printed) -> tuple[LoadOutcome, ...]:
    """What each accelerator computed. Its exit code lies and is not asked."""
    run = gpu_burn.parse(printed.text)
    found = gpu_burn.findings(run, gpus=printed.load.units or len(run.units))
    shared = [each for each in found if not each.unit]
    return tuple(
        _burned(number, unit, [each for each in found if each.unit == f"GPU {number}"] + shared)
        for number, unit in enumerate(run.units)
    )


def burning(printed: Printed) -> tuple[LoadOutcome, ...]:
    """What each accelerator has computed so far."""
    run = gpu_burn.parse(printed.text)
    return tuple(_burned(number, unit, ()) for number, unit in enumerate(run.units))


def _burned(number: int, unit: gpu_burn.Burned, found: tuple[Finding, ...] | list[Finding]) -> LoadOutcome:
    rate = (Figure("accelerator.compute", unit.rate, Unit.GIGAFLOP_PER_SECOND),) if unit.rate else ()
    told = outcome(f"accelerator-{number}", float(unit.processed), found, rate)
    errors = max(unit.errors, told.errors or 0) if unit.errors or told.errors else told.errors
    return LoadOutcome(told.unit, told.work, errors, told.note, told.figures)


def diagnose(load: Load) -> tuple[str, ...]:
    """`dcgmi diag` at the level that fits the time."""
    level = next(word for seconds, word in LEVELS if load.seconds < seconds)
    return ("dcgmi", "diag", "-r", level, "-j")


def diagnosed(printed: Printed) -> tuple[LoadOutcome, ...]:
    """What the diagnostic found; `work` counts the tests that ran on an accelerator or on the machine."""
    runs = dcgm.parse(printed.text)
    found = [each for run in runs for each in dcgm_judgement.findings(run, gpus=printed.load.units)]
    ran = (dcgm.Status.PASS, dcgm.Status.FAIL, dcgm.Status.WARN)
    work = sum(outcome.status in ran for run in runs for test in run.tests for outcome in test.outcomes)
    return (outcome("accelerators", float(work), found),)


def reduce(load: Load) -> tuple[str, ...]:
    """An all-reduce over all accelerators of the host, up to the size that counts, results checked."""
    size = f"{load.size or LARGEST}M"
    ends = ("-b", "8M", "-e", size, "-f", "2")
    return ("all_reduce_perf", *ends, "-g", str(load.units or 1), "-c", "1", "-T", str(math.ceil(load.limit)))


def reduced(printed: Printed) -> tuple[LoadOutcome, ...]:
    """What the collective moved, judged at the largest size, which must be the one asked for."""
    run = nccl_tests.parse(printed.text)
    size = (printed.load.size or LARGEST) * 2**20
    found = list(nccl_tests.findings(run, size=size, busbw=0.0, ranks=printed.load.units or None))
    if printed.exit_code:
        found.append(Finding(Verdict.ERROR, "", f"it ended with {printed.exit_code}"))
    rate = () if run.busbw is None else (Figure("collective.bandwidth", run.busbw, Unit.GIGABYTE_PER_SECOND),)
    return (outcome("accelerators", float(sum(row.size for row in run.rows)), found, rate),)


def copied(printed: Printed) -> tuple[LoadOutcome, ...]:
    """How fast was copied: the slowest pair of both ways."""
    bench = nvbandwidth.parse(printed.text)
    found = list(nvbandwidth.findings(bench, gpus=printed.load.units, floors=dict.fromkeys(COPIES, 0.0)))
    if printed.exit_code:
        found.append(Finding(Verdict.ERROR, "", f"it ended with {printed.exit_code}"))
    tables = [table for case in bench.cases if case.name in COPIES for table in case.tables]
    values = [value for table in tables for row in table.values for value in row if value is not None]
    rate = (Figure("accelerator.copy", min(values), Unit.GIGABYTE_PER_SECOND),) if values else ()
    return (outcome("accelerators", float(len(values)), found, rate),)
