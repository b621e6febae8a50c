"""Speaking to a console: a real shell behind every way in, and far ends that say what real ones say at bad moments."""

from __future__ import annotations

import asyncio
import os
import tty
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest

from drivers.console import SerialConsole, connect
from harness.connection import Connection
from harness.controls import ConsoleCommands
from harness.errors import Misbehaved, Refused, Unreachable
from tests.drivers.leap import leap, reached

KERNEL = b"[   77.123456] nvme nvme0: I/O 12 QID 3 timeout, aborting\r\n"
PROMPT = b"root@tray-01:~# "


class FarEnd:
    """The far end of a line, a pty: says what it is told to, and answers what is typed as it is told to."""

    def __init__(self) -> None:
        self._ours, self._far = os.openpty()
        tty.setraw(self._far)
        os.set_blocking(self._ours, False)
        self.address = f"serial://{os.ttyname(self._far)}"
        self.typed = b""
        self.said = 0
        self.answers: dict[bytes, bytes] = {}
        """By line typed: what is printed behind its echo."""
        self.reads = True

    def say(self, octets: bytes) -> None:
        self.said += os.write(self._ours, octets)

    async def heard(self, made: SerialConsole) -> None:
        """Wait until all that was said has come in at the driver, however busy its thread is."""
        await reached(lambda: made._wire.heard(0, 0)[0] >= self.said)

    def listen(self) -> None:
        if not self.reads:
            return
        try:
            heard = os.read(self._ours, 65536)
        except BlockingIOError:
            return
        self.typed += heard
        if heard.endswith(b"\r"):
            line = heard[:-1]
            self.say(line + b"\r\n" + self.answers.get(line, PROMPT))

    def hang_up(self) -> None:
        for end in (self._ours, self._far):
            try:
                os.close(end)
            except OSError:
                continue


@pytest.fixture
def far() -> Iterator[FarEnd]:
    """A far end that closes with the test."""
    made = FarEnd()
    yield made
    made.hang_up()


@asynccontextmanager
async def console(far: FarEnd, *said: bytes) -> AsyncIterator[SerialConsole]:
    """The driver at this far end, which has `said` this since it was opened."""
    made = connect(Connection("tray-01-console", far.address, now=lambda: datetime(2026, 11, 2, tzinfo=UTC)))
    assert isinstance(made, ConsoleCommands)
    await made.open()
    asyncio.get_running_loop().add_reader(far._ours, far.listen)
    try:
        for each in said:
            far.say(each)
        await far.heard(made)
        yield made
    finally:
        asyncio.get_running_loop().remove_reader(far._ours)
        await made.close()


def test_it_listens_and_never_types_to_find_out_where_it_stands(far: FarEnd) -> None:
    async def scenario() -> None:
        async with console(far) as made:
            assert await made.prompt() is None
            far.say(b"\r\nUbuntu 24.04.2 LTS tray-01 ttyAMA0\r\n\r\ntray-01 login: ")
            await far.heard(made)
            assert await made.prompt() == "tray-01 login:"
            far.say(b"\r\nHit any key to stop autoboot:  3 ")
            await far.heard(made)
            assert await made.prompt() is None
            far.say(b"\x08\x08 0 \r\n" + KERNEL)
            await far.heard(made)
            assert await made.prompt() is None
        assert far.typed == b""

    asyncio.run(scenario())


def test_a_console_that_goes_on_talking_stands_nowhere(far: FarEnd) -> None:
    async def scenario() -> None:
        async def talk() -> None:
            while True:
                far.say(b"x" + b"." * 20)
                await asyncio.sleep(0.05)

        async with console(far) as made:
            talking = asyncio.create_task(talk())
            assert await made.prompt() is None
            talking.cancel()

    asyncio.run(scenario())


def test_a_command_is_answered_without_its_echo_and_stands_in_the_log(far: FarEnd) -> None:
    async def scenario() -> None:
        far.answers[b"uname -sr"] = b"\x1b[?2004l\rLinux 6.8.0\r\n\x1b[?2004h\x1b]0;tray-01\x07" + PROMPT
        far.answers[b"printf done"] = b"done" + PROMPT
        far.answers[b"progress"] = b"10 %\r20 %\r\n\x1b[1;32mdone\x1b[0m\x07\r\n" + PROMPT
        async with console(far, PROMPT) as made:
            assert await made.command("uname -sr") == "Linux 6.8.0"
            assert await made.command("printf done") == "done"
            assert await made.command("progress") == "10 %\n20 %\ndone"
            assert await made.command("") == ""
            said = [line.text for line in await made.captured()]
            assert said[:2] == ["root@tray-01:~# uname -sr", "Linux 6.8.0"]
            assert await made.prompt() == "root@tray-01:~#"
        assert far.typed == b"uname -sr\rprintf done\rprogress\r\r"

    asyncio.run(scenario())


def test_kernel_messages_over_the_prompt_and_into_the_answer(far: FarEnd) -> None:
    async def scenario() -> None:
        far.answers[b"id -u"] = b"0\r\n" + KERNEL + PROMPT + KERNEL + KERNEL
        async with console(far, PROMPT + KERNEL) as made:
            assert await made.prompt() == "root@tray-01:~#"
            noise = KERNEL.decode().strip()
            assert await made.command("id -u") == f"0\n{noise}"
            assert len(made.problems(await made.captured())) == 4

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "stands", [b"tray-01 login: ", b"Password: ", b"User Name : ", b"Enter passphrase for /dev/sda3: "]
)
@pytest.mark.parametrize("line", ["reboot", ""])
def test_nothing_is_typed_at_a_login(far: FarEnd, stands: bytes, line: str) -> None:
    async def scenario() -> None:
        async with console(far, stands) as made:
            with pytest.raises(Refused, match=r"it asks for a login: .* Log in at the console"):
                await made.command(line)
        assert far.typed == b""

    asyncio.run(scenario())


def test_a_command_that_asks_for_a_password_gets_none(far: FarEnd) -> None:
    async def scenario() -> None:
        far.answers[b"sudo dmidecode"] = b"[sudo] password for bench: "
        async with console(far, PROMPT) as made:
            with pytest.raises(Refused, match="password for bench"):
                await made.command("sudo dmidecode")
            with pytest.raises(Refused):
                await made.command("id")
        assert far.typed == b"sudo dmidecode\r"

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "stands",
    [b"Hit any key to stop autoboot:  3 ", b"--More--", b"> ", b"Booting Linux\r\n", b"Do you want to reload? [y/n]: "],
)
def test_nothing_is_typed_where_any_key_does_something_or_nothing_is_known(far: FarEnd, stands: bytes) -> None:
    async def scenario() -> None:
        async with console(far, stands) as made:
            with pytest.raises(Unreachable, match=r"no prompt came within 0\.6 s; .*stands"):
                await made.command("reboot", deadline=0.6)
        assert far.typed == b""

    asyncio.run(scenario())


def test_return_is_pressed_where_that_is_asked_for(far: FarEnd) -> None:
    """The prompt of a session that was left open was printed before the capture began."""

    async def scenario() -> None:
        async with console(far) as made:
            assert await made.prompt() is None
            assert await made.command("") == ""
            assert await made.prompt() == "root@tray-01:~#"
        assert far.typed == b"\r"

    asyncio.run(scenario())


def test_a_command_waits_for_the_prompt_of_the_one_before(far: FarEnd) -> None:
    async def scenario() -> None:
        far.answers |= {b"one": b"1\r\n" + PROMPT, b"two": b"2\r\n" + PROMPT}
        async with console(far, b"still booting\r\n") as made:
            asyncio.get_running_loop().call_later(0.7, far.say, PROMPT)
            assert list(await asyncio.gather(made.command("one", 60), made.command("two", 60))) == ["1", "2"]
        assert far.typed == b"one\rtwo\r"

    asyncio.run(scenario())


def test_a_command_that_does_not_come_back_keeps_its_deadline_and_is_not_interrupted(far: FarEnd) -> None:
    async def scenario() -> None:
        far.answers[b"sleep 1h"] = b""
        async with console(far, PROMPT) as made:
            asking = asyncio.create_task(made.command("sleep 1h", deadline=30))
            await reached(lambda: far.typed.endswith(b"\r"))
            await far.heard(made)
            leap(30)
            with pytest.raises(Unreachable, match="nothing stands on its last line"):
                await asking
        assert far.typed == b"sleep 1h\r"

    asyncio.run(scenario())


def test_output_without_end_is_cut_off_and_said(far: FarEnd) -> None:
    async def scenario() -> None:
        far.answers[b"yes"] = b"y\r\n"
        async with console(far, PROMPT) as made:
            asking = asyncio.create_task(made.command("yes", deadline=60))
            while not asking.done():
                if b"yes" in far.typed:
                    try:
                        far.say(b"y\r\n" * 1000)
                    except BlockingIOError:
                        await asyncio.sleep(0.01)
                await asyncio.sleep(0)
            with pytest.raises(Misbehaved, match="more than 1048576 octets"):
                await asking

    asyncio.run(scenario())


def test_a_flood_does_not_hold_up_the_deadline(far: FarEnd) -> None:
    async def scenario() -> None:
        async with console(far) as made:
            asking = asyncio.create_task(made.command("id", deadline=0.5))
            while not asking.done():
                try:
                    far.say(b"y\r\n" * 100)
                except BlockingIOError:
                    await asyncio.sleep(0.01)
                await asyncio.sleep(0)
            with pytest.raises(Unreachable, match=r"no prompt came within 0\.5 s"):
                await asking

    asyncio.run(scenario())


def test_a_line_that_takes_nothing_keeps_the_deadline(far: FarEnd) -> None:
    async def scenario() -> None:
        far.reads = False
        async with console(far, PROMPT) as made:
            with pytest.raises(Unreachable, match=r"within 0\.8 s|Write timeout"):
                await made.command("x" * 200_000, deadline=0.8)

    asyncio.run(scenario())


def test_a_line_that_is_lost_meanwhile(far: FarEnd) -> None:
    async def scenario() -> None:
        far.answers[b"reboot"] = b""
        async with console(far, PROMPT) as made:
            asking = asyncio.create_task(made.command("reboot", deadline=60))
            while not far.typed:  # noqa: ASYNC110 - the far end is no coroutine
                await asyncio.sleep(0.01)
            asyncio.get_running_loop().remove_reader(far._ours)
            far.hang_up()
            with pytest.raises(Unreachable, match="listen to the console"):
                await asking
            with pytest.raises(Unreachable):
                await made.prompt()
            with pytest.raises(Unreachable):
                await made.command("id")

    asyncio.run(scenario())


@pytest.mark.parametrize("line", ["id\n", "id\r", "\x03", "\x1c", "\x1b[A", "a\x00b", "~.\n"])
def test_control_characters_are_not_typed(far: FarEnd, line: str) -> None:
    r"""They are how a console is left (`^\` on iDRAC, `^Ec.` on conserver) and how a second line gets in."""

    async def scenario() -> None:
        async with console(far, PROMPT) as made:
            with pytest.raises(ValueError, match="printable"):
                await made.command(line)
        assert far.typed == b""

    asyncio.run(scenario())


def test_a_console_that_is_not_open_is_not_spoken_to(far: FarEnd) -> None:
    async def scenario() -> None:
        made = connect(Connection("c", far.address, now=lambda: datetime(2026, 11, 2, tzinfo=UTC)))
        for question in (made.prompt(), made.command("id")):
            with pytest.raises(Unreachable, match="never opened"):
                await question

    asyncio.run(scenario())
