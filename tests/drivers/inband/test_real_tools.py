"""The tools themselves, where they are installed: a second of real work, and the failures they can be made to show."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from drivers.inband import (
    ParseError,
    dmesg,
    fio,
    iperf3,
    ipmi_sel,
    lldpctl,
    lspci,
    memtester,
    nvme,
    perftest,
    smartctl,
    stress_ng,
    stressapptest,
)
from drivers.inband.finding import Finding, Verdict

Start = Callable[..., subprocess.CompletedProcess[str]]
PLACES = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin"))
"""A user's PATH has no /usr/sbin, where most of these live."""


def found(tool: str) -> str:
    """Where the tool is; skips where it is not."""
    path = shutil.which(tool, path=PLACES)
    if path is None:
        pytest.skip(f"{tool} is not installed here")
    return path


@pytest.fixture
def start(tmp_path: Path) -> Start:
    """`start(tool, *arguments)`: what it printed, standard error after standard output."""

    def run(tool: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [found(tool), *arguments]
        environment = os.environ | {"LC_ALL": "C"}
        return subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False
        )

    return run


def verdicts(findings: tuple[Finding, ...]) -> set[Verdict]:
    return {each.verdict for each in findings}


FIO = ("--name=soak", "--filename=data", "--size=2M", "--bs=128k", "--ioengine=psync", "--output-format=json")


def test_fio_verifies_what_it_wrote(start: Start) -> None:
    done = start("fio", *FIO, "--rw=write", "--verify=crc32c", "--verify_fatal=1")
    result = fio.parse(done.stdout)
    assert result.jobs[0].read.octets == result.jobs[0].write.octets == 2 * 2**20
    assert fio.findings(result, done.returncode) == ()


@pytest.mark.parametrize(("option", "exit_code"), [("--verify_fatal=1", 1), ("--continue_on_error=verify", 0)])
def test_fio_finds_a_changed_octet_whatever_its_exit_code(
    start: Start, tmp_path: Path, option: str, exit_code: int
) -> None:
    start("fio", *FIO, "--rw=write", "--verify=crc32c")
    with (tmp_path / "data").open("r+b") as file:
        file.seek(1_000_000)
        file.write(b"\x00spoilt\x00")
    done = start("fio", *FIO, "--rw=read", "--verify=crc32c", option)
    assert done.returncode == exit_code
    assert verdicts(fio.findings(fio.parse(done.stdout), done.returncode)) == {Verdict.FAIL}


def test_fio_that_never_came_to_reading_back_has_verified_nothing(start: Start) -> None:
    done = start("fio", *FIO, "--rw=write", "--verify=crc32c", "--time_based", "--runtime=1")
    result = fio.parse(done.stdout)
    assert result.jobs[0].write.octets > 0
    assert verdicts(fio.findings(result, done.returncode)) == {Verdict.ERROR}


def test_fio_without_its_file(start: Start) -> None:
    done = start("fio", "--name=soak", "--filename=/proc/no/such", "--size=1M", "--rw=read", "--output-format=json")
    assert verdicts(fio.findings(fio.parse(done.stdout), done.returncode)) == {Verdict.ERROR}


def test_memtester(start: Start) -> None:
    done = start("memtester", "1M", "1")
    result = memtester.parse(done.stdout)
    assert (result.wanted, result.got, result.complete) == (2**20, 2**20, True)
    assert memtester.findings(result, exit_code=done.returncode) == ()


def test_stressapptest(start: Start) -> None:
    done = start("stressapptest", "-s", "1", "-M", "16", "-m", "1")
    result = stressapptest.parse(done.stdout)
    assert stressapptest.findings(result, memory=16, seconds=1, exit_code=done.returncode) == ()


def test_stressapptest_with_forced_errors(start: Start) -> None:
    done = start("stressapptest", "-s", "1", "-M", "16", "-m", "1", "--force_errors")
    assert done.returncode == 1
    assert verdicts(stressapptest.findings(stressapptest.parse(done.stdout), exit_code=1)) == {Verdict.FAIL}


def test_stressapptest_without_the_memory(start: Start) -> None:
    done = start("stressapptest", "-s", "1", "-M", "100000000", "-m", "1")
    result = stressapptest.parse(done.stdout)
    assert verdicts(stressapptest.findings(result, exit_code=done.returncode)) == {Verdict.ERROR}


def test_stress_ng(start: Start, tmp_path: Path) -> None:
    done = start("stress-ng", "--cpu", "1", "--verify", "-t", "1s", "--metrics", "--yaml", "result.yaml")
    for text in ((tmp_path / "result.yaml").read_text(), done.stdout + done.stderr):
        result = stress_ng.parse(text)
        assert result.stressors[0].operations > 0
        assert stress_ng.findings(result, done.returncode, asked=("cpu",), seconds=0.9) == ()


def test_stress_ng_that_does_nothing_and_calls_it_success(start: Start, tmp_path: Path) -> None:
    vm = ("--vm", "1", "--vm-bytes", "999999G", "--vm-method", "all")
    done = start("stress-ng", *vm, "--verify", "-t", "1s", "--metrics", "--yaml", "result.yaml")
    if not (tmp_path / "result.yaml").exists():
        assert verdicts(stress_ng.findings(None, done.returncode)) <= {Verdict.ERROR}
        return
    result = stress_ng.parse((tmp_path / "result.yaml").read_text())
    assert verdicts(stress_ng.findings(result, done.returncode, asked=("vm",))) == {Verdict.ERROR}


@pytest.fixture
def server() -> Iterator[str]:
    """The port of an iperf3 server that serves one client."""
    path, said = found("iperf3"), ""
    for _ in range(5):  # somebody else may be faster at a port
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = str(free.getsockname()[1])
        command = [path, "-s", "-1", "-B", "127.0.0.1", "-p", port, "--forceflush"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
            assert process.stdout is not None
            for line in process.stdout:
                said += line
                if "listening" in line:
                    yield port
                    process.kill()
                    return
    pytest.fail(f"iperf3 does not listen: {said}")


@pytest.mark.parametrize(
    "options", [("-P", "2"), ("--bidir", "-P", "2"), ("-u", "-b", "20M"), ("-u", "-b", "20M", "-R")]
)
def test_iperf3(start: Start, server: str, options: tuple[str, ...]) -> None:
    done = start("iperf3", "-c", "127.0.0.1", "-p", server, "-J", "-t", "1", *options)
    run = iperf3.parse(done.stdout)
    assert run.there is not None
    assert run.there.octets > 0
    assert (run.back is not None) == ("--bidir" in options)
    assert (run.there.loss is not None) == ("-u" in options)
    assert iperf3.findings(run, at_least=1e6) == ()


def test_iperf3_refused(start: Start) -> None:
    done = start("iperf3", "-c", "127.0.0.1", "-p", "1", "-J", "-t", "1")
    assert verdicts(iperf3.findings(iperf3.parse(done.stdout))) == {Verdict.ERROR}


def test_smartctl_of_no_drive(start: Start) -> None:
    done = start("smartctl", "-j", "-a", "/dev/null")
    drive = smartctl.parse(done.stdout)
    assert drive.exit_status == done.returncode != 0
    assert verdicts(smartctl.findings(drive)) == {Verdict.ERROR}


def test_ipmitool_without_a_bmc_is_no_empty_log(start: Start) -> None:
    done = start("ipmitool", "sel", "list")
    if done.returncode == 0:
        ipmi_sel.parse(done.stdout + done.stderr)
        return
    with pytest.raises(ParseError):
        ipmi_sel.parse(done.stdout + done.stderr)


def test_nvme_list(start: Start) -> None:
    done = start("nvme", "list", "-o", "json")
    if done.stdout.strip():
        assert nvme.parse_list(done.stdout) is not None
        return
    with pytest.raises(ParseError):
        nvme.parse_list(done.stdout + done.stderr)


def test_perftest_without_an_adapter(start: Start) -> None:
    done = start("ib_write_bw", "-d", "no_such_device")
    with pytest.raises(ParseError):
        perftest.parse(done.stdout + done.stderr)


def test_lldpctl_without_a_daemon_is_not_no_neighbour(start: Start) -> None:
    done = start("lldpctl", "-u", "no-such-socket", "-f", "json0")
    with pytest.raises(ParseError):
        lldpctl.parse(done.stdout)


def test_lspci(start: Start) -> None:
    done = start("lspci", "-D", "-vvv")
    if not done.stdout.strip():
        pytest.skip("there is no PCI bus here")
    assert all(link.address for link in lspci.parse(done.stdout))


@pytest.mark.parametrize("options", [("--json",), ("--json", "--decode")])
def test_dmesg(start: Start, options: tuple[str, ...]) -> None:
    done = start("dmesg", *options)
    if done.returncode:
        pytest.skip(f"dmesg is not allowed here: {done.stderr.strip()}")
    assert all(0 <= message.level <= 7 for message in dmesg.parse(done.stdout))
