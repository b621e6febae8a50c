"""CDUs: the loop, its pumps, every leak detector by itself, over Modbus TCP."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TypeVar

import pytest

from drivers.cdu.registers import Cdu
from drivers.cdu.registers import connect_registers as connect
from harness.capabilities import (
    CoolantLoop,
    FirmwareInventory,
    Identity,
    Inventory,
    LeakDetection,
    LeakState,
    Telemetry,
)
from harness.connection import Connection, Driver, Option
from harness.errors import DefinitionError, Unreachable, Unsupported
from harness.quantities import Quality, Unit

T = TypeVar("T")


class Registers:
    """A Modbus TCP peer with the registers of one unit (MODBUS Messaging on TCP/IP V1.0b); others it refuses."""

    def __init__(self, registers: dict[int, int]) -> None:
        self.registers = registers
        self.silent = False
        self._serving: list[asyncio.Task[None] | None] = []
        self._server: asyncio.Server | None = None

    async def start(self) -> int:
        """The port it listens on."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Close everything."""
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()
        await asyncio.gather(*filter(None, self._serving))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._serving.append(asyncio.current_task())
        while request := await reader.read(12):
            if self.silent:
                continue
            first, count = int.from_bytes(request[8:10], "big"), int.from_bytes(request[10:12], "big")
            found = [self.registers.get(first + at) for at in range(count)]
            if None in found or request[6] != 12:
                body = bytes([request[6], 0x83, 2])
            else:
                octets = b"".join((word or 0).to_bytes(2, "big") for word in found)
                body = bytes([request[6], 3, len(octets)]) + octets
            writer.write(request[:4] + len(body).to_bytes(2, "big") + body)
            await writer.drain()
        writer.close()


def words(text: str, count: int) -> list[int]:
    octets = text.encode().ljust(2 * count, b"\x00")
    return [int.from_bytes(octets[at : at + 2], "big") for at in range(0, 2 * count, 2)]


def pumping_unit() -> dict[int, int]:
    """An Open Rack v3 pumping unit by its register map: 27.4 L/min, 35.0 and 44.6 degC, two pumps."""
    registers: dict[int, int] = dict.fromkeys([*range(6561, 6573), *range(36864, 36920), *range(37376, 37379)], 0)
    for first, count, text in ((6596, 8, "RPU-100-B"), (6604, 8, "RPU-100"), (6616, 8, "C1"), (6632, 4, "0311")):
        registers |= dict(enumerate(words(text, count), first))
    registers |= {36864: 274, 36865: 350, 36866: 446, 36867: 2105, 36868: (-52) & 0xFFFF}
    return registers | {36874: 4100, 36875: 4080, 36882: 2, 36883: 2}


def connection(port: int, *, family: str = "orv3-rpu", **options: Option) -> Connection:
    return Connection(
        "cdu-1",
        f"modbus+tcp://127.0.0.1:{port}",
        profile=family,
        options={"unit": 12, "timeout": 10.0, **options},
        now=lambda: datetime(2026, 1, 1, tzinfo=UTC),
    )


def use(registers: dict[int, int], question: Callable[[Cdu, Registers], Awaitable[T]], **options: Option) -> T:
    async def run() -> T:
        peer = Registers(registers)
        cdu = connect(connection(await peer.start(), family="orv3-rpu", **options))
        try:
            await cdu.open()
            return await question(cdu, peer)
        finally:
            await cdu.close()
            await peer.stop()

    return asyncio.run(run())


def test_it_satisfies_its_capabilities() -> None:
    cdu = connect(connection(502))
    for capability in (Driver, Identity, Inventory, FirmwareInventory, CoolantLoop, LeakDetection, Telemetry):
        assert isinstance(cdu, capability)
    assert cdu.polling_floor == 0.2


def test_a_unit_is_read_whole() -> None:
    async def question(cdu: Cdu, _: Registers) -> None:
        who = await cdu.identify()
        assert (who.model, who.part_number, who.serial, who.firmware) == ("RPU-100", "RPU-100-B", "C1", "0311")
        assert [(each.component, each.version) for each in await cdu.firmware()] == [("controller", "0311")]
        loop = await cdu.coolant()
        assert loop.flow.number == pytest.approx(27.4)
        assert loop.flow.unit is Unit.LITRE_PER_MINUTE
        assert loop.supply_temperature.number == pytest.approx(35.0)
        assert loop.return_temperature.number == pytest.approx(44.6)
        assert loop.supply_pressure is not None
        assert loop.return_pressure is not None
        assert loop.supply_pressure.number == pytest.approx(210.5)
        assert loop.return_pressure.number == pytest.approx(-5.2)
        assert [(pump.name, pump.running, pump.healthy) for pump in await cdu.pumps()] == [
            ("pump-1", True, True),
            ("pump-2", True, True),
        ]
        assert [(part.name, part.kind) for part in await cdu.parts()] == [("pump-1", "pump"), ("pump-2", "pump")]
        assert {leak.state for leak in await cdu.leaks()} == {LeakState.DRY}
        samples = await cdu.sample()
        assert [each.channel for each in samples] == list(cdu.channels())
        assert all(each.reading.quality is Quality.GOOD for each in samples)
        assert samples[-1].reading.value == 0

    use(pumping_unit(), question)


@pytest.mark.parametrize(
    ("register", "value", "detector", "state"),
    [
        (37378, 1 << 4, "internal", LeakState.WET),
        (37378, 1 << 5, "external", LeakState.WET),
        (37378, 1 << 7, "optional-2", LeakState.WET),
        (37378, 1 << 9, "exchanger-floor", LeakState.WET),
        (37378, 1 << 11, "exchanger-floor-relay", LeakState.WET),
        (37378, 1 << 12, "exchanger-pan", LeakState.FAULT),
        (37378, 1 << 13, "exchanger-floor", LeakState.FAULT),
        (6566, 1, "external", LeakState.WET),
    ],
)
def test_every_leak_bit_is_a_leak_of_its_own(register: int, value: int, detector: str, state: LeakState) -> None:
    async def question(cdu: Cdu, peer: Registers) -> None:
        peer.registers[register] = value
        states = {leak.name: leak.state for leak in await cdu.leaks()}
        assert {name: found for name, found in states.items() if found is not LeakState.DRY} == {detector: state}
        assert (await cdu.sample())[-1].reading.value == 1

    use(pumping_unit(), question)


def test_chassis_stop_bits_are_no_leaks() -> None:
    async def question(cdu: Cdu, peer: Registers) -> None:
        peer.registers[37378] = 0b1111
        assert {leak.state for leak in await cdu.leaks()} == {LeakState.DRY}

    use(pumping_unit(), question)


def test_a_sensor_in_fault_gives_a_bad_reading_not_its_number() -> None:
    async def question(cdu: Cdu, peer: Registers) -> None:
        peer.registers[37376] = 1 << 4
        loop = await cdu.coolant()
        assert loop.flow.quality is Quality.BAD
        assert loop.supply_temperature.quality is Quality.GOOD
        bad = [str(each.channel) for each in await cdu.sample() if each.reading.quality is Quality.BAD]
        assert bad == ["cdu-1.coolant.flow"]

    use(pumping_unit(), question)


def test_a_temperature_beyond_belief_is_bad() -> None:
    async def question(cdu: Cdu, peer: Registers) -> None:
        peer.registers[36865] = 3500
        assert (await cdu.coolant()).supply_temperature.quality is Quality.BAD

    use(pumping_unit(), question)


def test_a_pump_that_should_turn_and_does_not_is_not_healthy() -> None:
    async def question(cdu: Cdu, peer: Registers) -> None:
        peer.registers[36875] = 0
        first, second = await cdu.pumps()
        assert first.healthy is True
        assert (second.running, second.healthy) == (True, False)
        assert [part.healthy for part in await cdu.parts()] == [True, False]

    use(pumping_unit(), question)


def test_pumps_are_those_that_ever_ran_or_those_that_the_bay_names() -> None:
    async def names(cdu: Cdu, _: Registers) -> list[str]:
        return [pump.name for pump in await cdu.pumps()]

    assert use(pumping_unit() | {36874: 0, 36882: 0}, names) == ["pump-1", "pump-2"]
    assert use(pumping_unit() | {36917: 12}, names) == ["pump-1", "pump-2", "pump-3"]
    assert use(pumping_unit() | {36874: 0, 36875: 0, 36882: 0, 36883: 0}, names, pumps=2) == ["pump-1", "pump-2"]
    at_rest = use(pumping_unit() | {36874: 0, 36875: 0, 36882: 0, 36883: 0}, names)
    assert len(at_rest) == 4  # nothing tells them apart: too many fail the parts list, too few would pass it


def test_what_this_firmware_lacks_is_left_out_and_what_is_needed_is_missed() -> None:
    registers = pumping_unit()
    for register in [*range(6561, 6573), 36867, 36868, *range(36912, 36920)]:
        del registers[register]

    async def question(cdu: Cdu, _: Registers) -> None:
        loop = await cdu.coolant()
        assert (loop.supply_pressure, loop.return_pressure) == (None, None)
        assert "coolant.supply.pressure" not in [each.quantity for each in cdu.channels()]
        assert {leak.state for leak in await cdu.leaks()} == {LeakState.DRY}
        assert all(each.reading.quality is Quality.GOOD for each in await cdu.sample())

    use(registers, question)
    del registers[37378]
    with pytest.raises(Unsupported, match=r"leak\.live"):
        use(registers, question)


def test_silence_raises() -> None:
    async def question(cdu: Cdu, peer: Registers) -> None:
        peer.silent = True
        for call in (cdu.sample, cdu.leaks, cdu.coolant, cdu.pumps):
            with pytest.raises(Unreachable):
                await call()

    use(pumping_unit(), question, timeout=0.5)


def test_a_wrong_profile_or_option_is_told_before_the_first_contact() -> None:
    with pytest.raises(DefinitionError, match="for the driver power_shelf"):
        connect(connection(502, family="orv3-psu"))
    with pytest.raises(DefinitionError, match="did you mean 'orv3-rpu'"):
        connect(connection(502, family="orv3-rpu2"))
    with pytest.raises(DefinitionError, match="did you mean 'pumps'"):
        connect(connection(502, pump=2))


def test_what_cannot_be_true_is_bad_and_said_and_a_limit_is_something_else() -> None:
    async def question(cdu: Cdu, peer: Registers) -> None:
        peer.registers[36865] = 3500  # tenths taken for hundredths: 350 degC
        loop = await cdu.coolant()
        assert loop.supply_temperature.quality is Quality.BAD
        assert loop.return_temperature.quality is Quality.GOOD
        assert cdu.doubts() == ("coolant.supply.temperature: 350 degC from register 36865 lies outside of -20 … 120",)
        peer.registers[36865] = 350
        assert (await cdu.coolant()).supply_temperature.usable
        assert cdu.doubts() == ()

    use(pumping_unit(), question)
