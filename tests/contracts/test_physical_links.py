"""Links below the packets of a simulated host, read by its tools' own words and by the driver over SSH.

Two witnesses: the simulator prints what the tools' sources print, the driver reads what it knows of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from drivers.host import connect
from drivers.host.node import Host
from fixtures.bits import DIRT, HEALTHY, shares
from fixtures.clock import start
from fixtures.devices import data_addresses
from fixtures.effects import Effects
from fixtures.views.host import serve_host
from fixtures.views.iperf import Exchange
from fixtures.world import RackWorld
from harness.connection import Connection, Option, Secret
from harness.physical import PhysicalLink, PhysicalLinks
from harness.rack.load import load_model, model_path

MODEL = load_model(model_path("bench4"))
PACE = 50.0
DIRTY = 1e-4


def on_host(
    folder: Path,
    question: Callable[[Host, RackWorld], Awaitable[None]],
    *faults: str,
    effects: Effects | None = None,
    **options: Option,
) -> None:
    """Ask the driver of the host of tray-01 in a world with these faults."""

    async def run() -> None:
        world = RackWorld(MODEL, start(PACE), specs=faults)
        if effects is not None:
            world._changed(effects)
        exchange = Exchange(data_addresses(MODEL))
        serving = await serve_host(world, "tray-01", user="u", password="p", home=folder / "h", exchange=exchange)
        host = connect(
            Connection(
                "tray-01-host",
                serving.address,
                user="u",
                secrets={"password": Secret("p", "p")},
                options={**serving.options, "timeout": 60.0, **options},
                now=world.now,
            )
        )
        try:
            await host.open()
            await question(host, world)
        finally:
            await host.close()
            await serving.close()

    asyncio.run(run())


async def links(host: Host) -> dict[str, PhysicalLink]:
    """By interface."""
    return {link.port: link for link in await host.physical_links()}


def grown(first: dict[str, PhysicalLink], later: dict[str, PhysicalLink]) -> bool:
    """Whether every link has corrected codewords since."""
    return all((later[name].corrected or 0) > (link.corrected or 0) for name, link in first.items())


def test_a_sound_link_corrects_a_little_and_loses_nothing(tmp_path: Path) -> None:
    async def question(host: Host, world: RackWorld) -> None:
        assert isinstance(host, PhysicalLinks)
        first = await links(host)
        assert sorted(first) == ["nic-0", "nic-1"]
        async with asyncio.timeout(60):
            while not grown(first, later := await links(host)):
                pass
        for name, link in later.items():
            assert (link.up, link.fec, link.epoch) == (True, "rs-544", first[name].epoch)
            assert link.speed is not None
            assert link.speed.number == 400.0
            assert (link.uncorrectable, link.nearly_lost, link.downs) == (0, 0, 0)
            assert link.raw_ber == pytest.approx(HEALTHY)
            assert link.effective_ber == 0.0
            assert link.transceiver is not None
            assert (link.transceiver.problems, link.transceiver.temperature_warning) == ((), 70.0)
            assert [lane.number for lane in link.lanes] == [0, 1, 2, 3]

    on_host(tmp_path, question)


def test_without_the_firmware_the_kernel_says_the_same_of_codewords(tmp_path: Path) -> None:
    async def question(host: Host, world: RackWorld) -> None:
        link = (await links(host))["nic-0"]
        assert (link.up, link.fec, link.uncorrectable, link.raw_ber, link.effective_ber) == (True, "rs", 0, None, None)
        assert len(link.bins) == 16

    on_host(tmp_path, question, dialect="ethtool")


def test_a_dirty_connector_shows_in_bits_and_light(tmp_path: Path) -> None:
    async def question(host: Host, world: RackWorld) -> None:
        found = await links(host)
        dirty, clean = found["nic-0"], found["nic-1"]
        assert dirty.raw_ber == pytest.approx(DIRTY)
        assert clean.raw_ber == pytest.approx(HEALTHY)
        lit = [lane.rx_power.number for lane in dirty.lanes if lane.rx_power is not None]
        sound = [lane.rx_power.number for lane in clean.lanes if lane.rx_power is not None]
        assert max(a - b for a, b in zip(sound, lit, strict=True)) == pytest.approx(DIRT, abs=0.01)
        assert max(lit) - min(lit) > 2.0 > max(sound) - min(sound)

    on_host(tmp_path, question, effects=Effects(port_ratio={("switch-1", "swp1"): DIRTY}))


def test_a_link_without_a_cable_is_down_and_proves_nothing(tmp_path: Path) -> None:
    async def question(host: Host, world: RackWorld) -> None:
        lost = (await links(host))["nic-1"]
        assert (lost.up, lost.speed, lost.corrected, lost.uncorrectable) == (False, None, None, None)
        assert all("no light" in lane.problems for lane in lost.lanes)

    on_host(tmp_path, question, "switch-1.swp2.cable.unplugged")


@pytest.mark.parametrize("ratio", [1e-15, HEALTHY, 1e-5, DIRTY, 2.4e-4, 0.5])
def test_codewords_are_all_counted_once(ratio: float) -> None:
    found = shares(ratio)
    assert len(found) == 17
    assert all(0 <= share <= 1 for share in found)
    if ratio < 1e-3:
        assert sum(found) == pytest.approx(1.0)


def test_the_limit_of_the_code_is_where_the_standard_has_it() -> None:
    """At 2.4e-4 (KP4) an uncorrectable codeword is a matter of 1e-12; a tenth of that loses nothing at all."""
    assert 1e-13 < shares(2.4e-4)[-1] < 1e-11
    assert shares(2.4e-5)[-1] < 1e-25
