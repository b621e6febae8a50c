"""The rack's event loop: one for the whole session, on a thread of its own.

Sampling and interlocks turn on it from the first contact to the last, whatever the main thread is doing.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")

ENDING_TIME = 5.0
"""Wall seconds for the loop's last tasks and threads to end."""


class RackLoop:
    """An event loop running in a daemon thread until `close()`."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._turn, name="rack-loop", daemon=True)
        self._thread.start()

    def _turn(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    def submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Start `work` on the loop from any thread."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def run(self, work: Coroutine[Any, Any, T], timeout: float | None = None) -> T:
        """Run `work` on the loop and wait for it here; raises what it raises, TimeoutError after wall seconds."""
        future = self.submit(work)
        try:
            return future.result(timeout)
        except BaseException:
            future.cancel()
            raise

    def call_soon(self, function: Callable[..., object], *arguments: object) -> None:
        """Call `function` on the loop soon; safe from any thread and from a signal handler."""
        self._loop.call_soon_threadsafe(function, *arguments)

    def close(self) -> None:
        """Cancel what is left, stop the loop and end its thread; what will not end is left to the daemon thread."""
        if self._loop.is_closed():
            return
        with contextlib.suppress(TimeoutError):
            self.run(_cancel_all(), timeout=ENDING_TIME)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=ENDING_TIME)
        if not self._thread.is_alive():
            self._loop.close()


async def _cancel_all() -> None:
    own = asyncio.current_task()
    left = [task for task in asyncio.all_tasks() if task is not own]
    for task in left:
        task.cancel()
    if left:
        await asyncio.wait(left, timeout=ENDING_TIME / 2)
    await asyncio.get_running_loop().shutdown_default_executor()
