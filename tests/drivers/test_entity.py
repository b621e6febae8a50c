"""ENTITY-MIB and ENTITY-SENSOR-MIB as agents fill them: scales, and who holds which sensor."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from drivers.entity import VOLTS_AC, chassis, scaled, supplies
from drivers.transports.snmp import Oid, Value

Columns = dict[str, Mapping[Oid, Value]]


@pytest.mark.parametrize(
    ("value", "scale", "precision", "real"),
    [
        (6322, 8, 4, 0.0006322),
        (3345, 8, 2, 0.03345),
        (45542, 8, 0, 45.542),
        (28945300, 9, 6, 28.9453),
        (2302, 9, 1, 230.2),
    ],
)
def test_sensor_scales(value: int, scale: int, precision: int, real: float) -> None:
    assert scaled(value, scale, precision) == pytest.approx(real)


def test_a_sensor_deep_inside_a_supply_belongs_to_it_and_a_faulty_one_has_no_value() -> None:
    entities: Columns = {
        "class": {(1,): 3, (2,): 6, (3,): 5, (4,): 8, (5,): 6},
        "inside": {(1,): 0, (2,): 1, (3,): 2, (4,): 3, (5,): 5},  # the last one holds itself: agents do
        "name": {(2,): b"psu 2", (5,): b"psu 1"},
    }
    sensors: Columns = {
        "type": {(4,): 3},
        "scale": {(4,): 9},
        "precision": {(4,): 0},
        "value": {(4,): 230},
        "status": {(4,): 3},
    }
    first, second = supplies(entities, sensors, {})
    assert (first.name, second.name) == ("psu-1", "psu-2")
    assert second.measured(VOLTS_AC) is None
    assert second.works is False
    assert first.works is None
    box = chassis(entities)
    assert box is not None
    assert box.index == 1
