"""The rack's event loop: one for the whole session, on a thread of its own.

Sampling and interlocks turn on it from the first contact to the last, whatever the main thread is doing.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")

ENDING_TIME = 5.0
"""Wall seconds for the loop's last tasks and threads to end."""
TURN = 0.5
"""Wall seconds between two looks whether the loop still turns."""


class Abandoned(BaseException):
    """Raised in a plain step that nobody waits for any more; not to be caught."""


class RackLoop:
    """An event loop running in a daemon thread until `close()`."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._closing = False
        self._turned = 0
        self._thread = threading.Thread(target=self._turn, name="rack-loop", daemon=True)
        self._thread.start()

    def _turn(self) -> None:
        asyncio.set_event_loop(self._loop)
        while not self._closing:
            # A task that raises SystemExit or KeyboardInterrupt stops `run_forever`; nothing may stop this loop.
            with contextlib.suppress(SystemExit, KeyboardInterrupt):
                self._loop.run_forever()

    @property
    def is_here(self) -> bool:
        """Whether this is called on the loop's own thread."""
        return threading.current_thread() is self._thread

    def watch(self, stalled: Callable[[float], None]) -> None:
        """Have `stalled` called, on a thread of its own, with the wall seconds for which the loop has not turned.

        It is called every half second while that lasts. Time in which this process did not run at all counts for
        little: a station that was suspended, or starved of its processor, finds its loop as it left it.
        """

        def turn() -> None:
            self._turned += 1

        def look() -> None:
            silent = 0.0
            while not self._closing and self._thread.is_alive():
                seen = self._turned
                with contextlib.suppress(RuntimeError):
                    self._loop.call_soon_threadsafe(turn)
                time.sleep(TURN)
                silent = silent + TURN if self._turned == seen else 0.0
                if silent and not self._closing:
                    stalled(silent)

        threading.Thread(target=look, name="rack-loop-watch", daemon=True).start()

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
        """Call `function` on the loop soon; safe from any thread and from a signal handler, also once it is closed."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(function, *arguments)

    def close(self) -> None:
        """Cancel what is left, stop the loop and end its thread; what will not end is left to the daemon thread."""
        if self._loop.is_closed():
            return
        self._closing = True
        with contextlib.suppress(TimeoutError):
            self.run(_cancel_all(), timeout=ENDING_TIME)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=ENDING_TIME)
        if not self._thread.is_alive():
            self._loop.close()


def run_aside(work: Callable[[], T]) -> Coroutine[Any, Any, Callable[[], T]]:
    """Run what blocks on a daemon thread of its own; gives what then returns its result, or raises what it raised.

    A coroutine that was cancelled waits for it no longer: `Abandoned` is raised in that thread as soon as it runs
    Python again, and what it comes to is lost. One that never comes back ends with the process.
    """

    async def aside() -> Callable[[], T]:
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[None] = loop.create_future()
        outcome: Future[T] = Future()

        def end() -> None:
            if not ended.done():
                ended.set_result(None)

        def run() -> None:
            try:
                outcome.set_result(work())
            except BaseException as error:  # noqa: BLE001 - handed over to whoever waits, SystemExit as well
                outcome.set_exception(error)
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(end)

        thread = threading.Thread(target=run, name="step", daemon=True)
        thread.start()
        try:
            await ended
        except asyncio.CancelledError:
            _abandon(thread)
            raise
        return outcome.result

    return aside()


def _abandon(thread: threading.Thread) -> None:
    if thread.ident is not None and thread.is_alive():
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(Abandoned))


async def _cancel_all() -> None:
    own = asyncio.current_task()
    left = [task for task in asyncio.all_tasks() if task is not own]
    for task in left:
        task.cancel()
    if left:
        await asyncio.wait(left, timeout=ENDING_TIME / 2)
    await asyncio.get_running_loop().shutdown_default_executor()
