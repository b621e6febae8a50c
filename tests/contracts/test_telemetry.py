"""Telemetry and Identity: one good sample a channel where the device measures, never a zero for nothing."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from harness.capabilities import Identity, Telemetry
from harness.quantities import Quality, Unit

if TYPE_CHECKING:
    from tests.contracts.conftest import Witness

SUITE = ("pdu", "switch", "cdu")
NAMELESS = ("sentry4_switched8i",)
"""Recordings that hold no row of the device's identity."""
UNITS = {
    "temperature": Unit.CELSIUS,
    "power": Unit.WATT,
    "current": Unit.AMPERE,
    "voltage": Unit.VOLT,
    "energy": Unit.KILOWATT_HOUR,
    "power_factor": Unit.RATIO,
    "frequency": Unit.HERTZ,
    "flow": Unit.LITRE_PER_MINUTE,
    "pressure": Unit.KILOPASCAL,
    "rx_power": Unit.DECIBEL_MILLIWATT,
    "tx_power": Unit.DECIBEL_MILLIWATT,
    "on": Unit.BOOLEAN,
    "up": Unit.BOOLEAN,
    "closed": Unit.BOOLEAN,
    "wet": Unit.COUNT,
}


def test_it_says_who_it_is(witness: Witness) -> None:
    witness.needs(Identity)
    who = witness.ask(lambda device: device.identify())
    if witness.name in NAMELESS:
        assert (who.model, who.serial, who.firmware) == ("", "", "")  # not said is empty, nothing made up
    else:
        assert who.model or who.part_number
        assert who.firmware
    for said in (who.manufacturer, who.model, who.part_number, who.serial, who.firmware):
        assert said == said.strip()
        assert "\x00" not in said


def test_there_is_one_sample_a_channel_in_order(witness: Witness) -> None:
    witness.needs(Telemetry)

    async def question(device: Any) -> None:
        before = device.channels()
        samples = await device.sample()
        assert [each.channel for each in samples] == list(before) == list(device.channels())
        assert len({(each.quantity, each.part) for each in before}) == len(before) > 0
        assert {each.device for each in before} == {device.device}
        assert 0 < device.polling_floor <= 60

    witness.ask(question)


def test_every_channel_has_the_unit_of_its_quantity(witness: Witness) -> None:
    witness.needs(Telemetry)

    async def question(device: Any) -> None:
        for channel in device.channels():
            unit = UNITS.get(channel.quantity.rpartition(".")[2])
            assert unit is None or channel.unit is unit, str(channel)
        for each in await device.sample():
            assert each.reading.unit is each.channel.unit

    witness.ask(question)


def test_a_value_is_good_and_finite_or_says_what_it_is_not(witness: Witness) -> None:
    witness.needs(Telemetry)

    async def question(device: Any) -> None:
        samples = await device.sample()
        for each in samples:
            assert each.reading.usable or each.reading.quality is not Quality.GOOD, str(each.channel)
            assert abs((datetime.now(UTC) - each.reading.at).total_seconds()) < 24 * 3600
        assert any(each.reading.usable for each in samples)

    witness.ask(question)


def test_a_device_may_be_closed_twice_and_without_being_opened(witness: Witness) -> None:
    import asyncio

    async def run() -> None:
        device = witness.connect()
        await device.close()
        await device.close()

    asyncio.run(run())


def test_it_answers_in_one_loop_after_another(witness: Witness) -> None:
    """pysnmp trap T2: an engine that is kept over two event loops hangs."""
    if witness.kind == "bench":
        pytest.skip("once is enough on a bench")
    assert witness.ask(lambda device: device.identify()) == witness.ask(lambda device: device.identify())
