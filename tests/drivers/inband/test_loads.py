"""Loads of every kind: the command that is sent, and what the recorded output of the tool means for the unit."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from drivers.host.tools import TAIL, Spec, command, files, outcomes
from harness.quantities import Unit
from harness.rack.vocabulary import TOOLS
from harness.workload import Load, LoadOutcome

CPU = Load("cpu-test", "cpu", "stress-ng", 4, 60)
COPIES = Load("memory-test", "memory", "stressapptest", 4, 60, size=64)
PATTERNS = Load("memory-test", "memory", "memtester", 4, 60, size=8)
DISK = Load("disk-test", "disk", "fio", 3, 60, directory="/var/tmp/", size=64)
BURN = Load("burn-in", "accelerator", "gpu-burn", 60, 120, units=8)
DIAGNOSTIC = Load("diagnostic", "accelerator", "dcgmi-diag", 30, 600, units=1)
REDUCE = Load("collective", "accelerator", "nccl-tests", 60, 600, size=16384, units=72)
COPY = Load("copy", "accelerator", "nvbandwidth", 60, 600, units=1)


def ended(load: Load, text: str, exit_code: int | None = 0) -> LoadOutcome:
    """The one outcome of a load that has ended."""
    (found,) = outcomes(Spec.of(load), text, exit_code=exit_code, done=True)
    return found


def figures(found: LoadOutcome) -> dict[str, tuple[float, Unit]]:
    return {figure.name: (figure.value, figure.unit) for figure in found.figures}


@pytest.mark.parametrize(
    ("load", "words"),
    [
        (
            CPU,
            (
                "stress-ng",
                "--cpu",
                "0",
                "--cpu-method",
                "all",
                "--temp-path",
                "/tmp",
                "--verify",
                "--metrics",
                "-t",
                "4s",
            ),
        ),
        (COPIES, ("stressapptest", "-s", "4", "-M", "64", "-W")),
        (PATTERNS, ("memtester", "8M", "1")),
        (DIAGNOSTIC, ("dcgmi", "diag", "-r", "1", "-j")),
        (COPY, ("nvbandwidth", "-t", "host_to_device_memcpy_ce", "device_to_host_memcpy_ce")),
    ],
)
def test_commands(load: Load, words: tuple[str, ...]) -> None:
    assert command(load, {}) == words


def test_a_disk_load_works_on_one_file_past_the_cache_and_leaves_none() -> None:
    words = command(DISK, {})
    assert {"--filename=/var/tmp/rackproof-disk-test.fio", "--direct=1", "--verify=crc32c", "--unlink=1"} <= set(words)
    assert files(DISK) == ("/var/tmp/rackproof-disk-test.fio",)
    assert files(CPU) == ()


def test_rdma_needs_the_device_of_the_interface() -> None:
    load = Load("traffic", "network", "ib-write-bw", 10, 60, interface="nic-0", peer="10.0.0.2")
    assert command(load, {"rdma.nic-0": "mlx5_0"})[:3] == ("ib_write_bw", "-d", "mlx5_0")
    with pytest.raises(ValueError, match=r"rdma\.nic-0"):
        command(load, {"nic-0": "10.0.0.1"})


@pytest.mark.parametrize("tool", ["memtester", "stress-ng"])
def test_memory_without_a_size_is_refused(tool: str) -> None:
    with pytest.raises(ValueError, match="size in MiB"):
        command(Load("m", "memory", tool, 4, 60), {})


def test_every_tool_of_the_vocabulary_can_be_started_and_read() -> None:
    for kind, tools in TOOLS.items():
        for tool in tools:
            load = Load("x", kind, tool, 5, 60, interface="nic-0", peer="p", directory="/tmp", size=8, units=1)
            assert command(load, {"nic-0": "10.0.0.1", "rdma.nic-0": "mlx5_0"})
            assert TAIL[tool] > 0
            assert outcomes(Spec.of(load), "", exit_code=0, done=False) == ()
            for unreadable in ("", "\x00\ufffd{[", "command not found"):
                for found in outcomes(Spec.of(load), unreadable, exit_code=0, done=True):
                    assert found.errors is None or found.errors > 0, (kind, tool, unreadable)


def test_a_tool_of_another_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="known are: fio"):
        command(Load("x", "disk", "gpu-burn", 5, 60), {})


def test_processors(recorded: Callable[[str], str]) -> None:
    both = recorded("stress-ng-0.15.06.txt")
    found = ended(CPU, both)
    assert found.unit == "cpu"
    assert found.errors == 0, found.note
    assert found.work > 0
    assert figures(found)["cpu.rate"][1] is Unit.PER_SECOND
    assert ended(CPU, both, 2).errors == 1
    assert ended(CPU, both, 3).errors is None
    assert ended(CPU, both, None).errors is None


def test_memory_by_copies(recorded: Callable[[str], str]) -> None:
    found = ended(COPIES, recorded("stressapptest-1.0.6-PASS.log"))
    assert found.errors == 0, found.note
    assert found.work > 0
    assert figures(found)["memory.bandwidth"][1] is Unit.GIGABYTE_PER_SECOND
    assert (ended(COPIES, recorded("stressapptest-1.0.6-FAIL-force_errors.log"), 1).errors or 0) > 0


def test_memory_of_which_less_was_tested_proves_nothing(recorded: Callable[[str], str]) -> None:
    found = ended(Load("m", "memory", "memtester", 4, 60, size=16), recorded("memtester-4.6.0.txt"))
    assert found.errors is None
    assert "asked for" in found.note


def test_a_disk(recorded: Callable[[str], str]) -> None:
    found = ended(DISK, recorded("fio-3.33-randrw-verify.json"))
    assert found.errors == 0, found.note
    assert found.work > 0
    assert set(figures(found)) == {"disk.read", "disk.write"}
    changed = ended(DISK, recorded("fio-3.33-verify-FAIL.json"), 1)
    assert (changed.errors or 0) > 0
    assert "data read is not data written" in changed.note


def test_accelerators_that_burn(recorded: Callable[[str], str]) -> None:
    text = recorded("gpu_burn_8xA100.log")
    found = outcomes(Spec.of(BURN), text, exit_code=0, done=True)
    assert [each.unit for each in found] == [f"accelerator-{number}" for number in range(8)]
    assert all(each.work > 0 for each in found)
    assert all(figures(each)["accelerator.compute"][1] is Unit.GIGAFLOP_PER_SECOND for each in found)
    one_more = Spec.of(Load("burn-in", "accelerator", "gpu-burn", 60, 120, units=9))
    assert all(each.errors != 0 for each in outcomes(one_more, text, exit_code=0, done=True))


def test_a_diagnostic(recorded: Callable[[str], str]) -> None:
    """A healthy machine whose settings are wrong: nothing is proven, nothing has failed."""
    found = ended(DIAGNOSTIC, recorded("dcgmi-diag-gb10-level1.json"), 226)
    assert found.errors is None
    assert found.note


def test_a_collective(recorded: Callable[[str], str]) -> None:
    text = recorded("nccl_allreduce_gb200_nvl72_72ranks.txt")
    found = ended(REDUCE, text)
    assert figures(found)["collective.bandwidth"][0] > 800
    smaller = ended(Load("c", "accelerator", "nccl-tests", 60, 600, size=1024, units=72), text)
    assert smaller.errors is None
    assert ended(REDUCE, text, 1).errors is None


def test_copies(recorded: Callable[[str], str]) -> None:
    found = ended(COPY, recorded("nvbandwidth_gh200.log"))
    assert figures(found)["accelerator.copy"][0] > 0
