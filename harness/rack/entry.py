"""A new entry in a bay file: written into its text, so that what people wrote around it stays as it was."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import yaml

from harness.errors import DefinitionError
from harness.rack.bay import Endpoint, SecretSource
from harness.rack.load import load_bay

NEW_BAY = """\
# Complete name, site and station, and call each device as the model does.
name: new-bay
site: unnamed
station: unnamed
"""


def add_endpoints(path: Path, endpoints: list[Endpoint], secrets: Mapping[str, SecretSource]) -> list[str]:
    """Add devices, named after their drivers, and the secrets they need; returns the names given.

    A device whose address and unit stand there already is not added twice. Raises DefinitionError where the file is no
    bay, or would become none; it is then as it was.
    """
    there = load_bay(path) if path.exists() else None
    text = path.read_text("utf-8") if there else NEW_BAY
    devices: dict[str, Endpoint] = {}
    for endpoint in endpoints:
        taken = {**(there.devices if there else {}), **devices}
        if _key(endpoint) not in {_key(each) for each in taken.values()}:
            devices[_free_name(endpoint.driver, taken)] = endpoint
    if not devices:
        return []
    needed = {name for endpoint in devices.values() for name in endpoint.secrets.values()}
    known = there.secrets if there else {}
    for name in sorted(needed & set(known)):
        if known[name] != secrets[name]:
            text = f"the secret {name!r} of {path.name} comes from elsewhere: hand it over by another variable"
            raise DefinitionError(text)
    fresh = {name: source for name, source in secrets.items() if name in needed and name not in known}
    text = _inserted(text, "devices", {name: _plain(each) for name, each in devices.items()})
    text = _inserted(text, "secrets", {name: _plain(each) for name, each in fresh.items()})
    draft = path.with_name(f".{path.name}.new")
    try:
        draft.write_text(text, "utf-8")
        load_bay(draft)
        os.replace(draft, path)
    except OSError as error:
        raise DefinitionError(f"{path} cannot be written: {error.strerror}. Choose another place") from error
    except DefinitionError as error:
        raise DefinitionError(f"{path} is as it was; add these by hand:\n{text_of(devices, fresh)}\n{error}") from error
    finally:
        draft.unlink(missing_ok=True)
    return list(devices)


def text_of(devices: Mapping[str, Endpoint], secrets: Mapping[str, SecretSource]) -> str:
    """Devices and secrets as they stand in a bay file."""
    text = _inserted("", "devices", {name: _plain(each) for name, each in devices.items()})
    return _inserted(text, "secrets", {name: _plain(each) for name, each in secrets.items()})


def _key(endpoint: Endpoint) -> tuple[str, str]:
    """What tells two devices apart: several share one bus."""
    return endpoint.address, str(endpoint.options.get("units", endpoint.options.get("unit", "")))


def _free_name(driver: str, taken: Mapping[str, Endpoint]) -> str:
    number = 1
    while f"{driver}-{number}" in taken:
        number += 1
    return f"{driver}-{number}"


def _plain(entry: Endpoint | SecretSource) -> dict[str, object]:
    return {name: value for name, value in entry.model_dump(mode="json").items() if value not in ("", {}, None)}


def _inserted(text: str, section: str, entries: Mapping[str, object]) -> str:
    """The text with the entries first in their section, which is made where it is missing."""
    if not entries:
        return text
    block = yaml.safe_dump(dict(entries), sort_keys=False, allow_unicode=True, width=1000)
    lines = text.splitlines(keepends=True)
    at = next((number for number, line in enumerate(lines, 1) if line.split("#")[0].rstrip() == f"{section}:"), 0)
    following = (
        next((line for line in lines[at:] if line.strip() and not line.lstrip().startswith("#")), "") if at else ""
    )
    indent = following[: len(following) - len(following.lstrip(" "))] or "  "
    indented = "".join(f"{indent}{line}" for line in block.splitlines(keepends=True))
    if at:
        return "".join([*lines[:at], indented, *lines[at:]])
    joint = "" if not text or text.endswith("\n") else "\n"
    return f"{text}{joint}{section}:\n{indented}"
