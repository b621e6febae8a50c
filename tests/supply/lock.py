"""The lock files, read strictly: every line is a release with its hashes, and names no place to get it from."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from packaging.markers import Marker
from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
RUN, DEVELOP = ROOT / "requirements.txt", ROOT / "requirements-dev.txt"
_PIN = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)==(?P<version>[A-Za-z0-9.!+_-]+)(?: ; (?P<marker>[^\\]+?))?")
_HASH = re.compile(r"--hash=sha256:(?P<digest>[0-9a-f]{64})")


class BadLock(ValueError):
    """A lock file holds a line that locks nothing; the text names it."""


@dataclass(frozen=True, slots=True)
class Pinned:
    """One release. `hashes` are the SHA-256 of its files, one for each; `marker` says where it is needed at all."""

    name: NormalizedName
    version: Version
    marker: Marker | None
    hashes: tuple[str, ...]

    @property
    def purl(self) -> str:
        """Its package URL (purl-spec, type pypi)."""
        return f"pkg:pypi/{self.name}@{self.version}"


def read_lock(file: Path) -> tuple[Pinned, ...]:
    """Every release of a lock file, by name; raises BadLock where a line is anything else."""
    found: dict[str, Pinned] = {}
    text = re.sub(r"^ *#.*$", "", file.read_text("utf-8"), flags=re.MULTILINE)
    for entry in filter(None, re.sub(r"\\\n", " ", text).splitlines()):
        head, *given = re.split(r" +(?=--)", entry.strip())
        if not head:
            continue
        pin, hashes = _PIN.fullmatch(head.strip()), [_HASH.fullmatch(word.strip()) for word in given]
        if pin is None:
            raise BadLock(f"{file.name}: {head!r} pins no release")
        if not hashes or None in hashes:
            raise BadLock(f"{file.name}: {pin['name']} has no hashes, or more than hashes")
        name = canonicalize_name(pin["name"])
        if name in found:
            raise BadLock(f"{file.name}: {name} stands there twice")
        marker = Marker(pin["marker"]) if pin["marker"] else None
        digests = tuple(sorted(each["digest"] for each in hashes if each is not None))
        found[name] = Pinned(name, Version(pin["version"]), marker, digests)
    if not found:
        raise BadLock(f"{file.name}: it locks nothing")
    return tuple(found[name] for name in sorted(found))
