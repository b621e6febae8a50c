"""Profiles: those that ship are sound, and wrong ones are told line by line."""

from __future__ import annotations

from pathlib import Path

import pytest

from drivers.pdu import connect as connect_pdu
from drivers.profile import (
    PROFILES,
    Command,
    ModbusProfile,
    SnmpProfile,
    load_profile,
    parse_profile,
    part,
    profiles,
    quantity,
)
from harness.errors import DefinitionError

GOOD = """\
driver: pdu
transport: snmp
title: A PDU
sources:
  mib: "SOME-MIB, some group"
polling_floor: 1.0
concurrency: 1
repetitions: 10
block: 20
points:
  input.power: {oid: 1.3.6.1.4.1.1.1, unit: W, source: mib}
  outlet.state: {oid: "1.3.6.1.4.1.1.2.{part}", format: state, states: {1: false, 2: true}, unit: bool, source: mib}
switching:
  outlet: {oid: "1.3.6.1.4.1.1.3.{part}", energise: 1, cut: 2, deadline: 5, source: mib}
"""

REGISTERS = """\
driver: cdu
transport: modbus
title: A CDU
sources: {map: "some register map"}
polling_floor: 0.2
concurrency: 1
block: 60
points:
  coolant.flow: {register: 1, format: u16, scale: 0.1, unit: L/min, source: map}
"""

SHIPPED = profiles()


def parse(text: str, required: tuple[str, ...] = ("input.power", "outlet.state")) -> SnmpProfile:
    return parse_profile(text, "a-pdu.yaml", SnmpProfile, driver="pdu", required=required, optional=("outlet.power",))


def parse_registers(text: str) -> ModbusProfile:
    return parse_profile(text, "a-cdu.yaml", ModbusProfile, driver="cdu", required=("coolant.flow",))


def test_a_good_profile_is_read() -> None:
    profile = parse(GOOD)
    assert profile.points["outlet.state"].states == {1: False, 2: True}
    assert parse_registers(REGISTERS).points["coolant.flow"].register_ == 1


@pytest.mark.parametrize("path", sorted(PROFILES.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_profile_that_ships_is_sound(path: Path) -> None:
    shipped = SHIPPED[path.stem]
    quantities = {quantity(name) for name in shipped.points}
    profile = load_profile(path.stem, type(shipped), driver=shipped.driver, required=quantities)
    named = {point.source for point in profile.points.values()}
    if isinstance(profile, SnmpProfile):
        assert set(profile.sources) == named | {entry.source for entry in profile.switching.values()}
    assert named <= set(profile.sources)
    if isinstance(profile, ModbusProfile):
        assert all(point.words <= profile.block for point in profile.points.values())


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("unit: W,", "unit: Wt,", 11, "'Wt' is no unit (did you mean 'W'?)"),
        ("unit: W,", "units: W,", 11, "unknown entry (did you mean 'unit'?)"),
        ("input.power:", "input.powr:", 11, "nobody reads this (did you mean 'input.power'?)"),
        ("input.power:", "outlet.power:", 10, "points.input.power: is missing"),
        ("unit: W, source: mib", "unit: W, source: mob", 11, "'mob' is not among `sources` (did you mean 'mib'?)"),
        ("unit: W, source: mib", "unit: W", 11, "points.input.power.source: Field required"),
        ("polling_floor: 1.0", "polling_flor: 1.0", 6, "unknown entry (did you mean 'polling_floor'?)"),
        ("polling_floor: 1.0", "polling_floor: -1", 6, "greater than 0"),
        ("energise: 1", "energise: 2", 14, "cannot switch on and off"),
        ("format: state, ", "", 12, "belong together"),
        ("driver: pdu", "driver: switch", 1, "for the driver switch, not for pdu"),
        ("block: 20", "block: 20\nblock: 30", 10, "stands twice"),
        ("oid: 1.3.6.1.4.1.1.1", "oid: 1.3.6.x", 11, "points.input.power.oid"),
        ("title: A PDU", "title: [", 5, "no YAML"),
    ],
)
def test_a_wrong_profile_is_told_by_line_and_path(old: str, new: str, line: int, words: str) -> None:
    assert old in GOOD
    with pytest.raises(DefinitionError) as caught:
        parse(GOOD.replace(old, new, 1))
    assert words in str(caught.value)
    assert f"a-pdu.yaml:{line}: " in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("format: u16", "format: u32", "takes 2 words, not 1"),
        ("format: u16", "format: flags", "`bits` belong to"),
        ("register: 1", "register: 65536", "less than or equal to 65535"),
        ("register: 1, format: u16", "register: 65535, words: 2, format: u32", "beyond register 65535"),
        ("register: 1", "regster: 1", "did you mean 'register'?"),
        ("scale: 0.1", "scale: .nan", "finite"),
        ("scale: 0.1", "plausible: [400, 0]", "`plausible` is [lowest, highest]"),
        ("scale: 0.1", "plausible: [0]", "plausible"),
        ("format: u16", "format: string, plausible: [0, 1]", "`plausible` belongs to a number"),
        ("block: 60", "block: 60\nplaces: [[0, 300]]", "less than or equal to 255"),
    ],
)
def test_a_wrong_register_is_told(old: str, new: str, words: str) -> None:
    assert old in REGISTERS
    with pytest.raises(DefinitionError) as caught:
        parse_registers(REGISTERS.replace(old, new, 1))
    assert words in str(caught.value)


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(DefinitionError) as caught:
        parse(GOOD.replace("unit: W,", "unit: Wt,").replace("concurrency: 1", "concurrency: 0"))
    assert len(caught.value.problems) == 2


def test_an_unknown_profile_names_its_neighbour() -> None:
    with pytest.raises(DefinitionError, match="did you mean 'raritan-px2'"):
        load_profile("raritan-px", SnmpProfile, driver="pdu", required=())


def test_names_of_parts() -> None:
    assert (quantity("pump.speed[pump-1]"), part("pump.speed[pump-1]")) == ("pump.speed", "pump-1")
    assert (quantity("coolant.flow"), part("coolant.flow")) == ("coolant.flow", "")
    assert connect_pdu.__doc__


OWN_OBJECTS = GOOD.replace(
    'oid: "1.3.6.1.4.1.1.3.{part}", energise: 1, cut: 2',
    'energise: {oid: "1.3.6.1.4.1.1.4.{part}", value: 0}, cut: {oid: "1.3.6.1.4.1.1.5.{part}", value: 0}',
)


def test_switching_by_one_object_or_by_two_is_data() -> None:
    """Most families write a number to one object; Eaton has one object a way, and takes seconds."""
    one, two = parse(GOOD).switching["outlet"], parse(OWN_OBJECTS).switching["outlet"]
    assert one.command(on=True) == Command(oid="1.3.6.1.4.1.1.3.{part}", value=1)
    assert one.command(on=False) == Command(oid="1.3.6.1.4.1.1.3.{part}", value=2)
    assert two.command(on=True) == Command(oid="1.3.6.1.4.1.1.4.{part}", value=0)
    assert two.command(on=False) == Command(oid="1.3.6.1.4.1.1.5.{part}", value=0)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('oid: "1.3.6.1.4.1.1.3.{part}", ', "", "needs `oid`"),
        ("unit: W,", "unit: W, pattern: '(', format: text,", "no regular expression"),
        ("unit: W,", "unit: W, pattern: 'x', format: text,", "has one group"),
        ("unit: W,", "unit: W, pattern: '(x)',", "has one group"),
    ],
)
def test_what_does_not_fit_together_is_told(old: str, new: str, words: str) -> None:
    assert old in GOOD
    with pytest.raises(DefinitionError) as caught:
        parse(GOOD.replace(old, new, 1))
    assert words in str(caught.value)


def test_a_profile_extends_another_and_overrides_it_entry_by_entry(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text(GOOD)
    more = """\
extends: base
title: A newer PDU
repetitions: 4
sources: {newer: "SOME-MIB, newer group"}
points:
  outlet.power: {oid: "1.3.6.1.4.1.1.9.{part}", unit: W, source: newer}
"""
    (tmp_path / "more.yaml").write_text(more)
    profile = load_profile(
        "more",
        SnmpProfile,
        driver="pdu",
        required=("input.power",),
        optional=("outlet.state", "outlet.power"),
        folder=tmp_path,
    )
    assert (profile.title, profile.repetitions, profile.block) == ("A newer PDU", 4, 20)
    assert set(profile.points) == {"input.power", "outlet.state", "outlet.power"}
    assert set(profile.sources) == {"mib", "newer"}
    assert profile.switching["outlet"].energise == 1


@pytest.mark.parametrize("base", ["bas", "more"])
def test_a_profile_that_cannot_be_built_on_is_told(tmp_path: Path, base: str) -> None:
    (tmp_path / "base.yaml").write_text(GOOD)
    (tmp_path / "more.yaml").write_text(f"title: X\nextends: {base}\n")
    with pytest.raises(DefinitionError, match=r"more\.yaml:2: extends: .* is no profile to build on"):
        load_profile("more", SnmpProfile, driver="pdu", required=(), folder=tmp_path)


def test_profiles_say_how_their_devices_are_recognised() -> None:
    found = SHIPPED
    assert set(found) == {path.stem for path in PROFILES.glob("*.yaml")}
    for name, profile in found.items():
        if isinstance(profile, SnmpProfile) and name != "standard-switch":
            assert profile.enterprise or profile.description, name
