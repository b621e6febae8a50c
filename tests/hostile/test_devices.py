"""Devices that answer to harm: bodies without measure, links that lead elsewhere or nowhere, texts that unpack.

What floods, drips, loops or breaks off at the wire is in tests/drivers/faults, transport by transport, and what unpacks
to a Redfish body in tests/drivers/faults/test_redfish_unasked.py; here are the real bounds, and what lies above a wire.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from drivers.inband import ParseError
from drivers.inband.smi_xml import read_log
from drivers.inband.strict_json import read_object
from drivers.resources import members
from drivers.resources.members import member_paths, read_members
from harness.errors import Misbehaved
from tests.drivers.redfish_peer import PASSWORD, Call, Certificate, always, certificate, logged_in, reply, serving

Confined = Callable[..., str]


def run(scenario: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(scenario())


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return certificate(tmp_path_factory.mktemp("tls"))


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed_and_nothing_is_said_to_whom_it_names(shown: Certificate, status: int) -> None:
    async def scenario() -> None:
        async with serving(shown) as elsewhere, serving(shown) as bmc, logged_in(bmc) as wire:
            there = f"https://127.0.0.1:{elsewhere.port}/redfish/v1/Systems"
            bmc.answers["/x"] = always(reply(status=status, Location=there))
            with pytest.raises(Misbehaved):
                await wire.get("/x")
            with pytest.raises(Misbehaved):
                await wire.send("POST", "/x", {"ResetType": "On"})
            assert elsewhere.calls == []

    run(scenario)


@pytest.mark.parametrize("status", [302, 307, 308])
def test_a_login_is_not_sent_on(shown: Certificate, status: int) -> None:
    async def scenario() -> None:
        async with serving(shown) as elsewhere, serving(shown) as bmc:
            there = f"https://127.0.0.1:{elsewhere.port}/redfish/v1/SessionService/Sessions"

            async def answer(call: Call) -> bytes:
                return reply(status=status, Location=there) if call.method == "POST" else await bmc._answer(call)

            bmc.whatever = answer
            with pytest.raises(Misbehaved) as refused:
                async with logged_in(bmc):
                    pass
            assert PASSWORD not in str(refused.value) + refused.value.exchange
            assert elsewhere.calls == []

    run(scenario)


@pytest.mark.parametrize(
    "link",
    [
        "https://127.0.0.1:1/redfish/v1/Systems", "//127.0.0.1:1/x", "http://127.0.0.1/x", "file:///etc/passwd",
        "javascript:x", "https://u:p@127.0.0.1/x",
    ],
)  # fmt: skip
def test_a_link_that_leads_to_another_host_is_not_followed(shown: Certificate, link: str) -> None:
    async def scenario() -> None:
        async with serving(shown) as bmc, logged_in(bmc) as wire:
            bmc.answers["/list"] = always(reply({"Members": [{"@odata.id": link}]}))
            before = len(bmc.calls)
            with pytest.raises(Misbehaved, match="another host"):
                await read_members(wire, "/list", "tray-01")
            assert [call.path for call in bmc.calls[before:]] == ["/list"]

    run(scenario)


@pytest.mark.parametrize("link", ["redfish/v1", "\\\\127.0.0.1\\x", "@127.0.0.1/x", "../../x", ":1/x", "/x\r\nHost: y"])
def test_a_link_that_is_no_path_is_asked_for_here_or_nowhere(shown: Certificate, link: str) -> None:
    """`https://10.0.0.1` and `@10.0.0.2` put together would be another host, with ours as its user."""

    async def scenario() -> None:
        async with serving(shown) as bmc, logged_in(bmc) as wire:
            bmc.answers["/list"] = always(reply({"Members": [{"@odata.id": link}]}))
            before = len(bmc.calls)
            with contextlib.suppress(Misbehaved):
                assert await read_members(wire, "/list", "tray-01") == {}
            for call in bmc.calls[before:]:
                assert call.path.startswith("/")
                assert call.headers["host"] == f"127.0.0.1:{bmc.port}"

    run(scenario)


def test_pages_that_never_end_and_pages_that_lead_back(shown: Certificate) -> None:
    async def scenario() -> None:
        async with serving(shown) as bmc, logged_in(bmc) as wire:

            async def endless(call: Call) -> bytes:
                number = int(call.path.partition("=")[2] or 0)
                return reply({"Members": [], "Members@odata.nextLink": f"/list?skip={number + 1}"})

            bmc.whatever = endless
            with pytest.raises(Misbehaved, match="never end"):
                await member_paths(wire, "/list", "tray-01")
            bmc.whatever = always(reply({"Members": [], "Members@odata.nextLink": "/list"}))
            with pytest.raises(Misbehaved, match="never end"):
                await member_paths(wire, "/list", "tray-01")

    run(scenario)


def test_a_million_members_are_neither_kept_nor_asked_for(shown: Certificate, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        async with serving(shown) as bmc, logged_in(bmc) as wire:
            many = {"Members": [{"@odata.id": f"/m/{number}"} for number in range(members.MOST_READ + 1)]}
            bmc.answers["/list"] = always(reply(many))
            before = len(bmc.calls)
            with pytest.raises(Misbehaved, match="list 5001 resources"):
                await read_members(wire, "/list", "tray-01")
            monkeypatch.setattr(members, "MOST_MEMBERS", 1000)
            with pytest.raises(Misbehaved, match="more than 1000 members"):
                await member_paths(wire, "/list", "tray-01")
            assert len(bmc.calls) - before == 2

    run(scenario)


LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))


@pytest.mark.parametrize(
    "text",
    [
        f'<!DOCTYPE nvidia_smi_log [<!ENTITY l0 "lol">{LAUGHS}]><nvidia_smi_log>&l9;</nvidia_smi_log>',
        '<!DOCTYPE nvidia_smi_log [<!ENTITY x SYSTEM "file:///etc/passwd">]><nvidia_smi_log>&x;</nvidia_smi_log>',
        '<!DOCTYPE nvidia_smi_log SYSTEM "http://127.0.0.1/x.dtd" [<!ENTITY x "y">]><nvidia_smi_log/>',
        "<nvidia_smi_log>&x;</nvidia_smi_log>",
        "<nvidia_smi_log>" + "<gpu>" * 200_000,
        "<nvidia_smi_log " + " ".join(f'a{n}="x"' for n in range(100_000)),
        "<nvidia_smi_log>" + "x" * (4 * 2**20) + "</nvidia_smi_log>",
        '<?xml version="1.0" encoding="utf-7"?><nvidia_smi_log/>+ADw-',
        "\x00",
        "",
    ],
)
def test_xml_that_unpacks_or_declares_is_refused(text: str) -> None:
    with pytest.raises(ParseError):
        read_log(text)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 200_000,
        '{"a":' * 200_000,
        '{"a":' + "1" * 100_000 + "}",
        '{"a": NaN}',
        '{"a":1,"a":2}',
        " " * (17 * 2**20),
    ],
)
def test_json_of_a_tool_that_is_none(text: str) -> None:
    with pytest.raises(ParseError):
        read_object(text, "tool")


def test_what_unpacks_to_a_gigabyte_takes_bounded_memory(confined: Confined) -> None:
    """By gzip and by zstd, which nobody asked for; and a gigabyte that comes as it is, with and without its length."""
    said = confined(
        "import asyncio, pathlib, tempfile, zlib\n"
        "from tests.drivers.redfish_peer import *\n"
        "from harness.errors import Misbehaved\n"
        "packed = zlib.compressobj(9, wbits=31)\n"
        "small = b''.join(packed.compress(bytes(2**20)) for _ in range(256)) + packed.flush()\n"
        "try:\n    from backports import zstd\nexcept ImportError:\n    from compression import zstd\n"
        "stream = zstd.ZstdCompressor()\n"
        "tiny = b''.join(stream.compress(bytes(2**20)) for _ in range(1024)) + stream.flush()\n"
        "shown = certificate(pathlib.Path(tempfile.mkdtemp()))\n"
        "async def drip(call):\n"
        "    said = call.path == '/known'\n"
        "    size = b'Content-Length: 1073741824' if said else b'Transfer-Encoding: chunked'\n"
        "    call.writer.write(b'HTTP/1.1 200 OK\\r\\n' + size + b'\\r\\n\\r\\n')\n"
        "    piece = bytes(2**16) if said else b'10000\\r\\n' + bytes(2**16) + b'\\r\\n'\n"
        "    for _ in range(2**14):\n"
        "        call.writer.write(piece)\n        await call.writer.drain()\n"
        "    return b''\n"
        "async def main():\n"
        "    async with serving(shown) as bmc, logged_in(bmc) as wire:\n"
        "        bmc.answers = {'/gzip': always(reply(small, Content_Encoding='gzip')),\n"
        "            '/zstd': always(reply(tiny, Content_Encoding='zstd')), '/known': drip, '/unknown': drip}\n"
        "        for path in bmc.answers:\n"
        "            try:\n                await wire.get(path)\n"
        "            except Misbehaved as error:\n                print(path, error)\n",
        "asyncio.run(main())\n",
        mib=256,
    )
    assert [line.split()[0] for line in said.splitlines()] == ["/gzip", "/zstd", "/known", "/unknown"], said
    assert "1073741824 octets is announced" in said


@pytest.mark.long
def test_a_console_that_floods_is_kept_in_bounded_memory(confined: Confined) -> None:
    """64 MiB without a line end, and 32,768 lines as fast as they come."""
    said = confined(
        "from datetime import UTC, datetime\n"
        "from drivers.transports.console import KEPT, ConsoleTarget, ConsoleWire\n"
        "now = datetime.now(UTC)\nwire = ConsoleWire(ConsoleTarget('c', '/dev/x', 9600), lambda: now)\n",
        "for piece in (b'x' * 2**20, b'y\\n' * 2**10):\n"
        "    rest = b''\n"
        "    for _ in range(64):\n"
        "        wire._listen(piece)\n        rest = wire._take(rest + piece, final=False)\n"
        "print(len(wire._lines) <= KEPT, len(rest) <= 4096)\n",
        mib=384,
    )
    assert said.split() == ["True", "True"]


def test_what_a_device_says_of_an_error_is_kept_short(shown: Certificate) -> None:
    async def scenario() -> None:
        async with serving(shown) as bmc, logged_in(bmc) as wire:
            loud = {"error": {"message": "x" * 2**20, "@Message.ExtendedInfo": []}}
            bmc.answers["/x"] = always(reply(loud, 400))
            with pytest.raises(Misbehaved) as said:
                await wire.get("/x")
            assert len(str(said.value)) < 1000
            assert len(said.value.exchange) < 1000
            bmc.answers["/x"] = always(reply(json.dumps({"error": [[[5]]]}).encode(), 400))
            with pytest.raises(Misbehaved):
                await wire.get("/x")

    run(scenario)
