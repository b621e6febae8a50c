"""The host's driver over real SSH and a real /bin/sh: loads that die with the station, tools whose exit codes lie."""

from __future__ import annotations

import asyncio
import json
import math
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from drivers.host import connect
from drivers.host.node import Host
from harness.capabilities import (
    Job,
    JobState,
    Load,
    Severity,
)
from harness.connection import Connection, Secret
from harness.errors import Misbehaved, Refused, Unsupported
from harness.quantities import Quality

KEY = asyncssh.generate_private_key("ssh-ed25519")
PUBLIC = KEY.export_public_key().decode().strip()
NOW = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)
LINE = "%s%%  proc'd: %s (900 Gflop/s) - %s (900 Gflop/s)   errors: 0 - %s   temps: 60 C - 61 C "
GOOD_BURN = f"""
printf "\\r{LINE}" 100.0 50 51 0
printf '\\n\\nTested 2 GPUs:\\n\\tGPU 0: OK\\n\\tGPU 1: OK\\n'
"""
ENDLESS_BURN = f'printf "\\r{LINE}" 1.0 5 6 0; exec sleep 600'


def smi(*buses: str) -> str:
    gpus = "".join(
        f'<gpu id="{bus}"><uuid>GPU-{bus}</uuid><serial>S{bus}</serial><board_part_number>P</board_part_number>'
        "<temperature><gpu_temp>45 C</gpu_temp></temperature>"
        "<gpu_power_readings><instant_power_draw>120.00 W</instant_power_draw></gpu_power_readings>"
        "<ecc_errors><volatile><dram_uncorrectable>0</dram_uncorrectable></volatile></ecc_errors></gpu>"
        for bus in buses
    )
    return f"<nvidia_smi_log><attached_gpus>{len(buses)}</attached_gpus>{gpus}</nvidia_smi_log>"


@dataclass
class Machine:
    """A Linux host whose shell is real and whose tools are a test's."""

    home: Path
    connections: list[Any] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)

    def tool(self, name: str, script: str) -> None:
        file = self.home / "bin" / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(f"#!/bin/sh\n{script}\n")
        file.chmod(0o755)

    def prints(self, name: str, text: str, code: int = 0) -> None:
        output = self.home / f"{name}.txt"
        output.write_text(text)
        # These accelerators have no links to each other.
        self.tool(name, f'[ "${{1:-}}" != nvlink ] || exit 9; cat {output}; exit {code}')

    @property
    def jobs(self) -> Path:
        return self.home / ".rackproof" / "jobs"

    def processes(self) -> list[int]:
        """Everything that still runs for a job of this machine, found by its environment."""
        found = []
        for environ in Path("/proc").glob("[0-9]*/environ"):
            try:
                if f"RACKPROOF_JOB={self.jobs}/".encode() in environ.read_bytes():
                    found.append(int(environ.parent.name))
            except OSError:
                continue
        return found

    async def handle(self, process: Any) -> None:
        self.commands.append(process.command)
        paths = {"PATH": f"{self.home}/bin:/usr/bin:/bin", "HOME": str(self.home)}
        shell = await asyncio.create_subprocess_exec(
            "/bin/sh", "-c", process.command, stdin=-3, stdout=-1, stderr=-1, env=paths
        )
        out, err = await shell.communicate()
        process.stdout.write(out)
        process.stderr.write(err)
        process.exit(shell.returncode)


@asynccontextmanager
async def opened(machine: Machine, **options: str | float) -> AsyncIterator[Host]:
    class Login(asyncssh.SSHServer):
        def connection_made(self, conn: Any) -> None:
            machine.connections.append(conn)

        def begin_auth(self, username: str) -> bool:
            return True

        def password_auth_supported(self) -> bool:
            return True

        def validate_password(self, username: str, password: str) -> bool:
            return True

    server = await asyncssh.create_server(
        Login, "127.0.0.1", 0, server_host_keys=[KEY], process_factory=machine.handle, encoding=None
    )
    host = connect(
        Connection(
            "tray-01-host",
            f"ssh://127.0.0.1:{server.sockets[0].getsockname()[1]}",
            user="root",
            secrets={"password": Secret("host", "battery")},
            options={"host_key": PUBLIC, "data.nic-0": "127.0.0.1", **options},
            now=lambda: NOW,
        )
    )
    try:
        await host.open()
        yield host
        await host.stop_all()
        assert machine.processes() == []
    finally:
        for left in machine.processes():
            os.kill(left, signal.SIGKILL)
        await host.close()
        server.close()
        for each in machine.connections:
            each.abort()
            await each.wait_closed()
        await server.wait_closed()
        await asyncio.sleep(0.01)  # an aborted transport closes its socket one turn of the loop later


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    made = Machine(tmp_path)
    made.prints("nvidia-smi", smi("00000000:01:00.0", "00000000:02:00.0"))
    made.tool("gpu_burn", GOOD_BURN)
    return made


def burn(name: str = "burn", seconds: float = 60, limit: float = 90) -> Load:
    return Load(name, "accelerator", "gpu-burn", seconds, limit)


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    """Wait until something holds that only looking can tell; fails after twenty seconds."""
    for _ in range(200):
        if await holds():
            return
        await asyncio.sleep(0.1)
    raise AssertionError("it never came true")


async def ended(host: Host, name: str) -> Job:
    async def over() -> bool:
        return (await host.job(name)).state is not JobState.RUNNING

    await until(over)
    return await host.job(name)


def run(machine: Machine, scenario: Callable[[Host], Awaitable[None]], **options: str | float) -> None:
    async def whole() -> None:
        async with opened(machine, **options) as host:
            await scenario(host)

    asyncio.run(whole())


def test_accelerators_and_telemetry(machine: Machine) -> None:
    async def scenario(host: Host) -> None:
        assert (await host.identify()).firmware
        first, second = await host.accelerators()
        assert (first.name, first.serial, second.name) == ("accelerator-0", "S00000000:01:00.0", "accelerator-1")
        assert (first.temperature.value, first.power.value, first.ecc_uncorrected) == (45.0, 120.0, 0)
        assert (first.ecc_corrected, first.throttled_thermal) == (None, None)
        samples = await host.sample()
        assert [sample.channel for sample in samples] == list(host.channels())
        assert len(samples) == 6
        assert all(sample.reading.quality is Quality.GOOD for sample in samples)

    run(machine, scenario)


def test_an_accelerator_that_falls_off_the_bus_moves_no_other_into_its_place(machine: Machine) -> None:
    async def scenario(host: Host) -> None:
        machine.prints("nvidia-smi", smi("00000000:02:00.0"))
        lost, other = await host.accelerators()
        assert (lost.temperature.quality, lost.ecc_uncorrected) == (Quality.BAD, None)
        assert (other.name, other.serial) == ("accelerator-1", "S00000000:02:00.0")
        bad = {sample.channel.part for sample in await host.sample() if sample.reading.quality is Quality.BAD}
        assert bad == {"accelerator-0"}

    run(machine, scenario)


@pytest.mark.parametrize(("text", "code"), [("garbage", 0), ("", 0), ("Unable to determine the device handle", 255)])
def test_a_tool_that_fails_leaves_no_good_reading(machine: Machine, text: str, code: int) -> None:
    async def scenario(host: Host) -> None:
        machine.prints("nvidia-smi", text, code)
        samples = await host.sample()
        assert len(samples) == 6
        assert all(math.isnan(sample.reading.number) for sample in samples)
        with pytest.raises(Misbehaved, match="nvidia-smi"):
            await host.accelerators()

    run(machine, scenario)


def test_a_host_without_accelerators_opens_and_says_so(machine: Machine) -> None:
    (machine.home / "bin" / "nvidia-smi").unlink()

    async def scenario(host: Host) -> None:
        assert host.channels() == ()
        assert await host.sample() == ()
        with pytest.raises(Unsupported, match="no nvidia-smi"):
            await host.accelerators()

    run(machine, scenario)


def test_the_kernel_log(machine: Machine) -> None:
    message = {"pri": 4, "time": 0.5, "msg": "NVRM: Xid (PCI:0000:0f:00): 79, pid=1, GPU has fallen off the bus."}
    machine.prints("dmesg", json.dumps({"dmesg": [message, message, {"pri": 6, "time": 1.5, "msg": "fine"}]}))

    async def scenario(host: Host) -> None:
        entries = await host.entries()
        assert [entry.severity for entry in entries] == [Severity.CRITICAL, Severity.CRITICAL, Severity.OK]
        assert len({entry.ident for entry in entries}) == 3
        assert all(entry.at <= NOW for entry in entries)
        assert [entry.ident for entry in entries] == [entry.ident for entry in await host.entries()]
        machine.prints("dmesg", '{"dmesg": [')
        with pytest.raises(Misbehaved, match="kernel log"):
            await host.entries()
        machine.tool("dmesg", "echo 'dmesg: read kernel buffer failed: Operation not permitted' >&2; exit 1")
        with pytest.raises(Refused, match="not permitted"):
            await host.entries()

    run(machine, scenario)


def test_a_burn_from_start_to_result(machine: Machine) -> None:
    async def scenario(host: Host) -> None:
        assert (await host.start(burn())).name == "burn"
        job = await ended(host, "burn")
        assert (job.state, job.exit_code) == (JobState.DONE, 0)
        assert [(each.unit, each.work, each.errors) for each in job.outcomes] == [
            ("accelerator-0", 50.0, 0),
            ("accelerator-1", 51.0, 0),
        ]

    run(machine, scenario)


@pytest.mark.parametrize(
    ("script", "errors"),
    [
        (GOOD_BURN.replace("GPU 1: OK", "GPU 1: FAULTY"), [0, 1]),
        (f'printf "\\r{LINE}" 100.0 50 51 0', [None, None]),
        (GOOD_BURN.replace("100.0 50 51 0", "100.0 50 -1 0"), [0, None]),
        (GOOD_BURN.replace("100.0 50 51 0", "100.0 50 51 7"), [0, 7]),
        ("echo 'No CUDA devices'", [None]),
        ("exec true", [None]),
    ],
)
def test_exit_code_0_is_no_proof(machine: Machine, script: str, errors: list[int | None]) -> None:
    """What fell short is counted; where nothing was proven there is no count."""
    machine.tool("gpu_burn", script)

    async def scenario(host: Host) -> None:
        await host.start(burn())
        job = await ended(host, "burn")
        assert (job.state, job.exit_code) == (JobState.DONE, 0)
        assert [each.errors for each in job.outcomes] == errors

    run(machine, scenario)


def test_a_running_burn_shows_what_it_did_so_far(machine: Machine) -> None:
    machine.tool("gpu_burn", ENDLESS_BURN)

    async def scenario(host: Host) -> None:
        await host.start(burn())

        async def shown() -> bool:
            return bool((await host.job("burn")).outcomes)

        await until(shown)
        job = await host.job("burn")
        assert job.state is JobState.RUNNING
        assert [each.work for each in job.outcomes] == [5.0, 6.0]

    run(machine, scenario)


def test_starting_twice_starts_once(machine: Machine) -> None:
    machine.tool("gpu_burn", f"echo x >>{machine.home}/starts; {ENDLESS_BURN}")

    async def scenario(host: Host) -> None:
        await asyncio.gather(*(host.start(burn()) for _ in range(3)))
        job = await host.start(burn())
        assert job.state is JobState.RUNNING
        assert (machine.home / "starts").read_text() == "x\n"
        with pytest.raises(Refused, match="another one"):
            await host.start(burn(seconds=61))

    run(machine, scenario)


def test_a_result_of_the_past_is_never_that_of_a_new_load(machine: Machine) -> None:
    async def scenario(host: Host) -> None:
        await host.start(burn())
        assert (await ended(host, "burn")).state is JobState.DONE
        machine.tool("gpu_burn", ENDLESS_BURN)
        assert (await host.start(burn(seconds=70))).state is JobState.RUNNING
        await host.stop("burn")
        assert (await host.start(burn())).state is JobState.RUNNING
        states = {job.name: job.state for job in await host.stop_all()}
        assert states == {"burn.1": JobState.DONE, "burn.2": JobState.STOPPED, "burn": JobState.STOPPED}

    run(machine, scenario)


def test_stopping_leaves_nothing_of_the_most_stubborn_load(machine: Machine) -> None:
    machine.tool(
        "gpu_burn",
        "trap '' TERM HUP\nsetsid sh -c 'trap \"\" TERM; while :; do sleep 1; done' &\nwhile :; do sleep 1; done",
    )

    async def scenario(host: Host) -> None:
        await host.start(burn())
        assert machine.processes()
        assert (await host.stop("burn")).state is JobState.STOPPED
        assert machine.processes() == []

    run(machine, scenario)


def test_stop_all_stops_what_any_session_started(machine: Machine) -> None:
    machine.tool("gpu_burn", ENDLESS_BURN)

    async def scenario(host: Host) -> None:
        assert await host.stop_all() == ()
        await host.start(burn("a"))
        await host.start(burn("b"))
        await host.close()
        await host.open()
        assert {job.name: job.state for job in await host.stop_all()} == {
            "a": JobState.STOPPED,
            "b": JobState.STOPPED,
        }
        assert machine.processes() == []

    run(machine, scenario)


def test_a_load_dies_when_nobody_renews_its_lease(machine: Machine) -> None:
    machine.tool("gpu_burn", ENDLESS_BURN)

    async def scenario(host: Host) -> None:
        await host.start(burn())
        await host.close()

        async def gone() -> bool:
            return not machine.processes()

        await until(gone)
        await host.open()
        job = await host.job("burn")
        assert job.state is JobState.LOST
        assert "lease" in job.text

    run(machine, scenario, lease=1)


def test_a_renewed_lease_keeps_a_load(machine: Machine) -> None:
    machine.tool("gpu_burn", ENDLESS_BURN)

    async def scenario(host: Host) -> None:
        await host.start(burn())
        lease = machine.jobs / "burn" / "lease"
        for _ in range(2):
            os.utime(lease, (0, 0))
            await host.renew()
        assert lease.stat().st_mtime > 0
        assert (await host.job("burn")).state is JobState.RUNNING

    run(machine, scenario, lease=60)


def test_the_host_itself_ends_a_load_at_its_limit(machine: Machine) -> None:
    machine.tool("gpu_burn", ENDLESS_BURN)

    async def scenario(host: Host) -> None:
        await host.start(burn(seconds=0.5, limit=1))
        job = await ended(host, "burn")
        assert (job.state, job.exit_code) == (JobState.DONE, 124)
        assert all(each.errors != 0 for each in job.outcomes)

    run(machine, scenario)


def test_a_restarted_host_has_lost_its_load(machine: Machine) -> None:
    machine.tool("gpu_burn", ENDLESS_BURN)

    async def scenario(host: Host) -> None:
        await host.start(burn())
        (machine.jobs / "burn" / "boot").write_text("00000000-0000-0000-0000-000000000000\n")
        assert (await host.job("burn")).state is JobState.LOST

    run(machine, scenario)


def test_a_load_whose_main_process_is_shot_dies_and_is_lost(machine: Machine) -> None:
    machine.tool("gpu_burn", ENDLESS_BURN)

    async def scenario(host: Host) -> None:
        await host.start(burn())
        os.kill(min(machine.processes()), signal.SIGKILL)
        job = await ended(host, "burn")
        assert (job.state, job.exit_code) == (JobState.LOST, None)

    run(machine, scenario)


def test_a_tool_that_is_not_installed_and_a_load_that_was_never_started(machine: Machine) -> None:
    (machine.home / "bin" / "gpu_burn").unlink()

    async def scenario(host: Host) -> None:
        for job in (await host.job("burn"), await host.stop("burn")):
            assert (job.state, job.outcomes) == (JobState.LOST, ())
        await host.start(burn())
        job = await ended(host, "burn")
        assert (job.state, job.exit_code) == (JobState.DONE, 127)
        assert [each.errors for each in job.outcomes] == [None]

    run(machine, scenario)


def test_a_long_output_is_read_from_its_end(machine: Machine) -> None:
    filler = "i=0; while [ $i -lt 3000 ]; do echo 'Results are 33554432 bytes each'; i=$((i+1)); done"
    machine.tool("gpu_burn", filler + GOOD_BURN)

    async def scenario(host: Host) -> None:
        await host.start(burn())
        job = await ended(host, "burn")
        assert [each.work for each in job.outcomes] == [50.0, 51.0]
        assert len(job.text) <= 2000

    run(machine, scenario)


TRANSFER = json.dumps(
    {
        "end": {
            "sum_received": {"seconds": 60, "bytes": 1000},
            "sum_received_bidir_reverse": {"seconds": 60, "bytes": 900},
        }
    }
)


@pytest.mark.parametrize(
    ("text", "work", "errors"),
    [(TRANSFER, 1900, 0), ('{"error": "unable to connect"}', 0, 1), (TRANSFER[:-3], 0, None), ("", 0, None)],
)
def test_network_loads(machine: Machine, text: str, work: float, errors: int | None) -> None:
    machine.prints("iperf3", text)

    async def scenario(host: Host) -> None:
        await host.start(Load("net", "network", "iperf3", 60, 90, 0.9, "nic-0", "127.0.0.2"))
        job = await ended(host, "net")
        assert (job.state, job.exit_code) == (JobState.DONE, 0)
        assert [(each.unit, each.work, each.errors) for each in job.outcomes] == [("nic-0", work, errors)]

    run(machine, scenario)


def test_names_that_are_no_names_touch_nothing(machine: Machine) -> None:
    async def scenario(host: Host) -> None:
        machine.commands.clear()
        for name in ("", "../x", "a b", "-x", "a;b", "a" * 101):
            with pytest.raises(Unsupported):
                await host.start(burn(name))
        assert machine.commands == []

    run(machine, scenario)
