"""Profiles: what is known of one family of devices, as data, and where each fact was learned.

A profile is a YAML file in `drivers/profiles`. A wrong one raises `DefinitionError` with every problem, its line, its
path and, where it can be guessed, what was meant.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from drivers.transports.address import suggest
from harness.errors import DefinitionError, Problem
from harness.quantities import Unit

PROFILES = Path(__file__).parent / "profiles"

OidText = Annotated[str, Field(pattern=r"^\d+(\.\d+)+$")]
OidTemplate = Annotated[str, Field(pattern=r"^\d+(\.(\d+|\{part\}))+$")]
"""An OID; `{part}` stands for the number of an outlet, a phase …"""
PointName = Annotated[str, Field(pattern=r"^[a-z]+(\.[a-z_]+)*(\[[a-z]+(-[0-9a-z-]+)?\])?$")]
"""A quantity, as `input.power`, or one of a part, as `pump.speed[pump-1]`."""
Finite = Annotated[float, Field(allow_inf_nan=False)]
Word = Annotated[int, Field(ge=0, le=0xFFFF)]


class Frozen(BaseModel):
    """Immutable, and strict about what it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class SnmpPoint(Frozen):
    """One object: a scalar instance, a column to be walked, or one instance a part.

    value = raw * scale + offset; where `digits` names an object, raw / 10^digits (Raritan PDU2-MIB).
    """

    oid: OidTemplate
    unit: Unit
    source: str
    format: Literal["number", "text", "state", "mac", "oid"] = "number"
    scale: Finite = 1.0
    offset: Finite = 0.0
    absent: tuple[int, ...] = ()
    """Raw values by which the device says that it does not measure this."""
    states: dict[int, bool] = {}
    """For the format `state`: what each raw value means; any other is a transition, or unknown."""
    digits: OidTemplate | None = None
    available: OidTemplate | None = None
    """An object that must read 1 (TruthValue true) for the value to count."""
    pattern: str = ""
    """For the format `text`: a regular expression whose only group is what is meant, as the serial in sysDescr."""
    named: str = ""
    """For tables of named variables (Rittal CMC III): the variable's own name; `oid` is the column of its value."""

    @model_validator(mode="after")
    def _fits_together(self) -> SnmpPoint:
        if bool(self.states) != (self.format == "state"):
            raise ValueError("`states` and `format: state` belong together")
        if self.pattern and (self.format != "text" or _groups(self.pattern) != 1):
            raise ValueError("`pattern` belongs to `format: text` and has one group")
        return self


class Command(Frozen):
    """What is written to switch one way."""

    oid: OidTemplate
    value: int


class Switching(Frozen):
    """How one family switches an outlet: what to write, and how long it may take (wall seconds).

    Where one object takes two numbers, `oid` names it and `energise` and `cut` are the numbers; where each way has an
    object of its own (Eaton: seconds to wait, 0 is now), each is an `oid` and a `value`.
    """

    oid: OidTemplate | None = None
    energise: int | Command
    cut: int | Command
    deadline: Annotated[float, Field(gt=0, le=60)]
    source: str

    @model_validator(mode="after")
    def _on_is_not_off(self) -> Switching:
        if self.oid is None and (isinstance(self.energise, int) or isinstance(self.cut, int)):
            raise ValueError("a number alone needs `oid`, the object that it is written to")
        if self.command(on=True) == self.command(on=False):
            raise ValueError("the same number cannot switch on and off")
        return self

    def command(self, *, on: bool) -> Command:
        """The object and the number by which an outlet is switched on or off."""
        what = self.energise if on else self.cut
        return what if isinstance(what, Command) else Command(oid=self.oid or "", value=what)


class RegisterPoint(Frozen):
    """One value in holding registers: value = raw / 2^precision * scale + offset."""

    register_: Annotated[Word, Field(alias="register")]
    words: Annotated[int, Field(ge=1, le=64)] = 1
    format: Literal["u16", "s16", "u32", "s32", "float", "string", "flags", "state"]
    unit: Unit
    source: str
    precision: Annotated[int, Field(ge=0, le=16)] = 0
    scale: Finite = 1.0
    offset: Finite = 0.0
    word_order: Literal["big", "little"] = "big"
    absent: tuple[int, ...] = ()
    states: dict[int, bool] = {}
    bits: dict[str, Annotated[int, Field(ge=0, le=63)]] = {}
    minimum: Finite | None = None
    """Below it the value is not believed: a scale or a map is wrong. Not a limit of acceptance."""
    maximum: Finite | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> RegisterPoint:
        widths = {"u16": 1, "s16": 1, "u32": 2, "s32": 2, "float": 2}
        if self.format in widths and self.words != widths[self.format]:
            raise ValueError(f"{self.format} takes {widths[self.format]} words, not {self.words}")
        if bool(self.bits) != (self.format == "flags") or bool(self.states) != (self.format == "state"):
            raise ValueError("`bits` belong to `format: flags`, `states` to `format: state`")
        if any(bit >= 16 * self.words for bit in self.bits.values()):
            raise ValueError(f"a bit lies outside of {self.words} words")
        if self.register_ + self.words > 0x10000:
            raise ValueError("reaches beyond register 65535")
        return self


class RegisterControl(Frozen):
    """A set point in one holding register: raw = (value - offset) / scale, never written outside of its bounds."""

    register_: Annotated[Word, Field(alias="register")]
    format: Literal["u16", "s16"]
    unit: Unit
    scale: Annotated[Finite, Field(gt=0)] = 1.0
    offset: Finite = 0.0
    minimum: Finite
    """Hard bounds of what may be written, in `unit`; the model's limits lie within them."""
    maximum: Finite
    deadline: Annotated[float, Field(gt=0, le=60)]
    """Wall seconds until it must read back."""
    source: str

    @model_validator(mode="after")
    def _fits_into_the_register(self) -> RegisterControl:
        raws = [(value - self.offset) / self.scale for value in (self.minimum, self.maximum)]
        low, high = (0, 0xFFFF) if self.format == "u16" else (-0x8000, 0x7FFF)
        if self.minimum >= self.maximum or not all(low <= raw <= high for raw in raws):
            raise ValueError("`minimum` and `maximum` must fit into the register, one below the other")
        return self


class ModeBits(Frozen):
    """One mode in a control word: bits that are then 1, and bits that are then 0."""

    ones: tuple[Annotated[int, Field(ge=0, le=15)], ...] = ()
    zeros: tuple[Annotated[int, Field(ge=0, le=15)], ...] = ()


class ModeRegister(Frozen):
    """A control word that chooses the mode. Bits of no mode and not in `keep` are commands: written 0."""

    register_: Annotated[Word, Field(alias="register")]
    modes: Annotated[dict[Literal["automatic", "manual", "stopped"], ModeBits], Field(min_length=1)]
    keep: tuple[Annotated[int, Field(ge=0, le=15)], ...] = ()
    deadline: Annotated[float, Field(gt=0, le=60)]
    source: str


class _Family(Frozen):
    """What every profile says."""

    driver: Literal["switch", "pdu", "power_shelf", "cdu"]
    title: Annotated[str, Field(min_length=1)]
    sources: Annotated[dict[str, Annotated[str, Field(min_length=8)]], Field(min_length=1)]
    """Where facts were learned; every point names one of them."""
    polling_floor: Annotated[float, Field(gt=0, le=60)]
    """Shortest period between two samples, wall seconds."""
    concurrency: Annotated[int, Field(ge=1, le=16)]
    manufacturer: str = ""
    """Only where a family has one maker; otherwise the device says it, or nobody does."""
    extends: str = ""
    """Another profile, whose entries hold where this one says nothing; points and sources are merged one by one."""


class SnmpProfile(_Family):
    """A family of devices that speak SNMP."""

    transport: Literal["snmp"]
    repetitions: Annotated[int, Field(ge=1, le=50)]
    """Rows a GETBULK; above 55 some switches skip rows silently."""
    block: Annotated[int, Field(ge=1, le=60)]
    """Values a GET."""
    enterprise: OidText | None = None
    """What sysObjectID must begin with."""
    description: str = ""
    """A regular expression that sysDescr must match; tells families apart that share an enterprise."""
    points: Annotated[dict[PointName, SnmpPoint], Field(min_length=1)]
    switching: dict[Literal["outlet"], Switching] = {}


class ModbusProfile(_Family):
    """A family of devices with holding registers."""

    transport: Literal["modbus"]
    block: Annotated[int, Field(ge=1, le=125)]
    """Registers a read."""
    points: Annotated[dict[PointName, RegisterPoint], Field(min_length=1)]
    controls: dict[PointName, RegisterControl] = {}
    """Set points by the quantity that they act on."""
    mode: ModeRegister | None = None


Profile = SnmpProfile | ModbusProfile
P = TypeVar("P", bound=_Family)
_KINDS: Mapping[str, type[SnmpProfile] | type[ModbusProfile]] = {"snmp": SnmpProfile, "modbus": ModbusProfile}


def profiles(folder: Path = PROFILES) -> Mapping[str, Profile]:
    """Every profile by its name, for finding out which of them a device fits; raises DefinitionError."""
    found: dict[str, Profile] = {}
    for path in sorted(folder.glob("*.yaml")):
        text = path.read_text(encoding="utf-8")
        kind = _KINDS.get(str((yaml.safe_load(text) or {}).get("transport")))
        if kind is not None:
            found[path.stem], _ = _parsed(text, path.name, kind, folder)
    return found


def load_profile(
    name: str,
    kind: type[P],
    *,
    driver: str,
    required: Collection[str],
    optional: Collection[str] = (),
    folder: Path = PROFILES,
) -> P:
    """The profile of this name for one driver; raises DefinitionError.

    `required` are the quantities the driver cannot do without, `optional` those it knows what to do with.
    """
    known = sorted(path.stem for path in folder.glob("*.yaml"))
    if name not in known:
        text = f"there is no profile {name!r}{suggest(name, known)}; there are {', '.join(known)}"
        raise DefinitionError([Problem("bay", "profile", text)])
    text = (folder / f"{name}.yaml").read_text(encoding="utf-8")
    return parse_profile(text, f"{name}.yaml", kind, driver=driver, required=required, optional=optional, folder=folder)


def parse_profile(
    text: str,
    file: str,
    kind: type[P],
    *,
    driver: str,
    required: Collection[str],
    optional: Collection[str] = (),
    folder: Path = PROFILES,
) -> P:
    """The profile in this text; see `load_profile`."""
    profile, lines = _parsed(text, file, kind, folder)
    problems = _name_problems(profile, file, lines, driver=driver, required=required, optional=optional)
    if problems:
        raise DefinitionError(problems)
    return profile


def _parsed(text: str, file: str, kind: type[P], folder: Path) -> tuple[P, Mapping[tuple[str, ...], int]]:
    """The profile in this text, merged with what it extends, and the line of each of its own entries."""
    try:
        tree = yaml.compose(text, Loader=yaml.SafeLoader)
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{file}:{mark.line + 1}" if mark else file
        raise DefinitionError([Problem(where, "", f"is no YAML: {getattr(error, 'problem', error)}")]) from error
    lines: dict[tuple[str, ...], int] = {}
    problems = [
        Problem(f"{file}:{lines_at}", ".".join(path), "stands twice; the second one would silently win")
        for path, lines_at in (_index(tree, (), lines) if tree is not None else [])
    ]
    if problems:
        raise DefinitionError(problems)
    if isinstance(data, dict) and "extends" in data:
        data = _merged(data, file, folder, lines)
    try:
        profile = kind.model_validate(data)
    except ValidationError as error:
        raise DefinitionError([_problem(each, file, lines, kind) for each in error.errors()]) from error
    problems = _source_problems(profile, file, lines)
    if problems:
        raise DefinitionError(problems)
    return profile, lines


def _merged(data: dict[str, Any], file: str, folder: Path, lines: Mapping[tuple[str, ...], int]) -> dict[str, Any]:
    """This profile over the one that it extends; a profile that extends another one is not extended again."""
    base = str(data["extends"])
    known = sorted(path.stem for path in folder.glob("*.yaml"))
    below: dict[str, Any] = {"extends": ""}
    if base in known:
        below = yaml.safe_load((folder / f"{base}.yaml").read_text(encoding="utf-8"))
    if "extends" in below:
        text = f"{base!r} is no profile to build on{suggest(base, known)}"
        raise DefinitionError([Problem(_at(file, ("extends",), lines), "extends", text)])
    points = {**below.get("points", {}), **(data.get("points") or {})}
    switching = {**below.get("switching", {}), **(data.get("switching") or {})}
    used = {entry.get("source") for entry in (*points.values(), *switching.values()) if isinstance(entry, dict)}
    inherited = {name: source for name, source in below.get("sources", {}).items() if name in used}
    merged = {**below, **data, "points": points, "sources": {**inherited, **(data.get("sources") or {})}}
    return {**merged, "switching": switching} if switching else merged


def _groups(pattern: str) -> int:
    try:
        return re.compile(pattern).groups
    except re.error as error:
        raise ValueError(f"`pattern` is no regular expression: {error}") from error


def quantity(point: str) -> str:
    """The quantity of a point name without its part: `pump.speed[pump-1]` is `pump.speed`."""
    return point.partition("[")[0]


def part(point: str) -> str:
    """The part of a point name, or nothing: `pump.speed[pump-1]` is of `pump-1`."""
    return point.partition("[")[2].rstrip("]")


def _index(
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
            twice += _index(value, here, lines)
    return twice


def _at(file: str, path: tuple[str, ...], lines: Mapping[tuple[str, ...], int]) -> str:
    while path and path not in lines:
        path = path[:-1]
    return f"{file}:{lines[path]}" if path in lines else file


def _problem(error: Any, file: str, lines: Mapping[tuple[str, ...], int], kind: type[BaseModel]) -> Problem:
    path = tuple(str(step) for step in error["loc"] if step != "[key]")
    text = str(error["msg"])
    if error["type"] == "extra_forbidden":
        text = f"unknown entry{suggest(path[-1], _siblings(path, kind))}"
    elif path and path[-1] == "unit":
        text = f"{error['input']!r} is no unit{suggest(str(error['input']), [unit.value for unit in Unit])}"
    return Problem(_at(file, path, lines), ".".join(path), text)


def _siblings(path: tuple[str, ...], kind: type[BaseModel]) -> list[str]:
    model: type[BaseModel] = kind
    if len(path) == 3 and path[0] == "points":
        model = SnmpPoint if kind is SnmpProfile else RegisterPoint
    elif len(path) == 3 and path[0] == "switching":
        model = Switching
    return [field.alias or name for name, field in model.model_fields.items()]


def _points(profile: _Family) -> Mapping[str, SnmpPoint | RegisterPoint]:
    return profile.points if isinstance(profile, SnmpProfile | ModbusProfile) else {}


def _source_problems(profile: _Family, file: str, lines: Mapping[tuple[str, ...], int]) -> list[Problem]:
    named: dict[tuple[str, ...], str] = {("points", name): point.source for name, point in _points(profile).items()}
    if isinstance(profile, ModbusProfile):
        named |= {("controls", name): entry.source for name, entry in profile.controls.items()}
        named |= {("mode",): profile.mode.source} if profile.mode else {}
    if isinstance(profile, SnmpProfile):
        named |= {("switching", str(name)): entry.source for name, entry in profile.switching.items()}
    return [
        Problem(
            _at(file, (*path, "source"), lines),
            ".".join((*path, "source")),
            f"{source!r} is not among `sources`{suggest(source, profile.sources)}",
        )
        for path, source in named.items()
        if source not in profile.sources
    ]


def _name_problems(
    profile: _Family,
    file: str,
    lines: Mapping[tuple[str, ...], int],
    *,
    driver: str,
    required: Collection[str],
    optional: Collection[str],
) -> list[Problem]:
    if profile.driver != driver:
        where = _at(file, ("driver",), lines)
        return [Problem(where, "driver", f"this profile is for the driver {profile.driver}, not for {driver}")]
    known = [*required, *optional]
    have = {quantity(name) for name in _points(profile)}
    unknown = [
        Problem(
            _at(file, ("points", name), lines), f"points.{name}", f"nobody reads this{suggest(quantity(name), known)}"
        )
        for name in _points(profile)
        if quantity(name) not in known
    ]
    missing = [
        Problem(_at(file, ("points",), lines), f"points.{name}", "is missing; the driver cannot do without")
        for name in required
        if name not in have
    ]
    return unknown + missing
