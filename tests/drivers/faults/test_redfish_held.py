"""A BMC that sits on its reads: what cuts the power goes past them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from drivers.bmc.power import set_power
from drivers.resources.writing import Writer
from drivers.transports.redfish import IN_FLIGHT, RedfishWire
from harness.controls import PowerState
from tests.drivers.redfish_peer import DEVICE, Bmc, Call, Certificate, logged_in, reply, serving

PATH, ACTION = "/redfish/v1/Systems/1", "/redfish/v1/Systems/1/Actions/ComputerSystem.Reset"
INFO = "/redfish/v1/Systems/1/ResetActionInfo"
SLOW = tuple(f"/slow/{number}" for number in range(3 * IN_FLIGHT))
GUARD = 30.0
"""Wall seconds after which something hangs; the reads are held for longer."""


class Held:
    """A system that is on, and resources that are held until `let_go` is set."""

    def __init__(self, bmc: Bmc) -> None:
        self.power = "On"
        self.let_go = asyncio.Event()
        self.held = asyncio.Semaphore(0)
        """Released once for every request that is held."""
        bmc.answers |= dict.fromkeys((*SLOW, "/held"), self._hold)
        bmc.answers |= {PATH: self._system, INFO: self._info, ACTION: self._reset}

    async def _hold(self, call: Call) -> bytes:
        self.held.release()
        await self.let_go.wait()
        return reply({"@odata.id": call.path})

    async def _system(self, call: Call) -> bytes:
        action = {"target": ACTION, "@Redfish.ActionInfo": INFO}
        return reply({"PowerState": self.power, "Actions": {"#ComputerSystem.Reset": action}})

    async def _info(self, call: Call) -> bytes:
        return reply({"Parameters": [{"Name": "ResetType", "AllowableValues": ["On", "ForceOff"]}]})

    async def _reset(self, call: Call) -> bytes:
        self.power = "Off" if json.loads(call.body)["ResetType"] == "ForceOff" else "On"
        return reply(status=204)


@asynccontextmanager
async def reading(wire: RedfishWire, held: Held) -> AsyncIterator[None]:
    """Reads are on their way, as many as may be, and more wait for them."""
    reads = asyncio.create_task(wire.gather(SLOW))
    for _ in range(IN_FLIGHT):
        await held.held.acquire()
    try:
        yield
        assert not reads.done()
        held.let_go.set()
        assert len(await reads) == len(SLOW)
    finally:
        reads.cancel()
        await asyncio.gather(reads, return_exceptions=True)


def test_a_write_waits_for_no_read(shown: Certificate) -> None:
    async def scenario() -> None:
        async with serving(shown) as bmc, logged_in(bmc, timeout=4 * GUARD) as wire:
            held = Held(bmc)
            async with reading(wire, held), asyncio.timeout(GUARD):
                await wire.send("POST", ACTION, {"ResetType": "ForceOff"})
            assert held.power == "Off"

    asyncio.run(scenario())


def test_power_off_with_all_that_it_reads_waits_for_no_read(shown: Certificate) -> None:
    """It reads the system, which resets it knows, and the system again: none of it stands in the queue."""

    async def scenario() -> None:
        async with serving(shown) as bmc, logged_in(bmc, timeout=4 * GUARD) as wire:
            held = Held(bmc)
            async with reading(wire, held), asyncio.timeout(GUARD):
                assert await set_power(Writer(wire, DEVICE, GUARD), PATH, PowerState.OFF, force=True) is PowerState.OFF
            assert bmc.asked(INFO) == 1
            assert sum(bmc.asked(path) for path in SLOW) == len(SLOW)

    asyncio.run(scenario())


def test_power_off_waits_for_no_other_write(shown: Certificate) -> None:
    async def scenario() -> None:
        async with serving(shown) as bmc, logged_in(bmc, timeout=4 * GUARD) as wire:
            held = Held(bmc)
            async with reading(wire, held):
                other = asyncio.create_task(wire.send("PATCH", "/held", {}))
                await held.held.acquire()
                async with asyncio.timeout(GUARD):
                    await set_power(Writer(wire, DEVICE, GUARD), PATH, PowerState.OFF, force=True)
                assert not other.done()
            await other

    asyncio.run(scenario())
