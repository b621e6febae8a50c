"""One coroutine per device, side by side; one device's failure never takes another's evidence."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
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
