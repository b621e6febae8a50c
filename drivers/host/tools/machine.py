"""Tools that load the machine itself: its processors, its memory, its disk."""

from __future__ import annotations

import math

from drivers.host.tools.outcome import outcome, unreadable
from drivers.host.tools.spec import Printed
from drivers.inband import ParseError, fio, memtester, stress_ng, stressapptest
from harness.quantities import Unit
from harness.workload import Figure, Load, LoadOutcome

MEBI = 2**20
SCRATCH = "/tmp"  # noqa: S108  the host's; stress-ng makes a directory of its own there and needs one it may write to


def stress(load: Load) -> tuple[str, ...]:
    """stress-ng on all processors, or on memory of a size, every result verified."""
    end = ("--temp-path", SCRATCH, "--verify", "--metrics", "-t", f"{math.ceil(load.seconds)}s")
    if load.kind == "memory":
        return ("stress-ng", "--vm", "1", "--vm-bytes", f"{_size(load)}M", "--vm-method", "all", *end)
    share = () if load.intensity == 1 else ("--cpu-load", str(max(1, round(load.intensity * 100))))
    return ("stress-ng", "--cpu", "0", "--cpu-method", "all", *share, *end)


def stressed(printed: Printed) -> tuple[LoadOutcome, ...]:
    """What the stressors did, in bogo operations; their rate is a figure of the processors only."""
    stressor = "vm" if printed.load.kind == "memory" else "cpu"
    try:
        run: stress_ng.Result | None = stress_ng.parse(printed.text)
    except ParseError:
        run = None
    # Its own clock may end a tick early; a tenth less is another run than was asked for.
    found = stress_ng.findings(run, printed.exit_code, asked=(stressor,), seconds=0.9 * printed.load.seconds)
    ours = [each for each in (run.stressors if run else ()) if each.name == stressor]
    work = float(sum(each.operations for each in ours))
    rates = [Figure("cpu.rate", each.operations / each.seconds, Unit.PER_SECOND) for each in ours if each.seconds]
    return (outcome(printed.load.kind, work, found, rates if stressor == "cpu" else ()),)


def check_by_copies(load: Load) -> tuple[str, ...]:
    """stressapptest: copies between blocks, each checked, without touching a disk."""
    memory = () if not load.size and load.intensity == 1 else ("-M", str(_size(load)))
    return ("stressapptest", "-s", str(math.ceil(load.seconds)), *memory, "-W")


def checked_by_copies(printed: Printed) -> tuple[LoadOutcome, ...]:
    """What was copied, in MiB, and how fast."""
    run = stressapptest.parse(printed.text)
    size = printed.load.size or None
    found = stressapptest.findings(
        run, memory=size, seconds=math.ceil(printed.load.seconds), exit_code=printed.exit_code
    )
    rate = () if run.rate is None else (Figure("memory.bandwidth", run.rate * MEBI / 1e9, Unit.GIGABYTE_PER_SECOND),)
    return (outcome("memory", run.moved or 0.0, found, rate),)


def check_by_patterns(load: Load) -> tuple[str, ...]:
    """memtester: one loop of all its patterns over memory of a size, however long that takes."""
    return ("memtester", f"{_size(load)}M", "1")


def checked_by_patterns(printed: Printed) -> tuple[LoadOutcome, ...]:
    """How many octets were tested."""
    run = memtester.parse(printed.text)
    found = memtester.findings(run, wanted=printed.load.size * MEBI, exit_code=printed.exit_code)
    return (outcome("memory", float(run.got), found),)


def disk_file(load: Load) -> str:
    """The file that a disk load works on."""
    return f"{load.directory.rstrip('/')}/rackproof-{load.name}.fio"


def exercise(load: Load) -> tuple[str, ...]:
    """fio: writes and reads at random on a file of a size, past the cache, every block verified."""
    if not load.directory.startswith("/"):
        raise ValueError("a disk load needs a directory on the host")
    return (
        "fio",
        f"--name={load.name}",
        f"--filename={disk_file(load)}",
        f"--size={_size(load)}M",
        "--rw=randrw",
        "--bs=128k",
        "--ioengine=libaio",
        "--iodepth=8",
        "--direct=1",
        "--time_based",
        f"--runtime={math.ceil(load.seconds)}",
        "--verify=crc32c",
        "--verify_fatal=1",
        "--unlink=1",
        "--verify_state_save=0",
        "--output-format=json",
    )


def exercised(printed: Printed) -> tuple[LoadOutcome, ...]:
    """What was written and read, in octets, and how fast."""
    run = fio.parse(printed.text)
    if not run.jobs:
        return (unreadable("disk", "it names no job"),)
    found = fio.findings(run, printed.exit_code)
    read, written = (sum(rates) / 1e9 for rates in zip(*((j.read.rate, j.write.rate) for j in run.jobs), strict=True))
    figures = [
        Figure("disk.read", read, Unit.GIGABYTE_PER_SECOND),
        Figure("disk.write", written, Unit.GIGABYTE_PER_SECOND),
    ]
    return (outcome("disk", float(sum(job.octets for job in run.jobs)), found, figures),)


def _size(load: Load) -> int:
    if load.size < 1:
        raise ValueError("this load needs a size in MiB")
    return load.size
