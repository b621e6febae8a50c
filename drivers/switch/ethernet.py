"""One Ethernet switch: what it can be asked, each answered by the module that reads it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from drivers.optics import UNITS, Diode, Optic
from drivers.physical_links import LinkReader
from drivers.points import sample
from drivers.switch import cables, equipment
from drivers.switch.points import SAMPLED
from drivers.switch.survey import NOTHING_YET, Survey, look_over
from drivers.switch.tables import Tables
from drivers.transports.snmp import SnmpLink, Value
from harness.capabilities import Firmware, Identified, Neighbour, Part, Port, Supply
from harness.connection import Connection
from harness.errors import Unsupported
from harness.physical import PhysicalLink
from harness.quantities import Channel, Sample, Unit
from harness.sensors import Sensor

_NOWHERE = -1
"""The ifIndex of a port that is no longer there."""


class Switch:
    """One Ethernet switch. Ports are its Ethernet interfaces, by ifName."""

    def __init__(self, connection: Connection, tables: Tables, link: SnmpLink, below: LinkReader | None) -> None:
        self._connection = connection
        self._tables = tables
        self._link = link
        self._below = below
        """How its links are read below the packets: by its shell, where the bay gives one."""
        self._survey: Survey = NOTHING_YET
        self._channels: tuple[Channel, ...] = ()
        self._numbered: tuple[int, Value] = (0, None)
        """Restarts and ifTableLastChange when the survey was made."""

    @property
    def device(self) -> str:
        return self._connection.device

    @property
    def polling_floor(self) -> float:
        return self._tables.profile.polling_floor

    @property
    def diodes(self) -> tuple[Diode, ...]:
        """The measuring points of its modules, in the order of `optics()`."""
        return self._survey.diodes

    async def open(self) -> None:
        """Find its Ethernet ports, and what it measures of its supplies and optics; raises DeviceError."""
        system = await self._tables.system()
        self._tables.recognise(system)
        survey = self._survey = await look_over(self._tables)
        self._numbered = self._numbering(system)
        units = {name: point.unit for name, point in self._tables.profile.points.items()}
        self._channels = (
            *(Channel(self.device, name, units[name], port) for name in SAMPLED for port in survey.ports.values()),
            *(Channel(self.device, "supply.input.voltage", Unit.VOLT, name) for name in survey.volts),
            *(Channel(self.device, name, units[name], port) for name, of in survey.etherlike.items() for port in of),
            *(Channel(self.device, each.quantity, UNITS[each.quantity], each.part) for each in survey.diodes),
        )

    async def close(self) -> None:
        if self._below is not None:
            await self._below.close()
        await self._link.close()

    async def identify(self) -> Identified:
        """The chassis by ENTITY-MIB, or as its family tells."""
        return await equipment.read_identity(self._tables)

    async def parts(self) -> Sequence[Part]:
        """Its power supplies, fans and modules in ports, by place; what the switch reports empty is not among them."""
        return await equipment.read_parts(self._tables, self._survey)

    async def firmware(self) -> Sequence[Firmware]:
        return (Firmware("os", (await self.identify()).firmware),)

    async def sensors(self) -> Sequence[Sensor]:
        """Every sensor it has, those of the modules in its ports included."""
        await self._renewed()
        return await equipment.read_sensors(self._tables, self._survey, self._connection.now())

    async def optics(self) -> Sequence[Optic]:
        """Every power (dBm) and temperature (degC) of the modules in its ports, with the thresholds of their makers."""
        return await equipment.read_optics(self._tables, self._survey.diodes, self._connection.now())

    async def supplies(self) -> Sequence[Supply]:
        return await equipment.read_supplies(self._tables, self._connection.now())

    async def ports(self) -> Sequence[Port]:
        """Every Ethernet port that has all its counters; one without is left out: an absent counter is not zero."""
        system = await self._renewed()
        return await cables.read_ports(self._tables, self._survey, system, self._connection.now())

    async def neighbours(self) -> Sequence[Neighbour]:
        """What LLDP sees on every port; more than one neighbour on a port is possible."""
        return await cables.read_neighbours(self._tables)

    async def physical_links(self) -> Sequence[PhysicalLink]:
        """Its ports below the packets, asked of its shell; raises Unsupported where the bay gives none."""
        if self._below is None:
            raise Unsupported(
                self.device,
                "read its links below the packets",
                "no MIB has forward error correction or bit error ratios",
                "Give this switch the options shell, shell_user and dialect in the bay file",
            )
        await self._renewed()
        return await self._below.read(tuple(self._survey.ports.values()))

    def channels(self) -> Sequence[Channel]:
        return self._channels

    async def sample(self) -> Sequence[Sample]:
        """One sample a channel; counters carry the instant at which they were counted, where the switch tells it."""
        system = await self._renewed()
        survey, tables = self._survey, self._tables
        counted = [name for name, of in survey.etherlike.items() if of]
        columns = await tables.walk((*SAMPLED, *counted, *tables.has("port.counted")))
        volts = await equipment.read_input_voltages(tables, survey.volts)
        lit = zip(survey.diodes, await equipment.read_diodes(tables, survey.diodes), strict=True)
        light = {(each.quantity, each.part): value for each, value in lit}
        at = self._connection.now()
        places = {name: index for index, name in survey.ports.items()}
        samples = []
        for channel in self.channels():
            if channel.quantity == "supply.input.voltage":
                samples.append(sample(channel, volts.get(channel.part), at))
            elif channel.quantity in UNITS:
                samples.append(sample(channel, light.get((channel.quantity, channel.part)), at))
            else:
                index = places.get(channel.part, _NOWHERE)
                value = tables.decoded(channel.quantity, columns, index) if channel.quantity in columns else None
                instant = cables.instant(columns, index, system["system.uptime"], at)
                samples.append(sample(channel, value, at if channel.quantity == "port.up" else instant))
        return samples

    def _numbering(self, system: Mapping[str, Value]) -> tuple[int, Value]:
        return self._tables.restarts, system.get("system.changed")

    async def _renewed(self) -> Mapping[str, Value]:
        """The system group, once ports and sensors are found anew after a restart or a change of the interface table.

        An ifIndex need not outlive a restart (RFC 2863, 3.1.5): a port's old number may be another port's new one.
        """
        system = await self._tables.system()
        if self._numbering(system) != self._numbered:
            self._survey = await look_over(self._tables)
            self._numbered = self._numbering(system)
        return system
