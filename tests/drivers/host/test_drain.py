"""A load's whole output comes over OpenSSH in bounded memory; `--long` drains 180 MB."""

from __future__ import annotations

import asyncio
import gc
import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.workload import JobState
from tests.drivers.host_machine import burn, ended
from tests.drivers.openssh import RealHost, real_host

MEGABYTE = 1_000_000
# A line that is never the same twice, and cheap: awk is in every base system.
PRINT = 'exec awk "BEGIN {{ for (at = 0; at < {lines}; at++) printf \\"%099d\\\\n\\", at }}"'


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[RealHost]:
    """A host behind OpenSSH's server; skips where it is not installed."""
    with real_host(tmp_path) as host:
        yield host


def memory(what: str) -> int:
    """Octets by /proc/self/status (proc(5)): VmRSS now, VmHWM at most since it was last reset."""
    found = re.search(rf"^{what}:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024


def memory_at_rest() -> int:
    """Octets in use now, from which on a new peak is taken."""
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")
    return memory("VmRSS")


@pytest.mark.parametrize(
    ("size", "most"),
    [
        (16 * MEGABYTE, 12 * MEGABYTE),
        pytest.param(180 * MEGABYTE, 50 * MEGABYTE, marks=pytest.mark.long),
    ],
)
def test_memory_does_not_grow_with_the_output(machine: RealHost, size: int, most: int) -> None:
    lines = size // 100
    machine.wrap("gpu_burn", PRINT.format(lines=lines))

    async def scenario() -> int:
        host = machine.driver()
        try:
            await host.open()
            await host.start(burn())
            assert (await ended(host, "burn")).state is JobState.DONE
            idle, since, seen = memory_at_rest(), 0, hashlib.sha256()
            while (output := await host.output("burn", since)).octets:
                seen.update(output.octets)
                since = output.next
            grown = memory("VmHWM") - idle
            whole = machine.home / ".rackproof" / "jobs" / "burn" / "out"
            with whole.open("rb") as file:
                assert seen.hexdigest() == hashlib.file_digest(file, "sha256").hexdigest()
            assert since == lines * 100
            assert await host.clean_up() == ()
        finally:
            await host.close()
        return grown

    grown = asyncio.run(scenario())
    assert grown < most, f"{grown / MEGABYTE:.1f} MB above idle"
    assert [path.name for path in machine.home.iterdir()] == ["bin"]
