"""Links below the packets over real SSH, as a host reads those of its data network."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from drivers.host import connect as connect_host
from drivers.physical_links import Epochs
from harness.connection import Connection, Option, Secret
from harness.errors import Misbehaved, Refused, Unsupported
from harness.physical import PhysicalLink, PhysicalLinks
from tests.drivers.shell_peer import FEC, NOW, PUBLIC, Shell, ask


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    made = Shell(tmp_path)
    made.ethtool()
    return made


def host(shell: Shell, **options: Option) -> Any:
    return connect_host(
        Connection(
            "tray-01-host",
            f"ssh://127.0.0.1:{shell.port}",
            user="admin",
            secrets={"password": Secret("host", "battery")},
            options={"host_key": PUBLIC, "data.nic-0": "10.0.0.1", **options},
            now=lambda: NOW,
        )
    )


def test_a_host_reads_the_interfaces_of_its_data_network(shell: Shell) -> None:
    async def question(device: Any) -> None:
        assert isinstance(device, PhysicalLinks)
        (link,) = await device.physical_links()
        assert (link.port, link.up, link.fec) == ("nic-0", True, "rs")
        assert (link.corrected, link.uncorrectable, link.bins) == (256, 0, (900, 256))
        assert link.speed is not None
        assert link.speed.number == 400.0
        assert (link.raw_ber, link.downs, link.transceiver) == (None, None, None)
        (again,) = await device.physical_links()
        assert again.epoch == link.epoch != ""
        shell.ethtool(corrected=3)
        (reset,) = await device.physical_links()
        assert reset.epoch != link.epoch

    ask(shell, lambda: host(shell), question)


def test_an_interface_that_is_not_there_has_nothing_but_its_name(shell: Shell) -> None:
    async def question(device: Any) -> None:
        found = {link.port: link for link in await device.physical_links()}
        lost = found["nic-7"]
        assert (lost.up, lost.speed, lost.corrected, lost.uncorrectable, lost.bins) == (None, None, None, None, ())
        assert found["nic-0"].uncorrectable == 0

    ask(shell, lambda: host(shell, **{"data.nic-7": "10.0.0.7"}), question)


def test_a_driver_without_fec_counts_nothing(shell: Shell) -> None:
    shell.ethtool(fec='echo "netlink error: Operation not supported" >&2; exit 1')

    async def question(device: Any) -> None:
        (link,) = await device.physical_links()
        assert (link.up, link.fec, link.corrected, link.uncorrectable) == (True, "", None, None)

    ask(shell, lambda: host(shell), question)


@pytest.mark.parametrize(
    ("script", "error", "words"),
    [
        ("printf 'FEC parameters for nic-0:\\nSupp'", Misbehaved, "nic-0"),
        (f"cat <<END\n{FEC.format('swp9', 1, 0, 1)}END", Misbehaved, "swp9"),
        (f"cat <<END\n{FEC.format('nic-0', 'nan', 0, 1)}END", Misbehaved, "no statistic"),
        ("echo killed >&2; exit 137", Misbehaved, "137"),
        ("echo 'netlink error: Operation not permitted' >&2; exit 1", Refused, "not permitted"),
        ("exit 127", Unsupported, "Install ethtool"),
        ("kill -9 $PPID", Misbehaved, "read its links"),
    ],
)
def test_what_a_tool_fails_to_say_is_never_zero(shell: Shell, script: str, error: type[Exception], words: str) -> None:
    shell.ethtool(fec=script)

    async def question(device: Any) -> None:
        with pytest.raises(error, match=words):
            await device.physical_links()

    ask(shell, lambda: host(shell), question)


def test_text_that_looks_like_another_answer_is_none(shell: Shell) -> None:
    """A tool cannot know the marks of a reading, so it cannot answer for another interface."""
    shell.ethtool(module=f"echo 'fec nic-0'; cat <<END\n{FEC.format('nic-0', 0, 0, 0)}END\nexit 0")

    async def question(device: Any) -> None:
        with pytest.raises(Misbehaved, match="ethtool -m"):
            await device.physical_links()

    ask(shell, lambda: host(shell), question)


def test_firmware_adds_ratios_and_lanes(shell: Shell) -> None:
    counters = {"Raw Physical BER": "3E-9", "Effective Physical BER": "15E-255", "Link Down Counter": "2"}
    counters |= {"Symbol Errors": "0", "Time Since Last Clear [Min]": "5.0"}
    lanes = {"Raw Physical Errors Per Lane": {"values": ["9", "8"]}}
    about = {"State": "Active", "Physical state": "LinkUp", "Speed": "400G", "FEC": "Standard_RS-FEC - (544,514)"}
    output = {"Operational Info": about, "Physical Counters and BER Info": counters | lanes}
    document = {"result": {"output": output}, "status": {"code": 0, "message": "success"}}
    shell.tool("mlxlink", f'[ "$*" = "-d nic-0 --json -c" ] || exit 9\ncat <<END\n{json.dumps(document)}\nEND')

    async def question(device: Any) -> None:
        (link,) = await device.physical_links()
        assert (link.raw_ber, link.effective_ber, link.downs, link.fec) == (3e-9, 0.0, 2, "rs-544")
        assert [(lane.number, lane.raw_errors) for lane in link.lanes] == [(0, 9), (1, 8)]
        assert (link.corrected, link.symbol_errors) == (256, 0)
        shell.tool("mlxlink", "printf '\\033[31m-E- Failed to open device\\033[0m\\n'; exit 1")
        with pytest.raises(Misbehaved, match="mlxlink: no valid JSON"):
            await device.physical_links()

    ask(shell, lambda: host(shell, dialect="mlxlink"), question)


def test_counters_that_fall_or_vanish_begin_another_epoch() -> None:
    epochs = Epochs()
    link = PhysicalLink("p", up=True, speed=None, fec="rs", epoch="b", corrected=5, bins=(1, 2))
    tokens = [
        epochs.dated(PhysicalLink("p", up=True, speed=None, fec="rs", epoch="b", corrected=count, bins=bins)).epoch
        for count, bins in ((5, (1, 2)), (9, (1, 3)), (8, (1, 3)), (8, (1, 3)), (None, (1, 3)), (9, ()), (9, (1, 3)))
    ]
    assert epochs.dated(link).port == "p"
    assert tokens == ["b.0", "b.0", "b.1", "b.1", "b.2", "b.3", "b.4"]
