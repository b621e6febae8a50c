"""HTTP to one BMC: bodies of bounded size, one request for one call, and no answer that nobody asked for.

aiohttp itself reads a body of any size into memory, sends PUT and DELETE a second time where the connection drops
(RFC 9110, 9.2.2 calls them idempotent; what a BMC does with them twice nobody knows), and takes an answer that came
unasked over an idle connection for the answer to the next request. tests/drivers/traps/test_redfish_traps.py shows it.
"""

from __future__ import annotations

from ssl import SSLContext

import aiohttp
from aiohttp.connector import Connection

MOST_BODY = 16 * 2**20
"""Octets of one answer, decompressed. The largest recorded one is a metric report of 483 kB (GB300 tray)."""


class TooLong(aiohttp.ClientPayloadError):
    """The body is longer than any resource."""


class SpokeUnasked(aiohttp.ClientConnectionError):
    """There was an answer before there was a question; nothing was sent."""


class CappedResponse(aiohttp.ClientResponse):
    """An answer whose body is at most `MOST_BODY` octets of UTF-8 (RFC 8259, 8.1), and whose request went out once."""

    async def start(self, connection: Connection) -> aiohttp.ClientResponse:
        """Await the headers; a write that lost its connection is reported so that aiohttp does not send it again."""
        try:
            return await super().start(connection)
        except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
            if self.method in ("GET", "HEAD"):
                raise
            raise aiohttp.ClientConnectionError(str(error)) from error

    async def read(self) -> bytes:
        """The body; raises TooLong before it would fill the memory."""
        whole = bytearray()
        try:
            if (self.content_length or 0) > MOST_BODY:
                raise TooLong(f"a body of {self.content_length} octets is announced")
            async for piece in self.content.iter_any():
                whole += piece
                if len(whole) > MOST_BODY:
                    raise TooLong(f"the body is longer than {MOST_BODY} octets")
        except BaseException:
            self.close()
            raise
        return bytes(whole)

    def get_encoding(self) -> str:
        """UTF-8 whatever the answer calls it: a made-up charset must not break its reader."""
        return "utf-8"


class CleanRequest(aiohttp.ClientRequest):
    """A request that is sent only over a connection on which nothing is left unread."""

    async def send(self, conn: Connection) -> aiohttp.ClientResponse:
        """Send it; raises SpokeUnasked, and then nothing was sent."""
        if conn.protocol is None or conn.protocol.should_close:
            raise SpokeUnasked("the peer spoke unasked")
        return await super().send(conn)


def open_http(tls: SSLContext | aiohttp.Fingerprint, connections: int) -> aiohttp.ClientSession:
    """A pool of verified connections. Cookies are not kept, and proxies of the environment are not used."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=tls, limit_per_host=connections),
        cookie_jar=aiohttp.DummyCookieJar(),
        request_class=CleanRequest,
        response_class=CappedResponse,
        trust_env=False,
    )
