"""The shell of a switch, by which its links are read below the packets: three dialects, and the options of the bay."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from drivers.switch import connect as connect_switch
from harness.connection import Connection, Option, Secret
from harness.errors import DefinitionError, Misbehaved, Refused, Unreachable, Unsupported
from tests.drivers.shell_peer import NOW, PUBLIC, Shell, ask

if TYPE_CHECKING:
    from tests.drivers.conftest import Agents

EOS = """Ethernet1
  PHY state                      linkUp                  3            4:31:12 ago
  Oper speed                     400Gbps
  Forward Error Correction       Reed-Solomon
  Reed-Solomon codeword size     544
  FEC corrected codewords        {}                  812            0:00:02 ago
  FEC uncorrected codewords      0                       0                  never
"""


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    made = Shell(tmp_path)
    made.ethtool()
    return made


def switch(login: Shell, agent: int, password: str = "battery", **options: Option) -> Any:
    own: dict[str, Option] = {"shell": f"ssh://127.0.0.1:{login.port}", "shell_user": "admin"}
    own |= {"shell_host_key": PUBLIC, "dialect": "ethtool", "version": 2, "timeout": 10.0}
    return connect_switch(
        Connection(
            "switch-1",
            f"snmp://127.0.0.1:{agent}",
            secrets={"community": Secret("community", "public"), "shell_password": Secret("shell", password)},
            options={**own, **options},
            now=lambda: NOW,
        )
    )


def agent(agents: Agents, *ports: str) -> int:
    """A switch by IF-MIB whose interfaces have these names."""
    table = {
        "1.3.6.1.2.1.1.1.0": ["octet", b"Bench".hex(" ")],
        "1.3.6.1.2.1.1.2.0": ["objectid", ".1.3.6.1.4.1.99999"],
        "1.3.6.1.2.1.1.3.0": ["timeticks", "500000"],
    }
    for index, name in enumerate(ports, 1):
        table[f"1.3.6.1.2.1.2.2.1.3.{index}"] = ["integer", "6"]
        table[f"1.3.6.1.2.1.31.1.1.1.1.{index}"] = ["octet", name.encode().hex(" ")]
    return agents.start(table, roots=("1.3.6.1.2.1",))


def test_a_switch_is_asked_by_its_shell(shell: Shell, agents: Agents) -> None:
    port = agent(agents, "swp1", "swp2")

    async def question(device: Any) -> None:
        first, second = await device.physical_links()
        assert (first.port, first.up, first.uncorrectable) == ("swp1", True, 0)
        assert (second.port, second.up, second.uncorrectable) == ("swp2", None, None)

    ask(shell, lambda: switch(shell, port), question)


def test_an_arista_switch_is_asked_in_its_own_words(shell: Shell, agents: Agents) -> None:
    port = agent(agents, "Ethernet1", "Ethernet2")
    shell.answers = {"show version | json": json.dumps({"bootupTimestamp": 1700000000.2})}
    shell.answers["show interfaces phy detail"] = EOS.format(8231)

    async def question(device: Any) -> None:
        first, second = await device.physical_links()
        assert (first.up, first.fec, first.corrected, first.uncorrectable) == (True, "rs-544", 8231, 0)
        assert (second.up, second.corrected, second.epoch.partition(".")[0]) == (None, None, "")
        shell.answers["show version | json"] = json.dumps({"bootupTimestamp": 1700000001.9})
        assert (await device.physical_links())[0].epoch == first.epoch
        shell.answers["show version | json"] = json.dumps({"bootupTimestamp": 1700009999.0})
        assert (await device.physical_links())[0].epoch != first.epoch
        shell.answers["show interfaces phy detail"] = "% Invalid input\n"
        with pytest.raises(Misbehaved, match="Invalid input"):
            await device.physical_links()

    ask(shell, lambda: switch(shell, port, dialect="eos"), question)


def test_ports_of_a_switch_are_numbers_to_its_firmware(shell: Shell, agents: Agents) -> None:
    port = agent(agents, "swp1", "swp1s0", "Ethernet4")
    shell.tool("mlxlink", 'echo "$*" >>"$(dirname "$0")/asked"; echo "{}"')

    async def question(device: Any) -> None:
        with pytest.raises(Unsupported, match="mlxlink knows ports by number"):
            await device.physical_links()

    made = {"dialect": "mlxlink", "shell_mst": "/dev/mst/mt53104_pci_cr0"}
    ask(shell, lambda: switch(shell, port, **made), question)
    port = agent(agents, "swp1", "swp3s1")

    async def asked(device: Any) -> None:
        with pytest.raises(Misbehaved, match="mlxlink: status is missing"):
            await device.physical_links()

    ask(shell, lambda: switch(shell, port, **made), asked)
    words = (shell.tools / "asked").read_text("utf-8").splitlines()
    assert words == [f"-d /dev/mst/mt53104_pci_cr0 -p {number} --json -c" for number in ("1", "3/2")]


def test_a_switch_without_a_shell_says_what_to_do(shell: Shell, agents: Agents) -> None:
    port = agent(agents, "swp1")
    made = Connection(
        "switch-1",
        f"snmp://127.0.0.1:{port}",
        secrets={"community": Secret("community", "public")},
        options={"version": 2, "timeout": 10.0},
        now=lambda: NOW,
    )

    async def question(device: Any) -> None:
        with pytest.raises(Unsupported, match="options shell, shell_user and dialect"):
            await device.physical_links()

    ask(shell, lambda: connect_switch(made), question)


def test_a_shell_that_is_away_or_refuses_takes_nothing_else_with_it(shell: Shell, agents: Agents) -> None:
    port = agent(agents, "swp1")

    async def refused(device: Any) -> None:
        with pytest.raises(Refused, match="admin"):
            await device.physical_links()
        assert device.channels()

    ask(shell, lambda: switch(shell, port, password="wrong"), refused)

    async def away(device: Any) -> None:
        with pytest.raises(Unreachable):
            await device.physical_links()

    ask(shell, lambda: switch(shell, port, shell="ssh://127.0.0.1:1"), away)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"dialect": "eos"}, "`shell` .* is missing"),
        ({"shell": "ssh://sw"}, "dialect: is missing"),
        ({"shell": "ssh://sw", "dialect": "etthool"}, "did you mean 'ethtool'"),
        ({"shell": "ssh://sw", "dialect": "mlxlink"}, "mst status"),
        ({"shell": "ssh://sw", "dialect": "eos", "shell_mst": "x"}, "belongs to the dialect mlxlink"),
        ({"shell": "ssh://sw", "dialect": "eos"}, "begin with shell_"),
        ({"shell": "https://sw", "dialect": "eos", "shell_user": "u"}, "ssh://host"),
        ({"shel": "ssh://sw"}, "did you mean 'shell'"),
    ],
)
def test_options_that_do_not_fit_are_said_before_anything_is_touched(options: dict[str, Option], words: str) -> None:
    secrets = {"community": Secret("community", "public"), "shell_password": Secret("shell", "x")}
    with pytest.raises(DefinitionError, match=words):
        connect_switch(
            Connection("switch-1", "snmp://sw", secrets=secrets, options={"version": 2, **options}, now=lambda: NOW)
        )
