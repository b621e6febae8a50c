"""The compute tray, as its BMC presents it over Redfish."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from drivers.bmc.inventory import firmware, identity, part
from drivers.bmc.leak import leaks, wet_count
from drivers.bmc.log import read_logs
from drivers.bmc.reading import ReadPlan, carry_out, plan_reads
from drivers.bmc.telemetry import LEAK_QUANTITY, Source, choose_sources
from drivers.bmc.tree import Tree, discover, read_members
from drivers.bmc.values import Json, missing, natural, sensor_reading
from drivers.transports.redfish import RedfishWire
from harness.capabilities import Firmware, Identified, Leak, LogEntry, Part
from harness.errors import Unreachable
from harness.quantities import Channel, Quality, Reading, Sample

POLLING_FLOOR = 0.5
"""Wall seconds; a recorded GB300 tray states a minimum collection interval of 1 s for its own reports."""


class ComputeTray:
    """Identity, inventory, firmware, event log, telemetry and leak detectors of one tray."""

    def __init__(
        self, device: str, wire: RedfishWire, now: Callable[[], datetime], max_age: float, chosen: dict[str, str]
    ) -> None:
        self._device = device
        self._wire = wire
        self._now = now
        self._max_age = max_age
        self._chosen = chosen
        self._tree: Tree | None = None
        self._sources: tuple[Source, ...] = ()
        self._sensors = ReadPlan((), {}, ())
        self._detectors = ReadPlan((), {}, ())

    @property
    def device(self) -> str:
        return self._device

    @property
    def polling_floor(self) -> float:
        return POLLING_FLOOR

    async def open(self) -> None:
        """Log in and discover the tray; what is found is kept until `close`. Raises DeviceError."""
        await self._wire.open()
        tree = await discover(self._wire, self._device)
        self._sources = choose_sources(tree, self._device, self._chosen)
        wanted = {source.path for source in self._sources if source.path}
        self._sensors = await plan_reads(self._wire, tree.sensors, wanted, expands=tree.expands)
        every = {path for each in tree.detectors for path in each.members}
        self._detectors = await plan_reads(self._wire, tree.detectors, every, expands=tree.expands)
        self._tree = tree

    async def close(self) -> None:
        """Log out; never raises."""
        self._tree = None
        await self._wire.close()

    async def identify(self) -> Identified:
        """Read who the tray says it is."""
        tree = self._known("identify")
        found = await self._read(tree.system, tree.chassis, tree.manager)
        return identity(*found)

    async def parts(self) -> Sequence[Part]:
        """Read every part; one whose resource has vanished is listed as not present."""
        tree = self._known("list its parts")
        found = await self._wire.gather(place.path for place in tree.places)
        return tuple(
            sorted((part(each, found[each.path]) for each in tree.places), key=lambda each: natural(each.name))
        )

    async def firmware(self) -> Sequence[Firmware]:
        """Read the firmware inventory."""
        tree = self._known("list its firmware")
        images = await read_members(self._wire, tree.firmware, self._device)
        manager, system = await self._read(tree.manager, tree.system)
        parts = await self._wire.gather(place.path for place in tree.places)
        return firmware(tree, images, manager, system, parts)

    async def entries(self) -> Sequence[LogEntry]:
        """Read every event log of the BMC and its systems."""
        return await read_logs(self._wire, self._known("read its log").log_owners, self._device)

    async def leaks(self) -> Sequence[Leak]:
        """Read every leak detector; one that cannot be read is unknown."""
        self._known("read its leak detectors")
        return leaks(await carry_out(self._wire, self._detectors, self._device, self._wire.timeout))

    def channels(self) -> Sequence[Channel]:
        """The channels, fixed after `open`."""
        return tuple(source.channel for source in self._sources)

    async def sample(self) -> Sequence[Sample]:
        """Read every channel once; raises where the BMC answers nothing at all."""
        self._known("sample")
        plan = _together(self._sensors, self._detectors)
        found = await carry_out(self._wire, plan, self._device, self._wire.timeout)
        now = self._now()
        detectors = {path: found.get(path) for path in self._detectors.wanted}
        return tuple(Sample(each.channel, self._reading(each, found, detectors, now)) for each in self._sources)

    def _reading(
        self, source: Source, found: dict[str, Json | None], detectors: dict[str, Json | None], now: datetime
    ) -> Reading:
        if source.channel.quantity == LEAK_QUANTITY:
            return wet_count(detectors, now)
        if not source.path:
            return missing(source.channel.unit, now, Quality.ABSENT)
        sensor = found.get(source.path)
        if sensor is None:
            return missing(source.channel.unit, now)
        return sensor_reading(sensor, source.channel.unit, now, self._max_age)

    async def _read(self, *paths: str) -> list[Json]:
        found = await self._wire.gather(path for path in paths if path)
        return [found.get(path) or {} for path in paths]

    def _known(self, attempt: str) -> Tree:
        if self._tree is None:
            raise Unreachable(self._device, attempt, "the device is not open", "Open the device first.")
        return self._tree


def _together(first: ReadPlan, second: ReadPlan) -> ReadPlan:
    return ReadPlan(
        (*first.wanted, *second.wanted), {**first.expanded, **second.expanded}, (*first.single, *second.single)
    )
