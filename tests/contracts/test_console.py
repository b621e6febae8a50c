"""What every console must do: keep what it hears, say where it stands, and type only what it is told to."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import pytest
import serial
import yaml

from drivers.console import SerialConsole, connect
from harness.capabilities import Console
from harness.connection import Connection
from harness.controls import ConsoleCommands
from harness.errors import Refused
from harness.rack.bay import Bay

if TYPE_CHECKING:
    from tests.contracts.conftest import Witness

SUITE = ("console",)
T = TypeVar("T")
WITHIN = 60.0
"""Wall seconds for an answer, on a machine that may stand still for some of them."""


def test_it_is_open_and_only_listens(witness: Witness) -> None:
    """Read only, and so for consoles of a bench, too."""
    witness.needs(Console)
    witness.needs(ConsoleCommands)

    async def question(console: SerialConsole) -> None:
        stands = await console.prompt()
        lines = await console.captured()
        assert stands is None or stands
        assert list(await console.captured(len(lines))) == list((await console.captured())[len(lines) :])

    witness.ask(question)


class Simulated:
    """The console of a simulated tray, at which a person may have sat before."""

    def __init__(self, device: str, address: str, serial_number: str) -> None:
        self.device = device
        self.address = address
        self.serial = serial_number

    def types(self, *lines: str) -> str:
        """What a person sees who types these lines, each after what came before it."""
        seen = b""
        with serial.serial_for_url(self.address.removeprefix("serial://").partition("?")[0], timeout=WITHIN) as port:
            for line in lines:
                port.write(f"{line}\r".encode())
                seen += port.read_until(b"$ " if line == lines[-1] else b": ")
        return seen.decode(errors="replace")

    def ask(self, question: Callable[[SerialConsole], Awaitable[T]]) -> T:
        async def run() -> T:
            console = connect(Connection(self.device, self.address, now=lambda: datetime.now(UTC)))
            try:
                await console.open()
                return await question(console)
            finally:
                await console.close()

        return asyncio.run(run())


@pytest.fixture
def simulated(request: pytest.FixtureRequest) -> Callable[[str], Simulated]:
    """The console of a tray of the simulated rack; every test has one of its own, as it leaves it somewhere."""
    if request.config.getoption("--bay", None):
        pytest.skip("types at a console: only a simulated one is spoken to")
    rack: Path = request.getfixturevalue("rack")
    bay = Bay.model_validate(yaml.safe_load(rack.read_text(encoding="utf-8")))

    def of(tray: str) -> Simulated:
        device = f"{tray}-console"
        return Simulated(device, bay.devices[device].address, _label(bay, rack, tray))

    return of


def _label(bay: Bay, rack: Path, tray: str) -> str:
    """The serial number on the tray, as its BMC tells it."""
    from harness.probing import Target, probe
    from harness.registry import connection_to
    from harness.secrets import resolve

    (found,) = probe([Target(connection_to(tray, bay.devices[tray], resolve(bay, rack), bay.clock()), "bmc")])
    assert found.identity is not None
    return found.identity.serial


def test_at_a_login_it_says_so_and_types_nothing(simulated: Callable[[str], Simulated]) -> None:
    async def refused(console: SerialConsole) -> None:
        assert await console.prompt() is None
        with pytest.raises(Refused, match="asks for a login"):
            await console.command("", WITHIN)  # presses Return where nothing was heard, and is shown the login
        assert await console.prompt() == "tray-02 login:"
        with pytest.raises(Refused, match="asks for a login"):
            await console.command("uname -a", WITHIN)

    simulated("tray-02").ask(refused)


def test_at_a_shell_that_was_left_open_it_runs_commands_and_keeps_what_was_said(
    simulated: Callable[[str], Simulated],
) -> None:
    tray = simulated("tray-03")
    assert "rackproof@tray-03" in tray.types("rackproof", tray.serial)

    async def question(console: SerialConsole) -> None:
        assert await console.prompt() is None
        assert await console.command("", WITHIN) == ""
        assert await console.prompt() == "rackproof@tray-03:~$"
        assert await console.command("hostname", WITHIN) == "tray-03"
        assert (await console.command("uname -a", WITHIN)).startswith("Linux tray-03 ")
        assert "command not found" in await console.command("make coffee", WITHIN)
        log = await console.command("dmesg", WITHIN)
        assert len(log.splitlines()) > 3
        said = [line.text for line in await console.captured()]
        assert "tray-03" in said
        assert set(log.splitlines()) <= set(said)

    tray.ask(question)
