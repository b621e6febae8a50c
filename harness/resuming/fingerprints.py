"""Fingerprints: who a device proves to be, so that what was found on it stands only as long as it is the same."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Sequence
from typing import TypeVar

from harness.capabilities import FirmwareInventory, Identity, Inventory
from harness.connection import Driver
from harness.errors import DeviceError, Unsupported
from harness.journal.events import Fingerprinted

T = TypeVar("T")

WITHIN = 30.0
"""Wall seconds that a device has to tell who it is; no run waits longer for it."""


async def fingerprint(driver: Driver) -> Fingerprinted | None:
    """Who a device proves to be now; None where its kind has nothing to tell. Never raises a DeviceError.

    The digest is over manufacturer, model, part number, serial, the places and serials of its parts, and its firmware,
    as they are told; whether a part is well is no part of it.
    """
    if not isinstance(driver, Identity | Inventory | FirmwareInventory):
        return None
    try:
        async with asyncio.timeout(WITHIN):
            serial, told = await _ask(driver)
    except TimeoutError:
        return Fingerprinted(driver.device, "", "", f"it did not tell who it is within {WITHIN:.0f} s")
    except DeviceError as error:
        return Fingerprinted(driver.device, "", "", str(error))
    text = json.dumps(told, sort_keys=True, separators=(",", ":")).encode("utf-8", "backslashreplace")
    return Fingerprinted(driver.device, serial, hashlib.sha256(text).hexdigest())


async def _ask(driver: Driver) -> tuple[str, object]:
    identity = await _told(driver.identify()) if isinstance(driver, Identity) else None
    parts = await _told(driver.parts()) if isinstance(driver, Inventory) else None
    firmware = await _told(driver.firmware()) if isinstance(driver, FirmwareInventory) else None
    who = (identity.manufacturer, identity.model, identity.part_number, identity.serial) if identity else ()
    versions = [["", identity.firmware]] if identity else []
    return identity.serial if identity else "", {
        "identity": who,
        "parts": _sorted([[part.name, part.part_number, part.serial] for part in parts or () if part.present]),
        "firmware": _sorted([*versions, *([entry.component, entry.version] for entry in firmware or ())]),
    }


async def _told(asking: Awaitable[T]) -> T | None:
    """An answer, or None where this very device does not offer it."""
    try:
        return await asking
    except Unsupported:
        return None


def _sorted(rows: Sequence[list[str]]) -> list[list[str]]:
    return sorted(rows)
