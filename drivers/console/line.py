"""One serial console: what it printed, what of it is a problem, where it stands, and what a command answers."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from drivers.console.prompts import Kind, Prompt, standing_prompt, without_echo
from drivers.inband.kernel import severity_of
from drivers.transports.console import ConsoleWire, plain_text
from harness.capabilities import ConsoleLine, Severity
from harness.errors import Misbehaved, Refused, Unreachable

TAIL = 8192
"""Octets at the end of what was heard in which a prompt is looked for: kernel messages may stand behind it."""
OUTPUT = 1 << 20
"""Octets that one command may print; no more are kept."""
SETTLED = 0.25
"""Wall seconds of silence after which a line that stands unfinished is where the far end waits."""
UNSURE = 1.0
"""The same within a command, where the prompt is another one than before: it might be output that pauses there."""
GATHER = 0.02
"""Wall seconds in which octets gather before they are looked at again: a line brings them one by one."""
BUSY = 2.0
"""Wall seconds that `prompt` gives a console that goes on talking."""


class SerialConsole:
    """One serial console. Lines are numbered from 0 over all the time that this object lives.

    It only listens, but for `command`. Nobody is logged in or out, and no key is pressed to find anything out: a key
    stops a boot, confirms a menu, or is a failed login.
    """

    def __init__(self, device: str, wire: ConsoleWire) -> None:
        self._device = device
        self._wire = wire
        self._turn = asyncio.Lock()
        self._known: Prompt | None = None
        """The prompt behind the last command; output that does not end its line may stand before it."""

    @property
    def device(self) -> str:
        return self._device

    async def open(self) -> None:
        """Begin to capture; raises Unreachable where the port cannot be opened."""
        await self._wire.open()

    async def close(self) -> None:
        """Stop capturing; never raises."""
        await self._wire.close()

    async def captured(self, since: int = 0) -> Sequence[ConsoleLine]:
        """The lines from number `since`; raises Unreachable while it is lost, Misbehaved where some are missing."""
        return self._wire.captured(since)

    def problems(self, lines: Sequence[ConsoleLine]) -> Sequence[ConsoleLine]:
        """The critical ones of `lines`, by the patterns and sources of `drivers.inband.kernel`."""
        return tuple(line for line in lines if severity_of(line.text) is Severity.CRITICAL)

    async def prompt(self) -> str | None:
        """The prompt at which the far end was last heard to wait, by `drivers.console.prompts`; sends nothing.

        None where it stands at none, goes on talking, or printed its prompt before the capture began: a prompt is
        printed once, and asking for another one takes a key (`command("")` presses Return, if that is wanted).
        Raises Unreachable while the line is lost.
        """
        loop = asyncio.get_running_loop()
        end = loop.time() + BUSY
        while loop.time() < end:
            count, octets = self._wire.heard(0, TAIL)
            if not await self._wire.hear_more(count, SETTLED):
                found = standing_prompt(plain_text(octets), self._known)
                return found.text if found is not None and found.kind is not Kind.KEY else None
        return None

    async def command(self, line: str, deadline: float = 10.0) -> str:
        """What a line printed, sent once at a shell, firmware or boot-loader prompt, up to the next prompt.

        An empty line presses Return even where no prompt was heard. Echo, escape sequences and control characters are
        removed; kernel messages that were printed meanwhile stay. The lines are in the captured log as well: a secret
        has no place in a command. `deadline` is in wall seconds from the call to the return.

        Raises ValueError for control characters (none is sent), Refused where it stands at a login or asks for one,
        Unreachable where no prompt comes in time, Misbehaved where it prints more than OUTPUT octets without one.
        What was sent stays sent in all of these but the first; it is not interrupted.
        """
        if not (line == "" or line.isprintable()):
            raise ValueError(f"{line!r} is not one line of printable characters")
        try:
            async with asyncio.timeout(deadline), self._turn:
                before = await self._await_turn(line)
                mark, _ = self._wire.heard(0, 0)
                await self._wire.send(f"{line}\r".encode())
                return await self._answer(line, mark, before)
        except TimeoutError:
            raise self._no_prompt(line, deadline) from None

    async def _await_turn(self, line: str) -> Prompt | None:
        """The prompt at which a line may be sent, as soon as the far end stands there; None only for an empty line."""
        while True:
            count, octets = self._wire.heard(0, TAIL)
            if await self._wire.hear_more(count, SETTLED):
                continue
            found = standing_prompt(plain_text(octets), self._known)
            if found is None and not line:
                return None
            if found is not None and found.kind is not Kind.KEY:
                self._refuse_login(line, found)
                return found
            await self._wire.hear_more(count, BUSY)

    async def _answer(self, line: str, mark: int, before: Prompt | None) -> str:
        while True:
            count, octets = self._wire.heard(mark, TAIL)
            if count - mark > OUTPUT:
                raise Misbehaved(
                    self._device,
                    f"run {line!r}",
                    f"it printed more than {OUTPUT} octets and no prompt",
                    "It may still run: stop it at the console, and ask for less",
                    plain_text(octets)[-200:],
                )
            found = standing_prompt(plain_text(octets), before)
            if found is None or found.kind is Kind.KEY or found.text == line.strip():
                await self._wire.hear_more(count, BUSY)
                await asyncio.sleep(GATHER)
                continue
            same = before is not None and found.text == before.text
            if await self._wire.hear_more(count, SETTLED if same else UNSURE):
                continue
            self._refuse_login(line, found)
            self._known = found
            _, whole = self._wire.heard(mark, OUTPUT)
            text = without_echo(plain_text(whole), line)
            return text[: text.rfind(found.text)].removesuffix("\n")

    def _refuse_login(self, line: str, found: Prompt) -> None:
        if found.kind in (Kind.LOGIN, Kind.PASSWORD):
            raise Refused(
                self._device,
                f"run {line!r}",
                f"it asks for a login: {found.text!r}",
                "Log in at the console, or let it log in by itself, and leave the session open",
            )

    def _no_prompt(self, line: str, deadline: float) -> Unreachable:
        advice = "Look at the console. Where pressing Return does no harm, an empty command asks for a prompt"
        seen = f"no prompt came within {deadline:g} s"
        try:
            _, octets = self._wire.heard(0, TAIL)
        except Unreachable as error:
            return Unreachable(self._device, f"run {line!r}", f"{seen}: {error.seen}", error.advice)
        text = plain_text(octets)
        last = text.rpartition("\n")[2].strip()
        found = standing_prompt(text)
        if found is not None and found.kind is Kind.KEY:
            advice = "It waits for a key. A pager is switched off by a command of the device's own; a boot goes on"
        stands = f"it stands at {last[-80:]!r}" if last else "nothing stands on its last line"
        return Unreachable(self._device, f"run {line!r}", f"{seen}; {stands}", advice)
