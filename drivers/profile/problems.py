"""What is wrong with a profile, said with its line, its path and, where it can be guessed, what was meant."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import yaml
from pydantic import BaseModel

from drivers.profile.modbus import ModbusProfile, RegisterPoint
from drivers.profile.snmp import SnmpPoint, SnmpProfile, Switching
from drivers.profile.words import Family, quantity
from drivers.transports.address import suggest
from harness.errors import Problem
from harness.quantities import Unit


def index_lines(
    node: yaml.Node, path: tuple[str, ...], lines: dict[tuple[str, ...], int]
) -> list[tuple[tuple[str, ...], int]]:
    """Note the line of every key; returns those that stand twice."""
    twice: list[tuple[tuple[str, ...], int]] = []
    lines.setdefault(path, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            here = (*path, str(key.value))
            if key.value in seen:
                twice.append((here, key.start_mark.line + 1))
            seen.add(key.value)
            lines[here] = key.start_mark.line + 1
            twice += index_lines(value, here, lines)
    return twice


def place(file: str, path: tuple[str, ...], lines: Mapping[tuple[str, ...], int]) -> str:
    while path and path not in lines:
        path = path[:-1]
    return f"{file}:{lines[path]}" if path in lines else file


def problem_of(error: Any, file: str, lines: Mapping[tuple[str, ...], int], kind: type[BaseModel]) -> Problem:
    path = tuple(str(step) for step in error["loc"] if step != "[key]")
    text = str(error["msg"])
    if error["type"] == "extra_forbidden":
        text = f"unknown entry{suggest(path[-1], _siblings(path, kind))}"
    elif path and path[-1] == "unit":
        text = f"{error['input']!r} is no unit{suggest(str(error['input']), [unit.value for unit in Unit])}"
    return Problem(place(file, path, lines), ".".join(path), text)


def _siblings(path: tuple[str, ...], kind: type[BaseModel]) -> list[str]:
    model: type[BaseModel] = kind
    if len(path) == 3 and path[0] == "points":
        model = SnmpPoint if kind is SnmpProfile else RegisterPoint
    elif len(path) == 3 and path[0] == "switching":
        model = Switching
    return [field.alias or name for name, field in model.model_fields.items()]


def _points(profile: Family) -> Mapping[str, SnmpPoint | RegisterPoint]:
    return profile.points if isinstance(profile, SnmpProfile | ModbusProfile) else {}


def source_problems(profile: Family, file: str, lines: Mapping[tuple[str, ...], int]) -> list[Problem]:
    named: dict[tuple[str, ...], str] = {("points", name): point.source for name, point in _points(profile).items()}
    if isinstance(profile, ModbusProfile):
        named |= {("controls", name): entry.source for name, entry in profile.controls.items()}
        named |= {("mode",): profile.mode.source} if profile.mode else {}
    if isinstance(profile, SnmpProfile):
        named |= {("switching", str(name)): entry.source for name, entry in profile.switching.items()}
    return [
        Problem(
            place(file, (*path, "source"), lines),
            ".".join((*path, "source")),
            f"{source!r} is not among `sources`{suggest(source, profile.sources)}",
        )
        for path, source in named.items()
        if source not in profile.sources
    ]


def name_problems(
    profile: Family,
    file: str,
    lines: Mapping[tuple[str, ...], int],
    *,
    driver: str,
    required: Collection[str],
    optional: Collection[str],
) -> list[Problem]:
    if profile.driver != driver:
        where = place(file, ("driver",), lines)
        return [Problem(where, "driver", f"this profile is for the driver {profile.driver}, not for {driver}")]
    known = [*required, *optional]
    have = {quantity(name) for name in _points(profile)}
    unknown = [
        Problem(
            place(file, ("points", name), lines), f"points.{name}", f"nobody reads this{suggest(quantity(name), known)}"
        )
        for name in _points(profile)
        if quantity(name) not in known
    ]
    missing = [
        Problem(place(file, ("points",), lines), f"points.{name}", "is missing; the driver cannot do without")
        for name in required
        if name not in have
    ]
    return unknown + missing
