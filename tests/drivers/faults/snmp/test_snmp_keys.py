"""A wrong v3 key is sent once, so that nobody is locked out; the fast way is taken once the key is known to hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from drivers.transports.snmp import Oid
from harness.errors import Refused, Unreachable

if TYPE_CHECKING:
    from tests.drivers.faults.snmp.conftest import Bench, OnBench

CELL: Oid = (1, 3, 6, 1, 4, 1, 99999, 1, 1, 1)
USER = b"bench"
ANSWERED = 10.0
"""Wall seconds to wait where every request is answered: none may be sent again."""
WAYS = pytest.mark.parametrize("fast", [True, False], ids=["gufo", "pysnmp"])


def logins(bench: Bench) -> int:
    """How often the user was named since this was asked last; the discovery of an engine names none (RFC 3414, 4)."""
    found = sum(USER in request for request in bench.relay.requests)
    bench.relay.requests.clear()
    return found


@WAYS
def test_a_wrong_key_is_sent_once(on_bench: OnBench, fast: bool) -> None:
    async def scenario(bench: Bench) -> None:
        link = bench.another_link(auth="not-the-right-key")
        try:
            for _ in range(2):  # whoever asks again wants it sent again
                assert isinstance(await bench.ends(link.get([CELL])), Refused)
                assert len(bench.relay.requests) <= 2
                assert logins(bench) == 1
            assert isinstance(await bench.ends(link.walk([CELL[:-1]])), Refused)
            assert logins(bench) == 1
        finally:
            await link.close()

    on_bench(3, fast, scenario, timeout=ANSWERED)


@WAYS
def test_a_key_that_was_changed_meanwhile_is_sent_once_a_read(on_bench: OnBench, fast: bool) -> None:
    """The agent restarts with another key, as after somebody set it; the outage is noticed, or it is not."""

    async def scenario(bench: Bench) -> None:
        await bench.works()
        await bench.stop()
        assert isinstance(await bench.ends(bench.link.get([CELL])), Unreachable)
        await bench.start(auth="changed-by-somebody")
        logins(bench)
        for _ in range(2):
            assert isinstance(await bench.ends(bench.link.get([CELL])), Refused)
            assert logins(bench) == 1
        await bench.restart()
        await bench.works()
        await bench.restart(auth="changed-by-somebody")
        logins(bench)
        assert isinstance(await bench.ends(bench.link.get([CELL])), Refused)
        assert logins(bench) <= 2  # the fast way may say silence first
        assert isinstance(await bench.ends(bench.link.get([CELL])), Refused)
        assert logins(bench) == 1

    on_bench(3, fast, scenario)


def test_reads_go_the_fast_way_once_the_key_holds(on_bench: OnBench) -> None:
    """Each way has a socket of its own, so the agent hears from a second one."""
    pytest.importorskip("gufo.snmp")

    async def scenario(bench: Bench) -> None:
        await bench.link.get([CELL])
        assert bench.relay.callers == 1
        await bench.link.get([CELL])
        assert bench.relay.callers == 2
        await bench.link.close()
        await bench.link.get([CELL])
        await bench.link.get([CELL])
        assert bench.relay.callers == 4

    on_bench(3, True, scenario, timeout=ANSWERED)
