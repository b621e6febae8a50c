"""Families of SNMP devices: a profile and a link for one of them, and whether the device is of that family."""

from __future__ import annotations

import re
from collections.abc import Iterable

from drivers.points import oid_of
from drivers.profile import SnmpProfile, load_profile
from drivers.transports.snmp import SnmpLink, Value, check_snmp_options, connect_snmp
from harness.connection import Connection
from harness.errors import Misbehaved


def connect_family(
    connection: Connection,
    default: str,
    *,
    driver: str,
    required: Iterable[str],
    optional: Iterable[str],
    options: Iterable[str] = (),
) -> tuple[SnmpProfile, SnmpLink]:
    """The profile that a connection names, or the default one, and a link as that profile bears it.

    `options` are those of the driver beside the transport's. Touches no network. Raises DefinitionError.
    """
    check_snmp_options(connection, *options)
    name = connection.profile or default
    profile = load_profile(name, SnmpProfile, driver=driver, required=tuple(required), optional=tuple(optional))
    return profile, connect_profile(connection, profile)


def connect_profile(connection: Connection, profile: SnmpProfile) -> SnmpLink:
    """A link as a profile bears it, which knows its unit by the profile's serial number. Raises DefinitionError."""
    serial = profile.points.get("identity.serial")
    return connect_snmp(
        connection,
        repetitions=profile.repetitions,
        block=profile.block,
        concurrency=profile.concurrency,
        serial=oid_of(serial.oid) if serial and "{part}" not in serial.oid else None,
    )


def check_family(device: str, profile: SnmpProfile, description: str, kind: Value, otherwise: str = "") -> None:
    """Raises Misbehaved unless sysDescr and sysObjectID (SNMPv2-MIB, RFC 3418) are those of the profile's family."""
    wanted = oid_of(profile.enterprise) if profile.enterprise else ()
    foreign = bool(wanted) and not (isinstance(kind, tuple) and kind[: len(wanted)] == wanted)
    if foreign or not re.search(profile.description, description):
        seen = f"sysObjectID {'.'.join(map(str, kind))}" if isinstance(kind, tuple) else "no sysObjectID"
        advice = "Check address and profile of this device in the bay file"
        raise Misbehaved(
            device,
            f"recognise it as {profile.title}",
            f"{seen}, {description!r}",
            f"{advice}; {otherwise}" if otherwise else advice,
        )
