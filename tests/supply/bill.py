"""The bill of materials of what is installed: `python -m tests.supply.bill` prints CycloneDX 1.6 as JSON.

From the lock file come names, versions and hashes, from what is installed licences and who needs whom. The same lock
and the same releases give the same bytes: it holds no time, no machine and no place to download from.
Standard: CycloneDX 1.6 (ECMA-424), JSON; package URLs as in purl-spec; licences as SPDX expressions.
"""

from __future__ import annotations

import json
import sys
import uuid
from collections.abc import Mapping, Sequence
from importlib.metadata import Distribution, PackageNotFoundError, distribution, version
from typing import Any

from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.supply.licences import licence_of
from tests.supply.lock import RUN, Pinned, read_lock

PRODUCT = "rackproof"
EXTRA = "fast"
"""The one extra that the lock of what runs includes."""


def bill(releases: Sequence[Pinned]) -> dict[str, Any]:
    """The bill of materials of these releases, with Rackproof as what they are for."""
    own = f"pkg:pypi/{PRODUCT}@{version(PRODUCT)}"
    by_name = {str(release.name): release for release in releases}
    graph = _graph(by_name)
    found: dict[str, Any] = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "lifecycles": [{"phase": "build"}],
            "component": {
                "type": "application",
                "bom-ref": own,
                "name": PRODUCT,
                "version": version(PRODUCT),
                "purl": own,
            },
        },
        "components": [_component(release) for release in releases],
        "dependencies": [
            {"ref": purl, "dependsOn": [by_name[needed].purl for needed in graph.get(name, ())]}
            for name, purl in ((PRODUCT, own), *((each.name, each.purl) for each in releases))
        ],
    }
    # Named after its content: the same bill has the same number.
    content = json.dumps(found, sort_keys=True)
    found["serialNumber"] = f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, content)}"
    return found


def spelled(content: Mapping[str, Any]) -> str:
    """The bill as it is written: sorted, indented, one line feed at the end."""
    return json.dumps(content, sort_keys=True, indent=2, ensure_ascii=True) + "\n"


def _component(release: Pinned) -> dict[str, Any]:
    licence = licence_of(release.name, _installed(release.name))
    found: dict[str, Any] = {
        "type": "library",
        "bom-ref": release.purl,
        "name": release.name,
        "version": str(release.version),
        "purl": release.purl,
        "scope": "required" if release.marker is None or release.marker.evaluate() else "optional",
        # One for each file of the release: pip takes the one that fits the machine, and no other.
        "hashes": [{"alg": "SHA-256", "content": digest} for digest in release.hashes],
    }
    if licence:
        found["licenses"] = [{"expression": licence}]
    if release.marker is not None:
        found["properties"] = [{"name": "rackproof:marker", "value": str(release.marker)}]
    return found


def _installed(name: str) -> Distribution | None:
    try:
        return distribution(name)
    except PackageNotFoundError:
        return None


def _wanted(name: str, extras: frozenset[str]) -> list[Requirement]:
    """What an installed package needs here, with these extras."""
    installed = _installed(name)
    environment = {key: str(value) for key, value in default_environment().items()}
    found = [Requirement(line) for line in (installed.requires if installed else None) or ()]
    return [
        each
        for each in found
        if each.marker is None or any(each.marker.evaluate({**environment, "extra": extra}) for extra in ("", *extras))
    ]


def _graph(known: Mapping[str, Pinned]) -> dict[str, list[str]]:
    """Who needs whom, by name, from Rackproof on; an extra counts once somebody asks for it."""
    asked: dict[str, frozenset[str]] = {PRODUCT: frozenset({EXTRA})}
    graph: dict[str, list[str]] = {}
    open_ones = [PRODUCT]
    while open_ones:
        name = open_ones.pop()
        wanted = _wanted(name, asked[name])
        graph[name] = sorted({canonicalize_name(each.name) for each in wanted} & set(known))
        for each in wanted:
            needed = canonicalize_name(each.name)
            extras = asked.get(needed, frozenset()) | each.extras
            if needed in known and (needed not in asked or extras != asked[needed]):
                asked[needed] = extras
                open_ones.append(needed)
    return graph


if __name__ == "__main__":
    sys.stdout.write(spelled(bill(read_lock(RUN))))
