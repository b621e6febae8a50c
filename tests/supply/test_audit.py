"""The audit: versions are compared as PEP 440 and OSV say, and nothing that was not checked is called sound."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from packaging.version import Version

from tests.supply.audit import AFFECTED, SOUND, UNKNOWN, Hit, hits, main
from tests.supply.lock import RUN, Pinned, read_lock


def advisory(
    *events: dict[str, str], name: str = "sample-package", kind: str = "ECOSYSTEM", **more: Any
) -> dict[str, Any]:
    """One advisory on one package with one range."""
    affected = {"package": {"ecosystem": "PyPI", "name": name}, "ranges": [{"type": kind, "events": list(events)}]}
    return {"id": "TEST-1", "summary": "a sample", "modified": "2026-11-01T00:00:00Z", "affected": [affected]} | more


def found(version: str, *advisories: dict[str, Any]) -> list[Hit]:
    """What fits this version of a package of one's own."""
    return list(hits([Pinned("sample-package", Version(version), None, ("0" * 64,))], advisories))  # type: ignore[arg-type]


INTRODUCED, FIXED, LAST = {"introduced": "1.0"}, {"fixed": "1.5"}, {"last_affected": "1.5"}
ZERO: dict[str, str] = {"introduced": "0"}


@pytest.mark.parametrize(
    ("version", "events", "fits"),
    [
        ("1.0", (INTRODUCED, FIXED), True),
        ("1.4.9", (INTRODUCED, FIXED), True),
        ("1.5", (INTRODUCED, FIXED), False),
        ("1.5rc1", (INTRODUCED, FIXED), True),
        ("1.5.post1", (INTRODUCED, FIXED), False),
        ("0.9", (INTRODUCED, FIXED), False),
        ("1.5", (INTRODUCED, LAST), True),
        ("1.5.1", (INTRODUCED, LAST), False),
        ("0.0.1.dev0", (ZERO,), True),
        ("99", (ZERO,), True),
        ("1!0.1", (INTRODUCED, FIXED), False),
        ("1.10", (INTRODUCED, {"fixed": "1.9"}), False),
        ("1.10", (INTRODUCED, {"fixed": "1.11"}), True),
        ("2.1", (ZERO, {"fixed": "1.0"}, {"introduced": "2.0"}, {"fixed": "2.2"}), True),
        ("1.7", (ZERO, {"fixed": "1.0"}, {"introduced": "2.0"}, {"fixed": "2.2"}), False),
        ("2.1", ({"fixed": "2.2"}, {"introduced": "2.0"}, {"fixed": "1.0"}, ZERO), True),
        ("2.2", (ZERO, {"fixed": "1.0"}, {"introduced": "2.0"}, {"fixed": "2.2"}), False),
    ],
)
def test_a_range(version: str, events: tuple[dict[str, str], ...], fits: bool) -> None:
    assert bool(found(version, advisory(*events))) is fits


def test_a_hit_says_what_and_where_it_is_mended() -> None:
    assert [str(hit) for hit in found("1.2", advisory(INTRODUCED, FIXED))] == [
        "sample-package 1.2: TEST-1: a sample; fixed in 1.5"
    ]


def test_names_are_compared_as_packages_are() -> None:
    assert found("1.2", advisory(ZERO, name="Sample_Package"))
    assert found("1.2", advisory(ZERO, name="sample.package"))
    assert not found("1.2", advisory(ZERO, name="sample-package-other"))


def test_a_version_that_is_named_outright() -> None:
    named = advisory(FIXED | INTRODUCED)
    named["affected"][0] |= {"ranges": [], "versions": ["1.2.0", "not a version"]}
    assert found("1.2", named)
    assert not found("1.3", named)


def test_one_that_was_withdrawn_or_is_of_another_world_fits_nothing() -> None:
    assert not found("1.2", advisory(ZERO, withdrawn="2026-11-02T00:00:00Z"))
    other = advisory(ZERO)
    other["affected"][0]["package"]["ecosystem"] = "npm"
    assert not found("1.2", other)


@pytest.mark.parametrize(
    "wrong",
    [
        advisory({"fixed": "2.0"}),
        advisory({"introduced": "banana"}),
        advisory({"introduced": "0", "fixed": "1"}),
        advisory({"sometime": "1.0"}),
        advisory(ZERO, kind="GIT"),
        {"id": "TEST-1", "affected": [{"package": {"ecosystem": "PyPI", "name": "sample-package"}}]},
    ],
)
def test_what_cannot_be_told_is_not_sound(wrong: dict[str, Any]) -> None:
    (hit,) = found("1.2", wrong)
    assert hit.doubt
    assert "cannot be told" in str(hit)


def database(folder: Path, *advisories: dict[str, Any]) -> Path:
    """A folder of advisories, in both spellings."""
    for number, each in enumerate(advisories):
        inner = folder / "vulns" / str(number)
        inner.mkdir(parents=True)
        (inner / f"{each['id']}.{'json' if number % 2 else 'yaml'}").write_text(json.dumps(each), "utf-8")
    return folder


def test_the_lock_is_held_against_a_database(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    release = next(each for each in read_lock(RUN) if each.name == "aiohttp")
    past = advisory(ZERO, {"fixed": str(release.version)}, name="aiohttp")
    assert main([str(database(tmp_path / "past", past, advisory(ZERO)))]) == SOUND
    said = capsys.readouterr().out
    assert "0 of 2 advisories fit" in said
    assert "2026-11-01" in said
    present = advisory(ZERO, {"last_affected": str(release.version)}, name="AIOHTTP", summary="\x1b[2Jbad")
    assert main([str(database(tmp_path / "present", past, present))]) == AFFECTED
    said = capsys.readouterr().out
    assert f"aiohttp {release.version}: TEST-1: \\u{{1b}}[2Jbad" in said


def test_without_a_database_nothing_is_sound(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "x.json").write_text("{}", "utf-8")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "x.json").write_text('{"affected": aiohttp', "utf-8")
    (tmp_path / "huge").mkdir()
    (tmp_path / "huge" / "x.json").write_text('{"affected": ' + " " * 2**20, "utf-8")
    (tmp_path / "shape").mkdir()
    (tmp_path / "shape" / "x.json").write_text('{"affected": {"aiohttp": 1}}', "utf-8")
    for folder in ("", "nowhere", "empty", "other", "broken", "huge", "shape"):
        assert main([str(tmp_path / folder)] if folder else []) == UNKNOWN, folder
        captured = capsys.readouterr()
        assert "nothing was checked" in captured.err
        assert captured.out == ""
