"""What a tray can prove: the certificates it holds and the components that attest their firmware."""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Mapping

from drivers.resources.members import read_members, read_or_nothing
from drivers.resources.values import Json, instant, link, links, section, text
from drivers.transports.redfish import RedfishWire
from harness.controls import CertificateOnDevice, Integrity

_MEASURE = "#ComponentIntegrity.SPDMGetSignedMeasurements"
_BEGIN, _END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"


async def read_certificates(
    wire: RedfishWire, service: str, managers: Mapping[str, Json], device: str
) -> tuple[CertificateOnDevice, ...]:
    """The certificates in use, by name; those that a link names and that do not exist are left out.

    From CertificateLocations of the CertificateService, and from the HTTPS protocol of every manager; raises
    DeviceError. `service` is the path of the CertificateService or empty.
    """
    found: dict[str, Json] = {}
    locations = await read_or_nothing(wire, link(await read_or_nothing(wire, service), "CertificateLocations"))
    listed = await wire.gather(links(locations, "Links", "Certificates"))
    found.update({path: each for path, each in listed.items() if each is not None})
    for manager in managers.values():
        protocol = await read_or_nothing(wire, link(manager, "NetworkProtocol"))
        found.update(await read_members(wire, link(protocol, "HTTPS", "Certificates"), device))
    return tuple(certificate(path, found[path]) for path in sorted(found))


def certificate(path: str, resource: Json) -> CertificateOnDevice:
    """One Certificate resource (Certificate 1.9); its name is its path below the service root."""
    return CertificateOnDevice(
        name="/".join(path.strip("/").split("/")[2:]),
        subject=_named(section(resource, "Subject")),
        issuer=_named(section(resource, "Issuer")),
        valid_from=instant(resource.get("ValidNotBefore")),
        valid_until=instant(resource.get("ValidNotAfter")),
        fingerprint=_fingerprint(text(resource, "CertificateString")),
    )


async def read_integrity(
    wire: RedfishWire, collection: str, homes: Mapping[str, str], device: str
) -> tuple[Integrity, ...]:
    """The components that can attest, by name; `homes` maps paths to parts. Raises DeviceError."""
    found = await read_members(wire, collection, device)
    return tuple(sorted((integrity(path, found[path], homes) for path in found), key=lambda each: each.name))


def integrity(path: str, resource: Json, homes: Mapping[str, str]) -> Integrity:
    """One ComponentIntegrity resource (ComponentIntegrity 1.3)."""
    enabled = resource.get("ComponentIntegrityEnabled")
    about = (*links(resource, "Links", "ComponentsProtected"), text(resource, "TargetComponentURI"))
    return Integrity(
        name=text(resource, "Id") or path.rsplit("/", 1)[-1],
        protocol=text(resource, "ComponentIntegrityType"),
        version=text(resource, "ComponentIntegrityTypeVersion"),
        enabled=enabled if isinstance(enabled, bool) else None,
        measures=bool(text(section(resource, "Actions", _MEASURE), "target")),
        part=next((homes[each] for each in about if each in homes), ""),
    )


def _named(subject: Json) -> str:
    words = {"CN": "CommonName", "OU": "OrganizationalUnit", "O": "Organization"}
    return ", ".join(f"{short}={text(subject, word)}" for short, word in words.items() if text(subject, word))


def _fingerprint(pem: str) -> str:
    """SHA-256 of the first certificate of a chain; empty where it cannot be read."""
    first = pem[: pem.find(_END) + len(_END)]
    if _BEGIN not in first:
        return ""
    try:
        return hashlib.sha256(ssl.PEM_cert_to_DER_cert(first[first.index(_BEGIN) :])).hexdigest()
    except ValueError:
        return ""
