"""Optical modules out of sensor tables: received and sent power in dBm, temperature, thresholds. Pure; no I/O.

Sources: ENTITY-SENSOR-MIB (RFC 3433) and CISCO-ENTITY-SENSOR-MIB, whose sensors tell port and lane only in their names;
JUNIPER-DOM-MIB, whose rows are interfaces and lanes. SFF-8636 gives power in steps of 0.1 uW, which is -40 dBm: less
light than that reads as zero.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from drivers.entity import CELSIUS, DBM, WATTS, Table, scaled
from drivers.points import text
from drivers.transports.snmp import Oid, Value
from harness import sensors
from harness.quantities import Reading, Unit

RX, TX, TEMPERATURE = "port.optic.rx_power", "port.optic.tx_power", "port.optic.temperature"
UNITS = {RX: Unit.DECIBEL_MILLIWATT, TX: Unit.DECIBEL_MILLIWATT, TEMPERATURE: Unit.CELSIUS}
UNSCALED = 0
"""A kind of sensor whose number stays as it is: a power supply's watts are no light."""
DARK = -40.0
"""dBm; what no light reads as."""
LEVELS = ("low_critical", "low_warning", "high_warning", "high_critical")
_OK = 1
_WORDS = (
    (RX, re.compile(r"\brx\b.*power|receive.*power|power.*\brx\b", re.IGNORECASE)),
    (TX, re.compile(r"\btx\b.*power|transmit.*power|power.*\btx\b", re.IGNORECASE)),
    (TEMPERATURE, re.compile(r"(dom|xcvr|transceiver|optic|module).*temp|temp.*(dom|xcvr|transceiver)", re.IGNORECASE)),
)
_KINDS = {RX: (WATTS, DBM), TX: (WATTS, DBM), TEMPERATURE: (CELSIUS,)}
_LANE = re.compile(r"\blane\s*(\d+)", re.IGNORECASE)
_EMPTY: Table = {}
# CISCO-ENTITY-SENSOR-MIB: entSensorThresholdSeverity other 1, minor 10, major 20, critical 30;
# entSensorThresholdRelation lessThan 1, lessOrEqual 2, greaterThan 3, greaterOrEqual 4.
_SEVERE = 20


@dataclass(frozen=True, slots=True)
class Thresholds:
    """What the module's maker allows, in the unit of the quantity; None where it does not say."""

    low_critical: float | None = None
    low_warning: float | None = None
    high_warning: float | None = None
    high_critical: float | None = None

    @property
    def common(self) -> sensors.Thresholds:
        """The same in the words that all devices' sensors have."""
        return sensors.Thresholds(
            lower_critical=self.low_critical,
            lower_caution=self.low_warning,
            upper_caution=self.high_warning,
            upper_critical=self.high_critical,
        )


@dataclass(frozen=True, slots=True)
class Diode:
    """One measuring point of a module: where it is read, and how its number becomes dBm or degC."""

    port: str
    lane: str
    quantity: str
    oid: Oid
    status: Oid | None
    kind: int
    factor: float
    limits: Thresholds

    @property
    def part(self) -> str:
        """`swp1`, or `swp1/2` of a module with lanes."""
        return f"{self.port}/{self.lane}" if self.lane else self.port

    def value(self, raw: Value, status: Value = _OK) -> float | None:
        """dBm or degC; None unless the switch says that it is good."""
        if status != _OK or not isinstance(raw, int):
            return None
        return level(raw * self.factor, self.kind)


@dataclass(frozen=True, slots=True)
class Optic:
    """One reading of one module, with what its maker allows."""

    port: str
    lane: str
    quantity: str
    reading: Reading
    limits: Thresholds


def level(real: float, kind: int) -> float | None:
    """W as dBm, never below `DARK`; other kinds as they are.

    0 dBm to the last digit is what NX-OS and Junos give for a module that sees or has nothing, so it is not believed.
    """
    if kind == WATTS:
        return max(DARK, 10 * math.log10(real * 1000)) if real > 0 else DARK
    if kind == DBM:
        return None if real == 0 else max(DARK, real)
    return real


def by_sensors(
    entities: Mapping[str, Table],
    cells: Mapping[str, Table],
    columns: Mapping[str, Oid],
    limits: Mapping[str, Table],
    names: Mapping[str, str],
) -> tuple[Diode, ...]:
    """Every sensor whose own name tells of an optical module of a port.

    `columns` holds the OIDs of the columns `value` and `status`, `limits` the columns of vendors' thresholds, `names`
    what a port may be called in a sensor's name, to its ifName.
    """
    return tuple(_optical(entities, cells, columns, limits, names))


def _optical(
    entities: Mapping[str, Table],
    cells: Mapping[str, Table],
    columns: Mapping[str, Oid],
    limits: Mapping[str, Table],
    names: Mapping[str, str],
) -> Iterator[Diode]:
    for index in sorted(cells.get("type", _EMPTY)):
        kind, scale, precision = (cells.get(each, _EMPTY).get(index) for each in ("type", "scale", "precision"))
        if not (isinstance(kind, int) and isinstance(scale, int) and isinstance(precision, int)):
            continue
        for column in ("description", "name"):
            found = placed(text(entities.get(column, _EMPTY).get(index)), names)
            if found is not None and kind in _KINDS[found[0]]:
                quantity, port, lane = found
                factor = scaled(1, scale, precision)
                allowed = thresholds(index, kind, factor, limits)
                value, status = (*columns["value"], *index), (*columns["status"], *index)
                yield Diode(port, lane, quantity, value, status, kind, factor, allowed)
                break


def placed(said: str, names: Mapping[str, str]) -> tuple[str, str, str] | None:
    """Quantity, port and lane out of a sensor's name, as `DOM TX Power Sensor for Ethernet52/1`; None if no optic.

    The longest name of a port wins: `Ethernet52/1` is a port of its own on EOS, and lane 1 of Ethernet52 on SONiC.
    """
    quantity = next((each for each, pattern in _WORDS if pattern.search(said)), None)
    if quantity is None:
        return None
    for name in sorted(names, key=len, reverse=True):
        found = re.search(rf"(?<![\w/.-]){re.escape(name)}(?![\w.-])(?:/(\d+)(?![\w/]))?(?!/)", said)
        if found:
            lane = _LANE.search(said)
            return quantity, names[name], (lane[1] if lane else found[1] or "")
    return None


def by_interface(
    values: Mapping[str, tuple[Oid, Table]],
    lanes: Mapping[str, tuple[Oid, Table]],
    limits: Mapping[str, Mapping[str, Table]],
    factors: Mapping[str, float],
    ports: Mapping[int, str],
) -> tuple[Diode, ...]:
    """Modules of a table by ifIndex with a second one by ifIndex and lane (JUNIPER-DOM-MIB).

    A cage without module has a row of zeros, thresholds included; a module with lanes has zeros in its own row.
    """
    found: list[Diode] = []
    for quantity, (column, rows) in values.items():
        kind = CELSIUS if quantity == TEMPERATURE else DBM
        lane_column, lane_rows = lanes.get(quantity, ((), _EMPTY))
        for index in sorted(rows):
            port = ports.get(index[0])
            raws = {name: table.get(index) for name, table in limits.get(quantity, {}).items()}
            if port is None or not any((rows[index], *raws.values())):
                continue
            factor = factors[quantity]
            allowed = Thresholds(**{name: raw * factor for name, raw in raws.items() if isinstance(raw, int)})
            own = sorted(each for each in lane_rows if each[:-1] == index)
            for lane in own if kind == DBM else ():
                oid, number = (*lane_column, *lane), str(lane[-1])
                found.append(Diode(port, number, quantity, oid, None, kind, factor, allowed))
            if not own or kind != DBM:
                found.append(Diode(port, "", quantity, (*column, *index), None, kind, factor, allowed))
    return tuple(found)


def thresholds(index: Oid, kind: int, factor: float, limits: Mapping[str, Table]) -> Thresholds:
    """Arista: one column a level, scaled as the value. Cisco: rows of severity, relation and value below the sensor."""
    levels: dict[str, float | None] = {}
    for name in LEVELS:
        raw = limits.get(name, _EMPTY).get(index)
        if isinstance(raw, int):
            levels[name] = level(raw * factor, kind)
    for row, severity in sorted(limits.get("severity", _EMPTY).items()):
        relation, raw = (limits.get(each, _EMPTY).get(row) for each in ("relation", "value"))
        if (
            row[: len(index)] == index
            and isinstance(severity, int)
            and isinstance(relation, int)
            and isinstance(raw, int)
        ):
            side = "low" if relation <= 2 else "high"
            name = f"{side}_{'critical' if severity >= _SEVERE else 'warning'}"
            levels[name] = level(raw * factor, kind)
    return Thresholds(**levels)


def spellings(names: Mapping[int, str], *others: Mapping[int, str]) -> dict[str, str]:
    """What each port may be called: its ifName, and ifDescr or ifAlias where they look like the name of one port."""
    found: dict[str, str] = {}
    for table in others:
        for index, said in table.items():
            if index in names and re.fullmatch(r"[A-Za-z][\w/.:-]*\d", said):
                found[said] = "" if found.get(said, names[index]) != names[index] else names[index]
    return {said: name for said, name in {**found, **{name: name for name in names.values()}}.items() if name}
