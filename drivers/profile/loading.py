"""Profiles out of YAML: one, all of them, and those that build on another one."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import ValidationError

from drivers.profile.modbus import ModbusProfile
from drivers.profile.problems import index_lines, name_problems, place, problem_of, source_problems
from drivers.profile.snmp import SnmpProfile
from drivers.profile.words import Family
from drivers.transports.address import suggest
from harness.errors import DefinitionError, Problem

PROFILES = Path(__file__).parents[1] / "profiles"

Profile = SnmpProfile | ModbusProfile
P = TypeVar("P", bound=Family)
_KINDS: Mapping[str, type[SnmpProfile] | type[ModbusProfile]] = {"snmp": SnmpProfile, "modbus": ModbusProfile}


def profiles(folder: Path = PROFILES) -> Mapping[str, Profile]:
    """Every profile by its name, for finding out which of them a device fits; raises DefinitionError."""
    found: dict[str, Profile] = {}
    texts = {path.stem: path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.yaml"))}
    said = {name: yaml.safe_load(text) or {} for name, text in texts.items()}
    for name, text in texts.items():
        base = said.get(str(said[name].get("extends")), {})
        kind = _KINDS.get(str(said[name].get("transport", base.get("transport"))))
        if kind is not None:
            found[name], _ = _parsed(text, f"{name}.yaml", kind, folder)
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
    problems = name_problems(profile, file, lines, driver=driver, required=required, optional=optional)
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
        for path, lines_at in (index_lines(tree, (), lines) if tree is not None else [])
    ]
    if problems:
        raise DefinitionError(problems)
    if isinstance(data, dict) and "extends" in data:
        data = _merged(data, file, folder, lines)
    try:
        profile = kind.model_validate(data)
    except ValidationError as error:
        raise DefinitionError([problem_of(each, file, lines, kind) for each in error.errors()]) from error
    problems = source_problems(profile, file, lines)
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
        raise DefinitionError([Problem(place(file, ("extends",), lines), "extends", text)])
    points = {**below.get("points", {}), **(data.get("points") or {})}
    switching = {**below.get("switching", {}), **(data.get("switching") or {})}
    used = {entry.get("source") for entry in (*points.values(), *switching.values()) if isinstance(entry, dict)}
    inherited = {name: source for name, source in below.get("sources", {}).items() if name in used}
    merged = {**below, **data, "points": points, "sources": {**inherited, **(data.get("sources") or {})}}
    return {**merged, "switching": switching} if switching else merged
