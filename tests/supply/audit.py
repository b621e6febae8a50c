"""Known weaknesses of what is locked, offline, in advisories of OSV's format: `python -m tests.supply.audit FOLDER`.

FOLDER holds one advisory a file, JSON or YAML, at any depth: a checkout of the Python Packaging Advisory Database, or
an unpacked export of OSV. Fetching it is not ours to do; without it nothing is said to be sound.

    0 no advisory fits · 1 some do, or cannot be told · 2 there is no database, or a lock that locks nothing

Format: Open Source Vulnerability schema 1.7, `affected[].ranges` (evaluation: section "affected[].versions field").
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from harness.inert import told
from tests.supply.lock import DEVELOP, RUN, BadLock, Pinned, read_lock

SOUND, AFFECTED, UNKNOWN = 0, 1, 2
LONGEST = 2**20
"""Octets of one advisory."""
_EDGES = ("introduced", "fixed", "last_affected")


class NoDatabase(ValueError):
    """There is nothing to hold the lock against; the text says why."""


@dataclass(frozen=True, slots=True)
class Hit:
    """One advisory that fits one locked release; `doubt` says why it cannot be told for sure."""

    release: Pinned
    ident: str
    summary: str
    fixed: str
    doubt: str = ""

    def __str__(self) -> str:
        end = f" (cannot be told: {self.doubt})" if self.doubt else f"; fixed in {self.fixed}" if self.fixed else ""
        return f"{self.release.name} {self.release.version}: {self.ident}: {self.summary}{end}"


def read_advisories(folder: Path, names: frozenset[str]) -> tuple[list[dict[str, Any]], int]:
    """The advisories that mention one of these packages, and how many there are in all; raises NoDatabase."""
    if not folder.is_dir():
        raise NoDatabase(f"there is no folder {folder}")
    found, seen = [], 0
    mentions = re.compile("|".join(re.escape(name) for name in sorted(names)))
    for path in sorted(folder.rglob("*")):
        if path.suffix not in (".json", ".yaml", ".yml") or not path.is_file():
            continue
        with path.open("rb") as file:
            raw = file.read(LONGEST + 1)
        text = raw.decode("utf-8", "replace")
        if len(raw) > LONGEST:
            raise NoDatabase(f"{path} is longer than any advisory")
        if '"affected"' not in text and "affected:" not in text:
            continue
        seen += 1
        if mentions.search(re.sub(r"[-_.]+", "-", text.lower())):
            found.append(_parse(path, text))
    if not seen:
        raise NoDatabase(f"{folder} holds no advisory in OSV's format")
    return found, seen


def _parse(path: Path, text: str) -> dict[str, Any]:
    try:
        found: Any = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        raise NoDatabase(f"{path} cannot be read: {str(error)[:200]}") from None
    advisory: dict[str, Any] = found if isinstance(found, dict) else {}
    if not isinstance(advisory.get("id"), str) or not isinstance(advisory.get("affected"), list):
        raise NoDatabase(f"{path} is no advisory: it has no id, or no list of what is affected")
    return advisory


def hits(releases: Sequence[Pinned], advisories: Sequence[Mapping[str, Any]]) -> Iterator[Hit]:
    """Every advisory that fits a release, in the order of the lock. One that was withdrawn fits none."""
    for release in releases:
        for advisory in advisories:
            if advisory.get("withdrawn"):
                continue
            for affected in advisory["affected"]:
                if _is_of(affected, release):
                    hit = _judged(release, advisory, affected)
                    if hit is not None:
                        yield hit
                        break


def _is_of(affected: object, release: Pinned) -> bool:
    package = affected.get("package") if isinstance(affected, dict) else None
    if not isinstance(package, dict):
        return False
    return package.get("ecosystem") == "PyPI" and canonicalize_name(str(package.get("name"))) == release.name


def _judged(release: Pinned, advisory: Mapping[str, Any], affected: Mapping[str, Any]) -> Hit | None:
    said = str(advisory.get("summary") or advisory.get("details") or "").strip().partition("\n")[0][:200]
    fixed = ""
    try:
        for named in affected.get("versions") or ():
            if str(named) == str(release.version) or _same(str(named), release.version):
                return Hit(release, advisory["id"], said, _fixed(affected))
        # Commits say nothing of a release.
        spans = [span for span in affected.get("ranges") or () if span.get("type") != "GIT"]
        if not spans and not affected.get("versions"):
            raise ValueError("it names none")
        for span in spans:
            inside, fixed = _inside(release.version, span["events"])
            if inside:
                return Hit(release, advisory["id"], said, fixed)
    except (InvalidVersion, KeyError, TypeError, AttributeError, ValueError) as error:
        return Hit(release, advisory["id"], said, "", doubt=f"its versions cannot be compared: {error}")
    return None


def _inside(release: Version, events: Sequence[Mapping[str, object]]) -> tuple[bool, str]:
    """Whether a version lies in a range, and what ends it there."""
    edges = []
    for event in events:
        ((kind, word),) = event.items()
        if kind not in (*_EDGES, "limit"):
            raise ValueError(f"an unknown event {kind!r}")
        # "0" stands before every version, "*" of a limit after all of them.
        if kind in _EDGES:
            edges.append((Version("0.dev0") if str(word) == "0" else Version(str(word)), _EDGES.index(kind), kind))
    if "introduced" not in {kind for _, _, kind in edges}:
        raise ValueError("a range that begins nowhere")
    inside, ends = False, ""
    for edge, _, kind in sorted(edges):
        if kind == "introduced" and release >= edge:
            inside, ends = True, ""
        elif kind == "fixed" and inside:
            inside, ends = release < edge, str(edge)
        elif kind == "last_affected" and inside:
            inside = release <= edge
        if ends and inside:
            break
    return inside, ends


def _same(named: str, release: Version) -> bool:
    try:
        return Version(named) == release
    except InvalidVersion:
        return False  # of a time before PEP 440: no lock holds it


def _fixed(affected: Mapping[str, Any]) -> str:
    events = [event for span in affected.get("ranges") or () if span.get("type") != "GIT" for event in span["events"]]
    return ", ".join(str(event["fixed"]) for event in events if "fixed" in event)


def main(words: Sequence[str]) -> int:
    """Audit both lock files; the exit code is above."""
    try:
        if len(words) != 1 or not words[0]:
            raise NoDatabase("name the folder of an advisory database: make audit ADVISORIES=FOLDER")
        releases = {release.purl: release for file in (DEVELOP, RUN) for release in read_lock(file)}
        names = frozenset(str(release.name) for release in releases.values())
        advisories, seen = read_advisories(Path(words[0]), names)
    except (NoDatabase, BadLock, OSError) as error:
        sys.stderr.write(f"audit: nothing was checked: {error}\n")
        return UNKNOWN
    found = list(hits(tuple(releases.values()), advisories))
    for hit in found:
        sys.stdout.write(told(str(hit)) + "\n")
    newest = max((str(each.get("modified", "")) for each in advisories), default="") or "unknown"
    sys.stdout.write(
        f"{len(found)} of {seen} advisories fit {len(releases)} locked releases; "
        f"the newest that names any of them is of {newest}\n"
    )
    return AFFECTED if found else SOUND


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
