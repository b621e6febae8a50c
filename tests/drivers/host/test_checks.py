"""A host's own tools over real SSH: each speaks for itself, and none that is missing or broken passes for sound."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from drivers.host.checks import OwnTools
from drivers.host.node import Host
from drivers.transports.ssh import Completed
from harness.checks import Check, CheckVerdict, HostChecks
from harness.errors import DeviceError, Misbehaved, Refused, Unreachable
from tests.drivers.host_machine import Machine, run

OK, FAIL, UNCLEAR, NOTE = CheckVerdict.OK, CheckVerdict.FAIL, CheckVerdict.UNCLEAR, CheckVerdict.NOTE
TOOLS = ("smartctl", "nvme", "lspci", "ipmitool", "lldpctl", "ethtool")
PAGE = {
    "critical_warning": 0,
    "available_spare": 100,
    "available_spare_threshold": 10,
    "percentage_used": 0,
    "media_errors": 0,
    "power_on_hours": 21,
}
LOG = {"critical_warning": 0, "avail_spare": 100, "spare_thresh": 10, "percent_used": 1, "media_errors": "0"}
LISTED = {"DevicePath": "/dev/nvme0n1", "ModelNumber": "M", "SerialNumber": "S1", "Firmware": "F", "PhysicalSize": 512}
GRAVE = "   2 | 01/18/2023 | 14:49:30 | Critical Interrupt #0x90 | Bus Fatal Error | Asserted\n"


def scan(*devices: tuple[str, str]) -> str:
    listed = [{"name": name, "type": kind, "protocol": "NVMe"} for name, kind in devices]
    return json.dumps({"smartctl": {"exit_status": 0}, "devices": listed})


def drive(name: str = "/dev/nvme0", status: int = 0, **page: Any) -> str:
    return json.dumps(
        {
            "smartctl": {"exit_status": status},
            "device": {"name": name, "protocol": "NVMe"},
            "model_name": "M",
            "serial_number": "S1",
            "smart_status": {"passed": not status & 8},
            "nvme_smart_health_information_log": PAGE | page,
        }
    )


def link(address: str, name: str, width: int = 16, speed: str = "32GT/s", kind: str = "Endpoint") -> str:
    return (
        f"{address} {name}\n\tCapabilities: [60] Express (v2) {kind}, MSI 00\n"
        "\t\tLnkCap:\tPort #0, Speed 32GT/s, Width x16, ASPM L1\n"
        f"\t\tLnkSta:\tSpeed {speed}, Width x{width}\n\n"
    )


def neighbour(interface: str = "nic-0") -> str:
    chassis = [{"id": [{"type": "mac", "value": "02:00:00:00:00:01"}], "name": [{"value": "switch-1"}]}]
    ports = [{"id": [{"type": "ifname", "value": "swp1"}]}]
    heard = [{"name": interface, "via": "LLDP", "chassis": chassis, "port": ports}]
    return json.dumps({"lldp": [{"interface": heard}]})


def says(machine: Machine, tool: str, *answers: tuple[str, str], err: str = "", code: int = 0) -> None:
    """Install a tool that answers by a pattern of its arguments."""
    branches = []
    for number, (pattern, text) in enumerate(answers):
        file = machine.home / f"{tool}.{number}"
        file.write_text(text)
        branches.append(f"{pattern}) cat {file} ;;")
    machine.tool(tool, f'case "$*" in {" ".join(branches)} esac; printf %s "{err}" >&2; exit {code}')


@pytest.fixture
def sound(machine: Machine) -> Machine:
    """A host on which every tool is installed and finds nothing."""
    says(machine, "smartctl", ("--scan*", scan(("/dev/nvme0", "nvme"))), ("*", drive()))
    says(machine, "nvme", ("list*", json.dumps({"Devices": [LISTED]})), ("*", json.dumps(LOG)))
    says(
        machine,
        "lspci",
        ("*", link("0000:0f:00.0", "3D controller: X") + link("0000:01:00.0", "SATA controller: Y", 1)),
    )
    says(machine, "ipmitool", err="SEL has no entries\n")
    says(machine, "lldpctl", ("*", neighbour()))
    says(machine, "ethtool", ("*", "NIC statistics:\n     rx_packets: 7\n     rx_crc_errors_phy: 0\n"))
    return machine


def look(machine: Machine) -> list[Check]:
    """What the driver says of the machine."""
    found: list[Check] = []

    async def scenario(host: Host) -> None:
        assert isinstance(host, HostChecks)
        found.extend(await host.checks())

    run(machine, scenario)
    return found


def of(found: Sequence[Check], tool: str) -> list[tuple[str, CheckVerdict]]:
    return [(each.unit, each.verdict) for each in found if each.tool == tool]


def test_sound_units_are_named_one_by_one(sound: Machine) -> None:
    found = look(sound)
    assert [(each.tool, each.unit, each.verdict) for each in found] == [
        ("smartctl", "/dev/nvme0", OK),
        ("nvme", "/dev/nvme0n1", OK),
        ("lspci", "0000:0f:00.0", OK),
        ("ipmitool", "", OK),
        ("lldpctl", "nic-0", OK),
        ("ethtool", "nic-0", OK),
    ]
    assert "switch-1 swp1" in [each.text for each in found]


@pytest.mark.parametrize("tool", TOOLS)
def test_a_tool_that_is_not_installed_is_one_note(sound: Machine, tool: str) -> None:
    (sound.home / "bin" / tool).unlink()
    found = OwnTools("h", _without(sound, tool), ("nic-0",))
    checks = asyncio.run(found.checks())
    assert [(each.unit, each.verdict, each.text) for each in checks if each.tool == tool] == [
        ("", NOTE, "not installed"),
    ]
    assert all(each.verdict is OK for each in checks if each.tool != tool)


def _without(machine: Machine, tool: str) -> Any:
    """Runs scripts here with the machine's tools, and none of this station's but the shell's."""

    async def ask(script: str, deadline: float | None = None) -> Completed:
        shell = await asyncio.create_subprocess_exec(
            "/bin/sh", "-c", script.replace("cat ", "/bin/cat "), stdout=-1, stderr=-1,
            env={"PATH": f"{machine.home}/bin"},
        )  # fmt: skip
        out, err = await shell.communicate()
        return Completed(shell.returncode or 0, out.decode(), err.decode())

    for each in TOOLS:
        if each != tool:
            file = machine.home / "bin" / each
            file.write_text(file.read_text().replace("cat ", "/bin/cat "))
    return ask


BROKEN = {
    "fails": "echo 'Permission denied' >&2; exit 1",
    "says nothing": "exit 0",
    "garbles": "echo '{]'",
    "is cut off": "printf '{\"Devices\": ['",
    "kills itself": "kill -9 $$",
    "prints another one's": "echo '{}'",
}


@pytest.mark.parametrize("tool", TOOLS)
@pytest.mark.parametrize("script", BROKEN.values(), ids=BROKEN)
def test_a_tool_that_breaks_is_unclear_and_leaves_the_others_alone(sound: Machine, tool: str, script: str) -> None:
    sound.tool(tool, script)
    found = look(sound)
    assert {verdict for _, verdict in of(found, tool)} == {UNCLEAR}
    assert all(each.verdict is OK for each in found if each.tool != tool)
    assert all(each.text for each in found)


def test_a_scan_that_does_not_end_well_is_not_believed(sound: Machine) -> None:
    says(sound, "smartctl", ("--scan*", scan()), code=2, err="Permission denied")
    (found,) = [each for each in look(sound) if each.tool == "smartctl"]
    assert (found.verdict, found.text) == (UNCLEAR, "smartctl: exit code 2: Permission denied")


def test_one_drive_of_several(sound: Machine) -> None:
    """A failing one fails, one that cannot be opened is unclear, one behind a controller is asked for by its number."""
    listed = (("/dev/nvme0", "nvme"), ("/dev/nvme1", "nvme"), ("/dev/sda", "scsi"), ("/dev/bus/0", "megaraid,8"))
    closed = json.dumps({"smartctl": {"exit_status": 2, "messages": [{"string": "Permission denied"}]}})
    says(
        sound,
        "smartctl",
        ("--scan*", scan(*listed)),
        ("*-d*megaraid,8*/dev/bus/0", drive("/dev/bus/0")),
        ("*nvme0", drive(status=8, critical_warning=4)),
        ("*nvme1", closed),
        ("*-d*", "{}"),
        ("*", drive("/dev/sda")),
    )
    found = of(look(sound), "smartctl")
    assert {unit: {verdict for name, verdict in found if name == unit} for unit, _ in found} == {
        "/dev/nvme0": {FAIL},
        "/dev/nvme1": {UNCLEAR},
        "/dev/sda": {OK},
        "/dev/bus/0 megaraid,8": {OK},
    }


def test_a_drive_whose_health_log_warns(sound: Machine) -> None:
    listed = json.dumps({"Devices": [LISTED, LISTED | {"DevicePath": "/dev/nvme0n2", "PhysicalSize": 0}]})
    says(sound, "nvme", ("list*", listed), ("*", json.dumps(LOG | {"critical_warning": 4, "media_errors": "14"})))
    assert of(look(sound), "nvme") == [("/dev/nvme0n1", FAIL), ("/dev/nvme0n1", FAIL), ("/dev/nvme0n2", FAIL)]


def test_names_that_are_no_drives_are_never_asked_for(sound: Machine) -> None:
    says(sound, "smartctl", ("--scan*", scan(("/dev/x; touch /tmp/never", "nvme"))))
    says(sound, "nvme", ("list*", json.dumps({"Devices": [LISTED | {"DevicePath": "-x"}]})))
    found = look(sound)
    assert of(found, "smartctl") == [("", UNCLEAR)]
    assert of(found, "nvme") == [("", UNCLEAR)]
    assert not any("touch" in command for command in sound.commands)


def test_links(sound: Machine) -> None:
    """A narrow one fails, a slow one at rest is noted, the board's own devices and virtual functions are not judged."""
    printed = (
        link("0000:01:00.0", "3D controller: X", width=8)
        + link("0000:02:00.0", "Ethernet controller: Y", speed="2.5GT/s")
        + link("0000:02:00.1", "Ethernet controller: Y Virtual Function", speed="unknown", width=0)
        + link("0000:03:00.0", "PCI bridge: Z", width=1)
        + "0000:04:00.0 Non-Volatile memory controller: N\n\tCapabilities: <access denied>\n\n"
    )
    says(sound, "lspci", ("*", printed))
    assert of(look(sound), "lspci") == [
        ("0000:01:00.0", FAIL), ("0000:02:00.0", NOTE), ("0000:02:00.0", OK), ("0000:04:00.0", UNCLEAR),
    ]  # fmt: skip


def test_a_failure_in_the_event_log(sound: Machine) -> None:
    says(sound, "ipmitool", ("*", GRAVE))
    assert of(look(sound), "ipmitool") == [("Critical Interrupt #0x90", FAIL)]


def test_what_is_judged_later_is_only_noted(sound: Machine) -> None:
    says(sound, "lldpctl", ("*", '{"lldp": [{}]}'))
    says(sound, "ethtool", ("*", "NIC statistics:\n     rx_crc_errors_phy: 3\n     rx_packets: 9\n"))
    found = look(sound)
    assert of(found, "lldpctl") == [("nic-0", NOTE)]
    assert of(found, "ethtool") == [("nic-0", NOTE), ("nic-0", OK)]


def test_where_there_is_nothing_to_look_at_nothing_is_sound(sound: Machine) -> None:
    says(sound, "smartctl", ("*", scan()))
    says(sound, "nvme", ("*", '{"Devices": []}'))
    says(sound, "lspci", ("*", "0000:00:00.0 Host bridge: X\n\tControl: I/O-\n\n"))
    sound.tool("ethtool", "echo 'no stats available' >&2; exit 94")
    found = look(sound)
    for tool in ("smartctl", "nvme", "lspci", "ethtool"):
        assert [verdict for _, verdict in of(found, tool)] == [NOTE]


def test_accelerators_of_another_maker(sound: Machine) -> None:
    (sound.home / "bin" / "nvidia-smi").unlink()
    card = {"Temperature (Sensor junction) (C)": "40", "Average Graphics Package Power (W)": "90"}
    says(sound, "rocm-smi", ("*", json.dumps({"card0": card})))
    assert of(look(sound), "rocm-smi") == [("", UNCLEAR), ("card0", OK)]
    metric = {
        "gpu": 0,
        "power": {"socket_power": {"value": 120, "unit": "W"}},
        "temperature": {"hotspot": {"value": 40, "unit": "C"}},
        "ecc": {"total_correctable_count": 0, "total_uncorrectable_count": 0, "total_deferred_count": 0},
    }
    says(sound, "amd-smi", ("static*", json.dumps([{"gpu": 0}, {"gpu": 1}])), ("*", json.dumps([metric])))
    found = look(sound)
    assert of(found, "amd-smi")[0] == ("", FAIL)
    assert not of(found, "rocm-smi")


def test_a_host_that_answers_nothing_is_an_error_and_no_list(tmp_path: Path) -> None:
    async def asked(error: DeviceError | None, out: str, later: DeviceError | None = None) -> None:
        async def ask(script: str, deadline: float | None = None) -> Completed:
            if error is not None or (later is not None and "command -v" not in script):
                raise error or later or AssertionError
            return Completed(0, out, "")

        await OwnTools("h", ask, ("nic-0",)).checks()

    for error in (Unreachable("h", "a", "s"), Refused("h", "a", "s")):
        with pytest.raises(type(error)):
            asyncio.run(asked(error, ""))
        with pytest.raises(type(error)):
            asyncio.run(asked(None, "lspci\nnvme\nethtool\nthat is all\n", error))
    for cut in ("", "lspci\n", "lspci\nthat is"):
        with pytest.raises(Misbehaved):
            asyncio.run(asked(None, cut))


def test_a_tool_that_hangs_costs_only_its_own_word(tmp_path: Path) -> None:
    async def ask(script: str, deadline: float | None = None) -> Completed:
        if "command -v" in script:
            return Completed(0, "lspci\nlldpctl\nthat is all\n", "")
        if "lspci" in script:
            raise Unreachable("h", "run lspci", "the command did not end within its deadline")
        return Completed(0, neighbour(), "")

    checks = asyncio.run(OwnTools("h", ask, ("nic-0",)).checks())
    assert of(checks, "lspci") == [("", UNCLEAR)]
    assert of(checks, "lldpctl") == [("nic-0", OK)]
