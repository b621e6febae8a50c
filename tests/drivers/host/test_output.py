"""Output by octet offset: binary, of both streams, of any length, and never a silence where something is missing."""

from __future__ import annotations

import base64
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.host.jobs import PIECE
from drivers.host.node import Host
from drivers.host.record import piece
from harness.errors import Misbehaved
from harness.workload import JobState
from tests.drivers.host_machine import ENDLESS_BURN, Machine, burn, ended, run


def printed(machine: Machine, octets: bytes) -> None:
    """Let gpu_burn print just that."""
    (machine.home / "text").write_bytes(octets)
    machine.tool("gpu_burn", f"cat {machine.home}/text")


async def drained(host: Host, name: str) -> bytes:
    whole, since = bytearray(), 0
    while True:
        output = await host.output(name, since)
        assert output.next == since + len(output.octets)
        if not output.octets:
            return bytes(whole)
        whole += output.octets
        since = output.next


def test_octets_that_are_no_text_come_as_they_are(machine: Machine) -> None:
    octets = bytes(range(256)) * 5 + b"\n\noutput=\nname=x\n\x00"
    printed(machine, octets)

    async def scenario(host: Host) -> None:
        await host.start(burn())
        await ended(host, "burn")
        assert await drained(host, "burn") == octets
        assert (await host.output("burn", 3)).octets == octets[3:]
        assert (await host.output("burn", -5)).octets == octets
        assert (await host.output("burn", len(octets))).octets == b""

    run(machine, scenario)


def test_both_streams_are_in_it_in_their_order(machine: Machine) -> None:
    machine.tool("gpu_burn", "echo one; echo two >&2; echo three")

    async def scenario(host: Host) -> None:
        await host.start(burn())
        await ended(host, "burn")
        assert await drained(host, "burn") == b"one\ntwo\nthree\n"

    run(machine, scenario)


def test_more_than_a_piece_comes_in_pieces(machine: Machine) -> None:
    octets = os.urandom(PIECE * 2 + 7)
    printed(machine, octets)

    async def scenario(host: Host) -> None:
        await host.start(burn())
        await ended(host, "burn")
        assert len((await host.output("burn", 0)).octets) == PIECE
        assert await drained(host, "burn") == octets

    run(machine, scenario)


def test_offsets_beyond_four_gibibytes(machine: Machine) -> None:
    printed(machine, b"")

    async def scenario(host: Host) -> None:
        await host.start(burn())
        await ended(host, "burn")
        with (machine.jobs / "burn" / "out").open("r+b") as file:
            file.seek(5 * 2**30)  # a hole: it takes no room
            file.write(b"the end")
        output = await host.output("burn", 5 * 2**30)
        assert (output.octets, output.next) == (b"the end", 5 * 2**30 + 7)
        assert (await host.output("burn", 5 * 2**30 - 2)).octets == b"\0\0the end"

    run(machine, scenario)


@pytest.mark.parametrize(
    ("harm", "seen"),
    [
        (lambda out: out.unlink(), "is gone"),
        (lambda out: out.write_bytes(b"x"), "1 octets, and 4 of it were read"),
        (lambda out: (out.unlink(), out.parent.rename(out.parents[1] / "elsewhere")), "knows no such load"),
    ],
)
def test_output_that_is_no_longer_there_is_no_end(machine: Machine, harm: Callable[[Path], object], seen: str) -> None:
    printed(machine, b"some text")

    async def scenario(host: Host) -> None:
        await host.start(burn())
        await ended(host, "burn")
        harm(machine.jobs / "burn" / "out")
        with pytest.raises(Misbehaved, match=seen):
            await host.output("burn", 4)

    run(machine, scenario)


def test_output_grows_while_it_is_read(machine: Machine) -> None:
    machine.tool("gpu_burn", f"echo one; while [ ! -e {machine.home}/go ]; do sleep 0.1; done; {ENDLESS_BURN}")

    async def scenario(host: Host) -> None:
        assert (await host.start(burn())).state is JobState.RUNNING
        since = 0
        while since < 4:
            since = (await host.output("burn", since)).next
        assert (await host.output("burn", since)).octets == b""
        (machine.home / "go").touch()
        while not (octets := (await host.output("burn", since)).octets):
            pass
        assert b"proc'd" in octets

    run(machine, scenario)


@pytest.mark.parametrize("tool", ["base64", "tail"])
def test_a_host_whose_tools_fail_gives_no_half_a_piece(machine: Machine, tool: str) -> None:
    printed(machine, b"some text that is longer than nothing")

    async def scenario(host: Host) -> None:
        await host.start(burn())
        await ended(host, "burn")
        machine.tool(tool, "exit 1")
        with pytest.raises(Misbehaved, match="0 octets came"):
            await host.output("burn", 0)
        machine.tool(tool, "echo 'bash: warning: setlocale'")
        with pytest.raises(Misbehaved):
            await host.output("burn", 0)

    run(machine, scenario)


Answer = Callable[[], Awaitable[bytes]]


def said(octets: bytes, size: object, *, known: str = "yes") -> str:
    encoded = base64.encodebytes(octets).decode()
    return f"name=burn\nknown={known}\nsize={size}\noutput=\n{encoded}"


@given(st.binary(max_size=200), st.integers(0, 100), st.integers(1, 50))
def test_a_piece_is_what_was_asked_for_or_an_error(octets: bytes, since: int, most: int) -> None:
    size = since + len(octets)
    if len(octets) > most:
        with pytest.raises(ValueError, match="octets came"):
            piece(said(octets, size), since, most)
    else:
        assert piece(said(octets, size), since, most) == octets
        if octets:
            with pytest.raises(ValueError, match="octets came"):
                piece(said(octets[:-1], size), since, most)


@given(st.text(max_size=80))
def test_whatever_a_host_says_is_a_piece_or_a_value_error(text: str) -> None:
    for answer in (
        text,
        f"name=burn\nknown=yes\nsize={text}\noutput=\nAAAA",
        f"name=x\nknown=yes\nsize=3\noutput=\n{text}",
    ):
        try:
            octets = piece(answer, 0, 3)
        except ValueError:
            continue
        assert len(octets) <= 3
