"""One coroutine per device, side by side; one device's failure never takes another's evidence."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from harness.errors import DeviceError

D = TypeVar("D")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Result(Generic[D, T]):
    """What came of one device: `value`, or the `error` that kept it from answering."""

    device: D
    value: T | None
    error: DeviceError | None


async def each(devices: Iterable[D], work: Callable[[D], Awaitable[T]]) -> tuple[Result[D, T], ...]:
    """Run `work` on all devices at once and wait for every one.

    A DeviceError becomes a result. Anything else is the plan's own fault: it is raised once all others are through.
    """

    async def one(device: D) -> Result[D, T]:
        try:
            return Result(device, await work(device), None)
        except DeviceError as error:
            return Result(device, None, error)

    outcomes = await asyncio.gather(*(one(device) for device in devices), return_exceptions=True)
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome
    return tuple(outcome for outcome in outcomes if isinstance(outcome, Result))


async def end_within(seconds: float, works: Mapping[str, Awaitable[object]]) -> tuple[str, ...]:
    """Wait for all works side by side for at most wall `seconds`; returns the names of those that did not end.

    What they raise is their own affair. Those that are late are cancelled, again and again if they swallow it, and left
    behind when even that does not help: the end of a run waits for nobody.
    """
    tasks = {asyncio.ensure_future(work): name for name, work in works.items()}
    if not tasks:
        return ()
    _, late = await asyncio.wait(tasks, timeout=seconds)
    names = tuple(tasks[task] for task in late)
    for _ in range(3):
        for task in late:
            task.cancel()
        if not late:
            break
        _, late = await asyncio.wait(late, timeout=0.5)
    for task in tasks:
        if task.done() and not task.cancelled():
            task.exception()
    return names
