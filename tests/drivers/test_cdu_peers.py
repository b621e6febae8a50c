"""The driver tells a CDU what to do: the simulated one, whose coolant follows, and registers of pymodbus' server."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import cast

import pytest
from pymodbus.client import AsyncModbusTcpClient
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from drivers.cdu.registers import Cdu, connect_registers
from fixtures.clock import SteppedClock
from fixtures.views.cdu import serve_cdu
from fixtures.world import RackWorld
from harness.connection import Connection
from harness.controls import CoolantControl, CoolantMode
from harness.rack.load import load_model, model_path

UNIT = 12
FLOW, TEMPERATURE, WORD = 37888, 37889, 37904


def connected(address: str) -> Cdu:
    options = {"unit": UNIT, "timeout": 10.0}
    return connect_registers(Connection("cdu-1", address, "orv3-rpu", options=options, now=lambda: datetime.now(UTC)))


def in_the_simulated_rack(question: Callable[[Cdu, RackWorld, SteppedClock], Awaitable[None]]) -> None:
    async def run() -> None:
        clock = SteppedClock()
        world = RackWorld(load_model(model_path("bench4")), clock)
        for tray in world.layout.trays:
            world.set_load(tray, "test", 1.0)
        clock.advance(300)
        serving = await serve_cdu(world, "cdu-1", unit=UNIT)
        cdu = connected(serving.address)
        try:
            await cdu.open()
            await question(cdu, world, clock)
        finally:
            await cdu.close()
            await serving.close()

    asyncio.run(run())


def test_the_simulated_coolant_follows_the_set_point() -> None:
    async def question(cdu: Cdu, _world: RackWorld, clock: SteppedClock) -> None:
        assert isinstance(cdu, CoolantControl)
        before = await cdu.coolant()
        await cdu.set_supply_temperature(31.0)
        clock.advance(300)
        after = await cdu.coolant()
        assert before.supply_temperature.number == pytest.approx(35.0, abs=0.8)
        assert after.supply_temperature.number == pytest.approx(31.0, abs=0.8)
        assert after.flow.number == pytest.approx(before.flow.number, rel=0.05)
        await cdu.set_flow(20.0)
        clock.advance(200)
        assert (await cdu.coolant()).flow.number == pytest.approx(20.0, rel=0.05)
        assert [point.value.number for point in await cdu.set_points()] == pytest.approx([20.0, 31.0])

    in_the_simulated_rack(question)


def test_the_simulated_pumps_stop_and_start_again() -> None:
    async def question(cdu: Cdu, _world: RackWorld, clock: SteppedClock) -> None:
        flowing = (await cdu.coolant()).flow.number
        assert await cdu.set_mode(CoolantMode.STOPPED) is CoolantMode.STOPPED
        clock.advance(30)
        assert (await cdu.coolant()).flow.number < 0.1 * flowing
        assert [pump.running for pump in await cdu.pumps()] == [False, False]
        assert await cdu.set_mode(CoolantMode.AUTOMATIC) is CoolantMode.AUTOMATIC
        clock.advance(120)
        assert (await cdu.coolant()).flow.number == pytest.approx(flowing, rel=0.1)
        assert [pump.running for pump in await cdu.pumps()] == [True, True]

    in_the_simulated_rack(question)


def test_what_the_bounds_forbid_never_reaches_the_simulated_unit() -> None:
    async def question(cdu: Cdu, world: RackWorld, _clock: SteppedClock) -> None:
        with pytest.raises(ValueError, match="may be set within 18 … 45 degC"):
            await cdu.set_supply_temperature(50.0)  # the unit itself would take it
        assert world.truth().cdus["cdu-1"].targets.supply == 35.0

    in_the_simulated_rack(question)


def test_another_implementation_holds_what_was_written() -> None:
    """pymodbus' server and pymodbus' client agree on the raw words: scale and register are the map's."""

    async def run() -> None:
        held: dict[int, int] = dict.fromkeys(
            [*range(6561, 6573), *range(6596, 6640), *range(36864, 36878), *range(36882, 36886), *range(36912, 36920)],
            0,
        )
        held |= dict.fromkeys([*range(37376, 37379), *range(37888, 37893), *range(37904, 37906)], 0)
        held |= {FLOW: 250, TEMPERATURE: 350, WORD: 1 << 3, 36874: 3000, 36882: 2}
        data = [SimData(at, values=[word], datatype=DataType.REGISTERS) for at, word in sorted(held.items())]
        server = ModbusTcpServer(SimDevice(UNIT, simdata=data), address=("127.0.0.1", 0))
        await server.serve_forever(background=True)
        port = cast(asyncio.Server, server.transport).sockets[0].getsockname()[1]
        cdu = connected(f"modbus+tcp://127.0.0.1:{port}")
        other = AsyncModbusTcpClient("127.0.0.1", port=port)
        try:
            await cdu.open()
            assert (await cdu.set_flow(123.4)).value.number == pytest.approx(123.4)
            assert (await cdu.set_supply_temperature(21.5)).value.number == pytest.approx(21.5)
            assert await cdu.set_mode(CoolantMode.MANUAL) is CoolantMode.MANUAL
            await other.connect()
            read = await other.read_holding_registers(FLOW, count=2, device_id=UNIT)
            word = await other.read_holding_registers(WORD, count=1, device_id=UNIT)
            assert [*read.registers, *word.registers] == [1234, 215, 1 << 9 | 1 << 1]
        finally:
            other.close()
            await cdu.close()
            await server.shutdown()  # type: ignore[no-untyped-call]

    asyncio.run(run())
