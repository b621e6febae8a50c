"""The library's own Redfish clients as they come, for the tests of its traps."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import redfish  # type: ignore[import-untyped]
import redfish.aio as dmtf  # type: ignore[import-untyped]

from tests.drivers.redfish_peer import PASSWORD, Bmc

PATH, ACTION = "/redfish/v1/Systems/1", "/redfish/v1/Systems/1/Actions/ComputerSystem.Reset"


async def library(bmc: Bmc, use: Callable[[Any], Any], **options: Any) -> Any:
    """Use the synchronous client, logged in, in a thread; gives back what `use` gives."""

    def work() -> Any:
        given = {"timeout": 30, "max_retry": 0, "check_connectivity": False} | options
        client = redfish.redfish_client(f"https://127.0.0.1:{bmc.port}", "admin", PASSWORD, **given)
        try:
            client.login(auth="session")
            return use(client)
        finally:
            client._session.close()

    return await asyncio.to_thread(work)


@asynccontextmanager
async def aio_library(bmc: Bmc) -> AsyncIterator[Any]:
    """The client over aiohttp, logged in."""
    context = ssl.create_default_context(cafile=str(bmc.shown.pem))
    context.check_hostname = False
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session:
        given = {"session": session, "timeout": 30}
        client = dmtf.AsyncRedfishClient(f"https://127.0.0.1:{bmc.port}", "admin", PASSWORD, **given)
        await client.login()
        yield client
