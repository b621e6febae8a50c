"""The table of device families, what each can do and how far it is proven, is generated from the drivers themselves."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

import yaml
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from harness import capabilities, checks, controls, physical, power, sensors, workload
from harness.connection import Connection, Secret

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "devices.md"
BEGIN, END = "<!-- generated: devices -->\n", "<!-- end -->\n"
HOST_KEY = (
    Ed25519PrivateKey.generate().public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode("ascii")
)
ADDRESSES: dict[str, tuple[str, dict[str, Any]]] = {
    "snmp": ("snmp://192.0.2.1", {"version": 2}),
    "cdu": ("modbus+tcp://192.0.2.1:502", {"unit": 12}),
    "power_shelf": ("modbus+rtu:///dev/ttyUSB0?baud=19200&parity=E", {"units": "200,201"}),
    "bmc": ("https://192.0.2.1", {}),
    "host": ("ssh://192.0.2.1", {"host_key": HOST_KEY}),
    "console": ("socket://192.0.2.1:4001", {}),
}


def protocols() -> dict[str, type[Any]]:
    """Every capability by name."""
    found: dict[str, type[Any]] = {}
    for module in (capabilities, checks, controls, physical, power, sensors, workload):
        for name, value in vars(module).items():
            if getattr(value, "_is_protocol", False) and value.__module__ == module.__name__:
                found[name] = value
    return found


def abilities(driver: str, profile: str, transport: str) -> list[str]:
    """What a driver can do, without touching a network."""
    address, options = ADDRESSES["snmp" if transport == "snmp" else driver]
    user = "u" if transport in ("bmc", "host") else ""
    secret = {"community": Secret("s", "x")} if transport == "snmp" else {}
    secret = {"password": Secret("s", "x")} if user else secret
    built = import_module(f"drivers.{driver}").connect(
        Connection("d", address, profile, user, secret, options, now=lambda: datetime(2026, 1, 1, tzinfo=UTC))
    )
    return sorted(name for name, protocol in protocols().items() if isinstance(built, protocol))


def table() -> Iterator[str]:
    """The table, line by line."""
    quality = yaml.safe_load((ROOT / "drivers" / "quality.yaml").read_text("utf-8"))
    yield "| driver | profile | devices | tier | capabilities |"
    yield "|---|---|---|---|---|"
    for name, row in sorted(quality["profiles"].items(), key=lambda pair: (pair[1]["driver"], pair[0])):
        profile = yaml.safe_load((ROOT / "drivers" / "profiles" / f"{name}.yaml").read_text("utf-8"))
        base = yaml.safe_load(
            (ROOT / "drivers" / "profiles" / f"{profile.get('extends', name)}.yaml").read_text("utf-8")
        )
        transport = profile.get("transport") or base["transport"]
        able = ", ".join(abilities(row["driver"], name, transport))
        yield f"| {row['driver']} | `{name}` | {profile.get('title') or base['title']} | {row['tier']} | {able} |"
    for name in ("bmc", "host", "console"):
        yield f"| {name} | – | | {quality['drivers'][name]['tier']} | {', '.join(abilities(name, '', name))} |"


def test_the_table_is_that_of_the_code() -> None:
    text = PAGE.read_text("utf-8")
    assert text.partition(BEGIN)[2].partition(END)[0] == "\n".join(table()) + "\n"
