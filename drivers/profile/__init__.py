"""Profiles: what is known of one family of devices, as data, and where each fact was learned.

A profile is a YAML file in `drivers/profiles`. A wrong one raises `DefinitionError` with every problem, its line, its
path and, where it can be guessed, what was meant.
"""

from __future__ import annotations

from drivers.profile.loading import PROFILES, Profile, load_profile, parse_profile, profiles
from drivers.profile.modbus import ModbusProfile, ModeBits, ModeRegister, RegisterControl, RegisterPoint
from drivers.profile.snmp import Command, SnmpPoint, SnmpProfile, Switching
from drivers.profile.words import Frozen, part, quantity

__all__ = [
    "PROFILES",
    "Command",
    "Frozen",
    "ModbusProfile",
    "ModeBits",
    "ModeRegister",
    "Profile",
    "RegisterControl",
    "RegisterPoint",
    "SnmpPoint",
    "SnmpProfile",
    "Switching",
    "load_profile",
    "parse_profile",
    "part",
    "profiles",
    "quantity",
]
