"""One device's failure never takes another's evidence."""

from __future__ import annotations

import asyncio

import pytest

from harness.each import each
from harness.errors import Unreachable


def test_every_device_is_asked_and_a_failure_is_a_result() -> None:
    async def work(name: str) -> str:
        await asyncio.sleep(0)
        if name == "b":
            raise Unreachable(name, "ask it", "no answer")
        return name.upper()

    results = asyncio.run(each("abc", work))
    assert [result.value for result in results] == ["A", None, "C"]
    assert isinstance(results[1].error, Unreachable)


def test_a_fault_of_the_plan_is_raised_once_all_others_are_through() -> None:
    finished: list[str] = []

    async def work(name: str) -> None:
        if name == "a":
            raise KeyError(name)
        await asyncio.sleep(0.01)
        finished.append(name)

    with pytest.raises(KeyError):
        asyncio.run(each("abc", work))
    assert finished == ["b", "c"]


def test_they_run_side_by_side() -> None:
    async def main() -> None:
        together = asyncio.Barrier(3)

        async def work(_: str) -> None:
            await asyncio.wait_for(together.wait(), 60)

        await each("abc", work)

    asyncio.run(main())
