"""PowerOutlets and PowerInlet: what every PDU owes, and what an independent reader makes of the recorded ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from drivers.pdu import Pdu
from drivers.points import oid_of
from harness.capabilities import PowerInlet, PowerOutlets
from harness.errors import Unsupported
from harness.quantities import Quality, Unit

if TYPE_CHECKING:
    from tests.contracts.conftest import Witness

SUITE = ("pdu",)
METERS_ONLY = ("sentry4_switched8i", "vertiv-pdu_mg02e4w1")
"""Recordings that hold no row of any outlet."""
OUTLETS = {"snmpsimdata_apc-8932": 24, "raritan-pdu_px3": 24, "liebert_mph2rg": 16, "eatonpdu_2": 24}
# Where LibreNMS' reading and ours differ, by the beginning of the OID: its number is ours times this, and why.
CONTRADICTIONS = {
    "1.3.6.1.4.1.13742.6.5.2.3.1.4.1.1.7": (100.0, "it takes the power factor in percent for a ratio"),
    "1.3.6.1.4.1.13742.6.5.4.3.1.4": (100.0, "the same, of the outlets' power factors"),
    "1.3.6.1.4.1.476.1.42.3.8.30.40.1.22": (100.0, "it takes hundredths of an ampere for amperes: 242 A of a 16 A PDU"),
    "1.3.6.1.4.1.476.1.42.3.8.40.20.1.130": (100.0, "it states the divisor of 100 and does not apply it"),
}


def test_outlets_have_names_of_their_own_and_are_on_off_or_unknown(witness: Witness) -> None:
    witness.needs(PowerOutlets)
    if witness.name in METERS_ONLY:
        pytest.skip("this recording has no outlets")
    outlets = witness.ask(lambda pdu: pdu.outlets())
    assert outlets
    assert len({outlet.name for outlet in outlets}) == len(outlets) == OUTLETS.get(witness.name, len(outlets))
    assert {type(outlet.on) for outlet in outlets} <= {bool, type(None)}
    numbered = [int(outlet.name) for outlet in outlets if outlet.name.isdigit()]
    assert numbered == sorted(numbered)


def test_what_is_not_metered_is_none_and_what_is_has_its_unit(witness: Witness) -> None:
    witness.needs(PowerOutlets)
    if witness.name in METERS_ONLY:
        pytest.skip("this recording has no outlets")
    for outlet in witness.ask(lambda pdu: pdu.outlets()):
        for reading, unit in ((outlet.power, Unit.WATT), (outlet.current, Unit.AMPERE)):
            if reading is not None:
                assert reading.unit is unit
                assert reading.quality is not Quality.GOOD or reading.number >= 0


def test_a_pdu_without_outlets_says_so_and_is_still_a_meter(witness: Witness) -> None:
    if witness.name not in METERS_ONLY:
        pytest.skip("this PDU has outlets")

    async def question(pdu: Pdu) -> None:
        with pytest.raises(Unsupported, match="reports none"):
            await pdu.outlets()
        with pytest.raises(Unsupported, match="no such outlet"):
            await pdu.switch("1", on=True)
        assert (await pdu.input_power()).usable

    witness.ask(question)


def test_the_power_drawn_in_all_is_in_watts_and_no_less_than_its_outlets(witness: Witness) -> None:
    witness.needs(PowerInlet)

    async def question(pdu: Pdu) -> None:
        power = await pdu.input_power()
        assert power.unit is Unit.WATT
        assert power.usable
        outlets = () if witness.name in METERS_ONLY else await pdu.outlets()
        drawn = sum(outlet.power.number for outlet in outlets if outlet.power is not None and outlet.power.usable)
        # Half a percent and ten watts: the values are not of one instant, and each is rounded.
        assert drawn <= power.number * 1.005 + 10 or not power.number

    witness.ask(question)


def test_an_outlet_that_does_not_exist_is_unsupported(witness: Witness) -> None:
    witness.needs(PowerOutlets)

    async def question(pdu: Pdu) -> None:
        with pytest.raises(Unsupported, match="there is no such outlet"):
            await pdu.switch("no-such-outlet", on=False)

    witness.ask(question)


def test_a_switched_outlet_reads_back(witness: Witness) -> None:
    """Only of the simulated rack: recordings and hardware on a bench are only read."""
    if witness.kind != "simulated":
        pytest.skip("read only")

    async def question(pdu: Pdu) -> None:
        last = (await pdu.outlets())[-1]
        assert last.on is not None
        try:
            assert (await pdu.switch(last.name, on=not last.on)).on is not last.on
            assert {outlet.name: outlet.on for outlet in await pdu.outlets()}[last.name] is not last.on
        finally:
            assert (await pdu.switch(last.name, on=last.on)).on is last.on

    witness.ask(question)


def test_a_recorded_pdu_reads_as_the_independent_reader_reads_it(witness: Witness) -> None:
    """Every value that both read, compared by its OID; contradictions are named with their reason."""
    sensors = witness.sensors()
    if not sensors:
        pytest.skip("nobody else has read this device")

    async def question(pdu: Pdu) -> int:
        samples = {(each.channel.quantity, each.channel.part): each.reading for each in await pdu.sample()}
        compared = 0
        for name, places in pdu._places.items():
            point = pdu._profile.points[name]
            for place, index in places.items():
                oid = ".".join(map(str, oid_of(point.oid, index)))
                part = f"{name.partition('.')[0]}-{place}" if place else ""
                if oid not in sensors or (name, part) not in samples or point.format == "state":
                    continue
                factor = next((by for start, (by, _) in CONTRADICTIONS.items() if oid.startswith(start)), 1.0)
                if oid.startswith("1.3.6.1.4.1.13742.6.5.4.3.1.4") and not oid.endswith(".7"):
                    factor = 1.0
                assert samples[name, part].number * factor == pytest.approx(sensors[oid]["sensor_current"]), oid
                compared += 1
        return compared

    assert witness.ask(question) >= 5
