"""Whatever comes late, twice, short or mangled on a bus: a value is the answer to its own request, or an error."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from drivers.transports import modbus_bus
from harness.errors import DeviceError

if TYPE_CHECKING:
    from tests.drivers.faults.modbus.conftest import Bench, OnBench

UNIT = 12
FATES = (
    "", "silent", "late", "later", "half", "garbage", "duplicate", "crc", "prefixed", "trailing", "other-unit",
)  # fmt: skip
READS = st.lists(st.tuples(st.integers(0, 100), st.sampled_from([2, 4])), min_size=2, max_size=4)


@pytest.mark.parametrize("scheme", ["modbus+rtu", "modbus+rtu+tcp"])
@given(reads=READS, fates=st.lists(st.sampled_from(FATES), min_size=1, max_size=8))
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_value_is_the_answer_to_its_own_request(
    on_bench: OnBench, scheme: str, reads: list[tuple[int, int]], fates: list[str]
) -> None:
    """A unit answers in order (V1.02, 2.1: one request at a time), and late means with or before a later answer."""

    async def scenario(bench: Bench) -> None:
        bench.unit.fates = list(fates)
        for first, count in reads:
            try:
                found = await bench.link.read(UNIT, first, count)
            except DeviceError:
                continue
            assert found == tuple(range(first, first + count)), bench.unit.requests
        bench.unit.fates = []
        for _ in range(5):  # a busy machine may be late by itself
            if await bench.ends(bench.works()) is None:
                return
        raise AssertionError("it is well and does not work")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(modbus_bus, "_QUIET", 0.01)
        on_bench(scheme, scenario, timeout=0.03)


@pytest.mark.parametrize(
    "given_fates",
    [
        ["silent", "late", "late", "late"],
        ["late", "later", "later"],
        ["duplicate", "late", "duplicate"],
        ["later", "later", "later", "later", "later", "later", "duplicate"],
        ["half", "late", "", "later", ""],
    ],
)
def test_known_hard_sequences(on_bench: OnBench, given_fates: list[str]) -> None:
    """Reads of one length follow each other, which is when RTU deceives."""

    async def scenario(bench: Bench) -> None:
        bench.unit.fates = fates = list(given_fates)
        for first in (10, 110, 210, 310):
            try:
                assert await bench.link.read(UNIT, first, 4) == tuple(range(first, first + 4))
            except DeviceError:
                continue
        fates.clear()
        assert None in [await bench.ends(bench.works()) for _ in range(3)]

    on_bench("modbus+rtu", scenario, timeout=0.03)
