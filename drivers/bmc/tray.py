"""The compute tray, as its BMC presents it over Redfish."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime

from drivers.bmc.boards import board_part
from drivers.bmc.events import stream_events
from drivers.bmc.inventory import firmware, identity, part
from drivers.bmc.log import clear_logs, read_logs
from drivers.bmc.ports import read_links
from drivers.bmc.power import boot_of, read_power, set_boot, set_power
from drivers.bmc.telemetry import LEAK_QUANTITY, Source, board_sources, choose_sources
from drivers.bmc.tree import Tree, discover
from drivers.bmc.trust import read_certificates, read_integrity
from drivers.resources.leak import leaks, wet_count
from drivers.resources.members import read_members
from drivers.resources.reading import ReadPlan, carry_out, plan_reads, together
from drivers.resources.reports import choose_reports
from drivers.resources.sensors import SensorList
from drivers.resources.values import Json, link, missing, natural, sensor_reading
from drivers.resources.writing import Writer
from drivers.transports.redfish import RedfishWire
from harness.capabilities import Firmware, Identified, Leak, LogEntry, Part
from harness.controls import Boot, CertificateOnDevice, DeviceEvent, Integrity, PowerState
from harness.errors import Unreachable, Unsupported
from harness.physical import PhysicalLink
from harness.quantities import Channel, Quality, Reading, Sample
from harness.sensors import Sensor

POLLING_FLOOR = 0.5
"""Wall seconds, for the few values that are judged."""
WHOLE_FLOOR = 1.0
"""The same for every sensor: the minimum collection interval that a recorded GB300 tray states for its own reports."""


class ComputeTray:
    """Identity, inventory, firmware, log, telemetry, leak detectors and what proves them; and power and boot source."""

    def __init__(
        self,
        wire: RedfishWire,
        writer: Writer,
        now: Callable[[], datetime],
        max_age: float,
        chosen: dict[str, str],
        *,
        every_sensor: bool = False,
    ) -> None:
        self._device = writer.device
        self._writer = writer
        self._wire = wire
        self._now = now
        self._max_age = max_age
        self._chosen = chosen
        self._every_sensor = every_sensor
        self._tree: Tree | None = None
        self._sources: tuple[Source, ...] = ()
        self._sensors = ReadPlan((), {}, ())
        self._detectors = ReadPlan((), {}, ())
        self._every: SensorList | None = None

    @property
    def device(self) -> str:
        return self._device

    @property
    def polling_floor(self) -> float:
        return WHOLE_FLOOR if self._every_sensor else POLLING_FLOOR

    async def open(self) -> None:
        """Log in and discover the tray; what is found is kept until `close`. Raises DeviceError."""
        await self._wire.open()
        tree = await discover(self._wire, self._device)
        sources = choose_sources(tree, self._device, self._chosen)
        self._sources = (*sources, *board_sources(tree, self._device, sources)) if self._every_sensor else sources
        wanted = {source.path for source in self._sources if source.path}
        known = {path: tree.all_sensors[path] for path in sorted(wanted) if path in tree.all_sensors}
        reported = await choose_reports(
            self._wire, tree.reports, known, self._device, now=self._now(), max_age=self._max_age
        )
        self._sensors = await plan_reads(self._wire, tree.sensors, wanted, expands=tree.expands, reported=reported)
        every = {path for each in tree.detectors for path in each.members}
        self._detectors = await plan_reads(self._wire, tree.detectors, every, expands=tree.expands)
        homes = {each.owner: each.name for each in reversed(tree.boards)} | dict(tree.homes)
        self._every = await SensorList.of(
            self._wire, tree.sensors, homes, tree.spoken, self._max_age, expands=tree.expands
        )
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
        boards = (path for board in tree.boards for path in (board.owner, board.assembly) if path)
        found = await self._wire.gather((*(place.path for place in tree.places), *boards))
        every = (*(part(each, found[each.path]) for each in tree.places), *(board_part(b, found) for b in tree.boards))
        return tuple(sorted(every, key=lambda each: natural(each.name)))

    async def sensors(self) -> Sequence[Sensor]:
        """Read every sensor of every chassis; one that cannot be read is listed without a value."""
        self._known("list its sensors")
        return () if self._every is None else await self._every.read(self._wire, self._device, self._now())

    async def physical_links(self) -> Sequence[PhysicalLink]:
        """Read the ports of its accelerators, processors and network adapters: `accelerator-0/NVLink_3`."""
        tree = self._known("read its links")
        return await read_links(self._wire, tree.ports, self._device, self._now(), expands=tree.expands)

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
        """Read every leak detector, ahead of whatever else is being read; one that cannot be read is unknown."""
        self._known("read its leak detectors")
        return leaks(await carry_out(self._wire.ahead, self._detectors, self._device, self._wire.timeout))

    async def clear_log(self) -> Sequence[LogEntry]:
        """Clear every event log; returns what was in them."""
        return await clear_logs(self._writer, self._known("clear its log").log_owners)

    async def power(self) -> PowerState:
        """Read whether the system has main power."""
        return await read_power(self._writer, self._system("read its power"))

    async def set_power(self, state: PowerState, *, force: bool = False) -> PowerState:
        """Switch main power; returns once it reads back (option `change_timeout`, wall seconds)."""
        return await set_power(self._writer, self._system("switch its power"), state, force=force)

    async def boot(self) -> Boot:
        """Read what the system starts from next: the pending setting where there is one, else the present one."""
        system = await self._wire.get(self._system("read its boot source"))
        pending = link(system, "@Redfish.Settings", "SettingsObject")
        return boot_of((await self._wire.find(pending) if pending else None) or system)

    async def set_boot(self, target: str, *, once: bool = True) -> Boot:
        """Direct the next start; returns once it reads back."""
        return await set_boot(self._writer, self._system("set its boot source"), target, once=once)

    async def certificates(self) -> Sequence[CertificateOnDevice]:
        """Read the certificates that the BMC holds."""
        tree = self._known("list its certificates")
        return await read_certificates(self._wire, tree.certificates, tree.managers, self._device)

    async def integrity(self) -> Sequence[Integrity]:
        """Read which components can attest their firmware."""
        tree = self._known("list what it can attest")
        return await read_integrity(self._wire, tree.integrity, tree.homes, self._device)

    def events(self, idle: float = 60.0) -> AsyncIterator[DeviceEvent]:
        """Listen to the BMC's events; `idle` in wall seconds."""
        tree = self._known("listen to its events")
        if not tree.events:
            raise Unsupported(self._device, "listen to its events", "it offers no stream", "Sample it instead.")
        return stream_events(self._wire, tree.events, self._device, self._now, idle=idle)

    def channels(self) -> Sequence[Channel]:
        """The channels, fixed after `open`."""
        return tuple(source.channel for source in self._sources)

    async def sample(self) -> Sequence[Sample]:
        """Read every channel once; raises where the BMC answers nothing at all."""
        self._known("sample")
        plan = together(self._sensors, self._detectors)
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

    def _system(self, attempt: str) -> str:
        path = self._known(attempt).system
        if not path:
            raise Unsupported(self._device, attempt, "it has no computer system", "Check that this is a tray's BMC.")
        return path

    def _known(self, attempt: str) -> Tree:
        if self._tree is None:
            raise Unreachable(self._device, attempt, "the device is not open", "Open the device first.")
        return self._tree
