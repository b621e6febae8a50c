"""Time that passes at once: a deadline is over as soon as what comes before it has happened, however busy we are."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


def leap(seconds: float) -> None:
    """From now on it is so many seconds later to everything that waits in this event loop."""
    loop = asyncio.get_running_loop()
    before = loop.time
    loop.time = lambda: before() + seconds  # type: ignore[method-assign]


async def reached(holds: Callable[[], bool]) -> None:
    """Wait for what another thread brings about, of which there is no event; fails after a minute."""
    async with asyncio.timeout(60):
        while not holds():  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(0.005)
