"""PDUs: a recorded APC and a recorded Raritan, and outlets that switch, refuse, lag and lie."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

import pytest

from drivers.pdu import Pdu, connect
from harness.capabilities import FirmwareInventory, Identity, PowerInlet, PowerOutlets, Telemetry
from harness.connection import Connection, Driver, Option, Secret
from harness.errors import DefinitionError, Misbehaved, Refused, Unreachable, Unsupported
from harness.quantities import Quality, Unit

if TYPE_CHECKING:
    from tests.drivers.conftest import Agents

T = TypeVar("T")
Recorded = Callable[[str], dict[str, list[str]]]
APC = "1.3.6.1.4.1.318.1.1.26"
SYSTEM = {"1.3.6.1.2.1.1.2.0": ["objectid", ".1.3.6.1.4.1.318.1.3.4.6"]}


def connection(
    port: int, profile: str = "apc-rpdu2", *, version: int = 2, community: str = "public", timeout: float = 10.0
) -> Connection:
    options: dict[str, Option] = {"version": version, "timeout": timeout}
    secrets = {
        "community": Secret("community", community),
        "auth": Secret("auth", "authentic-key"),
        "privacy": Secret("privacy", "private-key"),
    }
    return Connection(
        "pdu-a",
        f"snmp://127.0.0.1:{port}",
        profile=profile,
        user="bench" if version == 3 else "",
        secrets=secrets,
        options=options,
        now=lambda: datetime(2026, 1, 1, tzinfo=UTC),
    )


def use(what: Connection, question: Callable[[Pdu], Awaitable[T]]) -> T:
    async def run() -> T:
        pdu = connect(what)
        assert isinstance(pdu, Pdu)
        try:
            await pdu.open()
            return await question(pdu)
        finally:
            await pdu.close()

    return asyncio.run(run())


def apc(outlets: int = 3, *, power: int = 16, metered: bool = True) -> dict[str, list[str]]:
    """Tables of an APC rack PDU by PowerNet-MIB: outlets off (1) but for the second (2)."""
    table = {
        **SYSTEM,
        f"{APC}.2.1.6.1": ["octet", "76 36 2e 38 2e 32"],
        f"{APC}.2.1.8.1": ["octet", "41 50 38 39 33 32"],
        f"{APC}.2.1.9.1": ["octet", "35 41 31 39"],
        f"{APC}.4.3.1.5.1": ["integer", str(power)],
    }
    for outlet in range(1, outlets + 1):
        table[f"{APC}.9.2.3.1.5.{outlet}"] = ["integer", "2" if outlet == 2 else "1"]
        table[f"{APC}.9.2.3.1.6.{outlet}"] = ["integer", "2"]
        table[f"{APC}.9.2.4.1.5.{outlet}"] = ["integer", "4"]
        if metered:
            table[f"{APC}.9.4.3.1.6.{outlet}"] = ["gauge", "9"]
            table[f"{APC}.9.4.3.1.7.{outlet}"] = ["gauge", "163"]
    return table


def rule(*, looks: int = 0, says: str = "DONE", obeys: bool = True) -> dict[str, object]:
    """Command 1 (on) makes the state 2, command 2 (off) makes it 1."""
    moves = {"1": "2", "2": "1"} if obeys else {}
    return {"control": f"{APC}.9.2.4.1.5", "state": f"{APC}.9.2.3.1.5", "map": moves, "looks": looks, "says": says}


def start(agents: Agents, table: dict[str, list[str]], *rules: dict[str, object]) -> int:
    return agents.start(table, roots=("1.3.6.1.2.1.1", "1.3.6.1.4.1.318"), rules=rules)


def test_it_satisfies_its_capabilities() -> None:
    pdu = connect(connection(1161))
    for capability in (Driver, Identity, FirmwareInventory, PowerOutlets, PowerInlet, Telemetry):
        assert isinstance(pdu, capability)


def test_a_recorded_apc_is_read_right(agents: Agents, recorded: Recorded) -> None:
    """AP8932: 24 outlets; 0.16 kW; not metered by outlet."""
    table = recorded("pdu/snmpsimdata_apc-8932")
    port = start(agents, table)
    # The control object reads back 1 for an outlet that is on and 2 for one that is off: a second witness.
    commanded = {str(number): table[f"{APC}.9.2.4.1.5.{number}"][1] == "1" for number in range(1, 25)}

    async def question(pdu: Pdu) -> None:
        who = await pdu.identify()
        assert (who.manufacturer, who.model, who.serial, who.firmware) == ("APC", "AP8932", "3F503A169043", "6.7.2")
        assert [each.component for each in await pdu.firmware()] == ["os"]
        power = await pdu.input_power()
        assert (power.value, power.unit) == (160.0, Unit.WATT)
        outlets = await pdu.outlets()
        assert {outlet.name: outlet.on for outlet in outlets} == commanded
        assert [outlet.name for outlet in outlets] == list(commanded)
        assert {outlet.power for outlet in outlets} == {None}
        assert not [channel for channel in pdu.channels() if channel.quantity == "outlet.power"]

    use(connection(port), question)


def test_a_recorded_raritan_is_read_right(agents: Agents, recorded: Recorded) -> None:
    """PX3: decimals as the device says; the expected values are LibreNMS' own decoding."""
    port = agents.start(recorded("pdu/raritan-pdu_px3"), roots=("1.3.6.1.2.1.1", "1.3.6.1.4.1.13742"))

    async def question(pdu: Pdu) -> None:
        who = await pdu.identify()
        assert (who.manufacturer, who.model, who.firmware) == ("Raritan", "PX3-5493U-K2", "4.2.0.5-50274")
        outlets = {outlet.name: outlet for outlet in await pdu.outlets()}
        assert len(outlets) == 24
        assert outlets["1"].on is True
        current, power = outlets["1"].current, outlets["1"].power
        assert current is not None
        assert power is not None
        assert current.number == pytest.approx(0.633)
        assert current.unit is Unit.AMPERE
        assert (power.value, power.unit) == (143.0, Unit.WATT)
        assert (await pdu.input_power()).usable

    use(connection(port, "raritan-px2"), question)


@pytest.mark.parametrize("version", [2, 3])
def test_an_outlet_is_switched_and_read_back(agents: Agents, version: int) -> None:
    port = start(agents, apc(), rule(looks=2))

    async def question(pdu: Pdu) -> None:
        assert (await pdu.switch("1", on=True)).on is True
        assert (await pdu.switch("2", on=False)).on is False
        assert {outlet.name: outlet.on for outlet in await pdu.outlets()} == {"1": True, "2": False, "3": False}

    use(connection(port, version=version), question)


def test_an_error_is_not_believed_where_the_outlet_switched(agents: Agents) -> None:
    """AP8965 answers genErr and switches."""
    port = start(agents, apc(), rule(says="wrong-value"))

    async def question(pdu: Pdu) -> None:
        with pytest.raises(Unsupported):  # wrongValue is a statement about our request
            await pdu.switch("1", on=True)

    use(connection(port), question)
    port = start(agents, apc(), rule(says="commit-failed"))

    async def lies(pdu: Pdu) -> None:
        assert (await pdu.switch("1", on=True)).on is True

    use(connection(port), lies)


def test_an_outlet_that_does_not_follow_misbehaves(agents: Agents, monkeypatch: pytest.MonkeyPatch) -> None:
    port = start(agents, apc(), rule(obeys=False))

    async def question(pdu: Pdu) -> None:
        impatient = pdu._profile.switching["outlet"].model_copy(update={"deadline": 0.3})
        pdu._profile.switching["outlet"] = impatient
        with pytest.raises(Misbehaved, match=r"still reads off after 0\.3 s"):
            await pdu.switch("1", on=True)

    use(connection(port), question)


def test_a_read_only_community_is_refused(agents: Agents) -> None:
    port = start(agents, apc(), rule())

    async def question(pdu: Pdu) -> None:
        with pytest.raises(Refused):
            await pdu.switch("1", on=True)

    use(connection(port, community="readonly"), question)


def test_an_outlet_that_does_not_exist_is_named(agents: Agents) -> None:
    port = start(agents, apc(), rule())

    async def question(pdu: Pdu) -> None:
        with pytest.raises(Unsupported, match=r"there is no such outlet.*Its outlets are 1, 2, 3"):
            await pdu.switch("44", on=True)

    use(connection(port), question)


def test_transition_and_unknown_states_are_neither_on_nor_off(agents: Agents) -> None:
    table = apc()
    table[f"{APC}.9.2.3.1.6.2"] = ["integer", "1"]  # a command is pending
    table[f"{APC}.9.2.3.1.5.3"] = ["integer", "9"]  # no state of this family
    port = start(agents, table)

    async def question(pdu: Pdu) -> None:
        assert [outlet.on for outlet in await pdu.outlets()] == [False, None, None]
        qualities = {
            each.channel.part: each.reading.quality
            for each in await pdu.sample()
            if each.channel.quantity == "outlet.on"
        }
        assert qualities == {"outlet-1": Quality.GOOD, "outlet-2": Quality.BAD, "outlet-3": Quality.BAD}

    use(connection(port), question)


def test_every_channel_gets_one_sample_and_what_is_not_measured_is_no_zero(agents: Agents) -> None:
    table = apc(power=-1)
    port = start(agents, table)

    async def question(pdu: Pdu) -> None:
        samples = await pdu.sample()
        assert [each.channel for each in samples] == list(pdu.channels())
        power = next(each.reading for each in samples if each.channel.quantity == "input.power")
        assert power.quality is Quality.BAD
        assert math.isnan(power.number)
        metered = [each.reading for each in samples if each.channel.quantity == "outlet.power"]
        assert [(each.value, each.unit) for each in metered] == [(163.0, Unit.WATT)] * 3
        assert {each.reading.at for each in samples} == {datetime(2026, 1, 1, tzinfo=UTC)}

    use(connection(port), question)


def test_another_make_is_not_taken_for_it(agents: Agents) -> None:
    table = apc() | {"1.3.6.1.2.1.1.2.0": ["objectid", ".1.3.6.1.4.1.13742.6"]}

    async def question(pdu: Pdu) -> None:
        raise AssertionError("it should not have opened")

    with pytest.raises(Misbehaved, match=r"recognise it as APC.*13742"):
        use(connection(start(agents, table)), question)


def test_silence_raises(agents: Agents) -> None:
    port = start(agents, apc())

    async def question(pdu: Pdu) -> None:
        agents.stop(port)
        for call in (pdu.sample, pdu.outlets, pdu.input_power, pdu.identify):
            with pytest.raises(Unreachable):
                await call()

    use(connection(port, timeout=0.5), question)


def test_a_wrong_profile_is_told_with_a_suggestion() -> None:
    with pytest.raises(DefinitionError, match="did you mean 'apc-rpdu2'"):
        connect(connection(1161, "apc-rpdu2x"))
    with pytest.raises(DefinitionError, match="for the driver switch"):
        connect(connection(1161, "standard-switch"))
