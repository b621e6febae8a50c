"""The rack's loop: results and errors come back, a cancelled step says so, and closing leaves nothing behind."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading

import pytest

from harness.loop import RackLoop


def test_results_and_errors_come_back() -> None:
    loop = RackLoop()
    try:

        async def answer() -> int:
            return 42

        async def fail() -> None:
            raise ValueError("no")

        assert loop.run(answer()) == 42
        with pytest.raises(ValueError, match="no"):
            loop.run(fail())
    finally:
        loop.close()


def test_it_turns_on_a_thread_of_its_own() -> None:
    loop = RackLoop()
    try:

        async def name() -> str:
            return threading.current_thread().name

        assert loop.run(name()) == "rack-loop"
    finally:
        loop.close()


def test_a_cancelled_step_is_told_from_a_failed_one() -> None:
    loop = RackLoop()
    tasks: list[asyncio.Task[None] | None] = []
    try:

        async def step() -> None:
            task = asyncio.current_task()
            assert task is not None
            asyncio.get_running_loop().call_later(0.01, task.cancel)
            await asyncio.sleep(60)

        with pytest.raises(concurrent.futures.CancelledError):
            loop.run(step())
        assert tasks == []
    finally:
        loop.close()


def test_closing_cancels_what_is_left_and_may_be_repeated() -> None:
    loop = RackLoop()
    ended = threading.Event()

    async def endless() -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            ended.set()

    future = loop.submit(endless())
    loop.run(asyncio.sleep(0))
    loop.close()
    loop.close()
    assert ended.is_set()
    assert future.cancelled()
