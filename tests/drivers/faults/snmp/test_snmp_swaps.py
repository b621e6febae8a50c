"""Another SNMP agent behind the same address: when it is noticed, and what goes on nevertheless."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from drivers.transports import peer
from drivers.transports.snmp import Oid
from harness.errors import Misbehaved, Unreachable

if TYPE_CHECKING:
    from tests.drivers.faults.snmp.conftest import Bench, OnBench

TABLE: Oid = (1, 3, 6, 1, 4, 1, 99999, 1)
ROOT = ".".join(map(str, TABLE))


@pytest.mark.parametrize("version", [2, 3])
def test_a_unit_that_is_opened_anew_may_be_another_one(on_bench: OnBench, version: int) -> None:
    """Who closes the link and opens it again has asked who it is."""

    async def scenario(bench: Bench) -> None:
        await bench.works()
        await bench.restart(engine="80001f880455667788")
        await bench.link.close()
        await bench.works()

    on_bench(version, True, scenario)


def test_a_v2c_unit_that_never_failed_is_looked_at_every_now_and_then(
    on_bench: OnBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An address can be given to another device between two requests."""
    monkeypatch.setattr(peer, "CHECK_EVERY", 0.0)

    async def scenario(bench: Bench) -> None:
        await bench.works()
        await bench.restart(engine="80001f880455667788")
        await bench.fails(Misbehaved, write=False)

    on_bench(2, True, scenario)


@pytest.mark.parametrize("fast", [True, False], ids=["gufo", "pysnmp"])
def test_a_v2c_unit_of_the_same_model_is_known_by_its_serial_number(on_bench: OnBench, fast: bool) -> None:
    """Its agent says the same of itself: many PDUs leave the factory with one snmpEngineID."""
    serial = (*TABLE, 9, 0)

    async def scenario(bench: Bench) -> None:
        def numbered(number: str) -> dict[str, list[str]]:
            return {f"{ROOT}.9.0": ["octet", number.encode().hex(" ")], f"{ROOT}.1.1": ["integer", "7"]}

        await bench.restart(table=numbered("SN-0001"))
        link = bench.another_link(serial=serial)
        try:
            assert await link.get([(*TABLE, 1, 1)]) == {(*TABLE, 1, 1): 7}
            await bench.stop()
            assert isinstance(await bench.ends(link.get([(*TABLE, 1, 1)])), Unreachable)
            await bench.start(table=numbered("SN-0002"))
            for _ in range(2):
                error = await bench.ends(link.get([(*TABLE, 1, 1)]))
                assert isinstance(error, Misbehaved)
                assert "serial number SN-0002 where SN-0001 was" in error.seen
            await bench.stop()
            assert isinstance(await bench.ends(link.get([(*TABLE, 1, 1)])), Unreachable)
            await bench.start(table=numbered("SN-0001"))
            assert await link.get([(*TABLE, 1, 1)]) == {(*TABLE, 1, 1): 7}
        finally:
            await link.close()

    on_bench(2, fast, scenario)


def test_an_outlet_is_switched_off_whoever_answers(on_bench: OnBench) -> None:
    """Safety goes before evidence: the write is done, and reading it back says that it was another unit."""
    rules = ({"control": f"{ROOT}.1", "state": f"{ROOT}.2", "map": {"5": "5"}, "looks": 0, "says": "DONE"},)

    async def scenario(bench: Bench) -> None:
        await bench.works()
        await bench.stop()
        await bench.fails(Unreachable, write=False)
        await bench.start(engine="80001f880455667788", rules=rules)
        await bench.link.set((*TABLE, 1, 1), 5)
        error = await bench.ends(bench.link.get([(*TABLE, 2, 1)]))
        assert isinstance(error, Misbehaved)

    on_bench(2, True, scenario)
