"""The points that a switch's profile may name, by what they are read for."""

from __future__ import annotations

from drivers.optics import LEVELS, RX, TEMPERATURE, TX

SYSTEM = ("system.description", "system.uptime", "system.boots")
ABOUT_SYSTEM = ("system.object", "system.changed")
NAMES = ("port.type", "port.name", "port.description", "port.alias")
STATIC = (*NAMES, "port.address")
COUNTERS = (
    "port.octets.in",
    "port.octets.out",
    "port.errors.in",
    "port.errors.out",
    "port.discards.in",
    "port.discards.out",
)
MOVING = ("port.up", "port.speed", "port.discontinuity")
SAMPLED = ("port.octets.in", "port.octets.out", "port.errors.in", "port.errors.out", "port.up")
ETHERLIKE = ("port.errors.fcs", "port.errors.symbol")
"""Parts of what ifInErrors counts already (RFC 3635, 3.2.6): channels of their own, never added to it."""

_LOCAL = ("subtype", "port", "description")
_REMOTE = ("chassis_subtype", "chassis", "port_subtype", "port", "port_description", "system")
LOCAL = tuple(f"local.{word}" for word in _LOCAL)
REMOTE = tuple(f"remote.{word}" for word in _REMOTE)
LATER_LOCAL = tuple(f"later.local.{word}" for word in _LOCAL)
LATER_REMOTE = tuple(f"later.remote.{word}" for word in _REMOTE)

ENTITY = tuple(
    f"entity.{word}"
    for word in ("description", "inside", "class", "name", "software", "serial", "manufacturer", "model")
)
ABOUT_ENTITY = ("entity.works", "entity.interface")
SENSOR = tuple(f"sensor.{word}" for word in ("type", "scale", "precision", "value", "status"))
IDENTITY = ("identity.model", "identity.serial", "identity.firmware")
LIMITS = tuple(f"limit.{level}" for level in (*LEVELS, "severity", "relation", "value"))
OPTICS = (RX, TX, TEMPERATURE)
OPTICAL = tuple(f"{name}{suffix}" for name in OPTICS for suffix in ("", ".lane", *(f".{level}" for level in LEVELS)))

REQUIRED = (*SYSTEM, *STATIC, *COUNTERS, *MOVING, *LOCAL, *REMOTE, *ENTITY, *SENSOR)
OPTIONAL = (
    *ABOUT_SYSTEM,
    *ABOUT_ENTITY,
    "port.counted",
    *ETHERLIKE,
    *IDENTITY,
    *LIMITS,
    *OPTICAL,
    *LATER_LOCAL,
    *LATER_REMOTE,
)
