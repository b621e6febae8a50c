"""What is installed is what is locked: releases with their hashes, from no named place, under licences we may ship."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.supply.licences import ALLOWED, is_allowed, licence_of
from tests.supply.lock import DEVELOP, ROOT, RUN, BadLock, read_lock


@pytest.mark.parametrize("file", [RUN, DEVELOP], ids=lambda file: file.name)
def test_every_line_pins_a_release_by_its_hashes(file: Path) -> None:
    releases = read_lock(file)
    assert len(releases) > 40
    assert all(release.hashes for release in releases)


@pytest.mark.parametrize("file", [RUN, DEVELOP], ids=lambda file: file.name)
def test_no_line_names_a_place(file: Path) -> None:
    """Neither an index nor a link: where packages come from is the station's affair, what they are is not."""
    text = file.read_text("utf-8")
    assert not re.search(r"^\s*-(?!-hash=)|://|@ ", text, re.MULTILINE)


def test_what_is_declared_is_locked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    locked = {file: {release.name: release for release in read_lock(file)} for file in (RUN, DEVELOP)}
    extras = project["optional-dependencies"]
    for file, wanted in (
        (RUN, [*project["dependencies"], *extras["fast"]]),
        (DEVELOP, [*project["dependencies"], *extras["fast"], *extras["dev"]]),
    ):
        for line in wanted:
            requirement = Requirement(line)
            release = locked[file].get(canonicalize_name(requirement.name))
            assert release is not None, line
            assert requirement.specifier.contains(release.version), line
    for name, release in locked[RUN].items():
        assert locked[DEVELOP][name] == release, f"{name}: both locks must hold the same release"


def test_what_is_installed_is_what_is_locked() -> None:
    for release in {*read_lock(RUN), *read_lock(DEVELOP)}:
        try:
            found = Version(distribution(release.name).version)
        except PackageNotFoundError:
            assert release.marker is not None, release.name
            assert not release.marker.evaluate(), release.name
        else:
            assert found == release.version, release.name


def test_every_licence_is_one_that_we_may_ship() -> None:
    wrong = {}
    for release in read_lock(RUN):
        try:
            installed = distribution(release.name)
        except PackageNotFoundError:
            installed = None
        expression = licence_of(release.name, installed)
        if not is_allowed(expression):
            wrong[release.name] = expression or "no licence is stated"
    assert wrong == {}


def test_which_licences_are_allowed() -> None:
    assert is_allowed("EPL-2.0 OR GPL-2.0-or-later")
    assert is_allowed("Apache-2.0 AND MIT")
    assert not is_allowed("Apache-2.0 AND GPL-3.0-only")
    assert not is_allowed("AGPL-3.0-only")
    assert not is_allowed("")
    assert not {name for name in ALLOWED if name.startswith(("GPL", "AGPL", "SSPL"))}


@pytest.mark.parametrize(
    "line",
    [
        "aiohttp==3.14.5",
        "aiohttp>=3.14 --hash=sha256:" + "0" * 64,
        "aiohttp==3.14.5 --hash=md5:" + "0" * 32,
        "aiohttp==3.14.5 --hash=sha256:" + "0" * 64 + " --no-deps",
        "aiohttp @ file:///tmp/x.whl --hash=sha256:" + "0" * 64,
        "--extra-index-url=somewhere",
        "-r other.txt",
        "",
    ],
)
def test_a_lock_that_locks_nothing_is_none(tmp_path: Path, line: str) -> None:
    file = tmp_path / "requirements.txt"
    file.write_text(f"{line}\n", "utf-8")
    with pytest.raises(BadLock):
        read_lock(file)
