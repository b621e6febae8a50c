"""Run directories of any making, handed to `verify` and `report`: findings in bounded time and memory, nothing written
or read outside of them, and never a traceback."""

from __future__ import annotations

import base64
import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.bounds import Oversized, contents
from harness.cli import run as command
from harness.journal.lines import FIRST, digest
from harness.observing import FinishedRun
from harness.running import write_reports
from reports import bounds
from reports.certificate import write_all
from reports.certificate.envelope import BadEnvelope, open_envelope
from reports.certificate.pdf_signature import check_pdf
from reports.certificate.signing import load_or_make_keys
from reports.certificate.verify import Verification, verify

Maker = Callable[..., Any]
Confined = Callable[..., str]
VALUES: tuple[Any, ...] = (
    None, True, -1, 10**400, 1e308, "", "\x1b[2J\u202e", "../../etc/passwd", [], {}, [[]], {"": {}}, ["x"] * 3,
    "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00",
)  # fmt: skip
"""What may stand anywhere where something else was expected."""


@pytest.fixture
def signed(make_run: Maker, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certified run, whole and sound: a copy of one that is made once."""
    whole = tmp_path_factory.getbasetemp() / "signed-once"
    if not whole.exists():
        run = make_run("FAIL")
        write_all(FinishedRun(run.dir))
        assert verify(run.dir).ok
        shutil.copytree(run.dir, whole)
    return Path(shutil.copytree(whole, tmp_path / "run"))


def named(found: Verification) -> dict[str, str]:
    """The findings by file; the directory must not be believed."""
    assert not found.ok
    return {finding.file: finding.text for finding in found.findings}


def rechained(lines: list[Any]) -> bytes:
    """A journal of these lines, its chain made to fit: whoever forges one can count."""
    previous, whole = FIRST, b""
    for number, line in enumerate(lines):
        if isinstance(line, dict):
            line |= {"prev": previous, "seq": number}
        written = json.dumps(line, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode(
            "utf-8", "backslashreplace"
        )
        previous = digest(written)
        whole += written + b"\n"
    return whole


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place inside a JSON value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, each in inner for place in places(each, (*path, key)))]


def put(value: Any, path: tuple[Any, ...], new: Any) -> None:
    """Replace what stands at a place."""
    for key in path[:-1]:
        value = value[key]
    value[path[-1]] = new


def test_any_value_anywhere_in_a_journal_is_a_finding_and_no_traceback(signed: Path) -> None:
    journal = signed / "journal.jsonl"
    whole = journal.read_text("utf-8").splitlines()
    chance = random.Random(20261123)
    for _ in range(40):
        lines = [json.loads(line) for line in whole]
        line = chance.choice(lines)
        place = chance.choice([place for place in places(line) if place and place[0] not in ("prev", "seq")])
        put(line, place, chance.choice(VALUES))
        journal.write_bytes(rechained(lines))
        named(verify(signed))
        write_reports(signed, None)
    journal.write_text("".join(f"{line}\n" for line in whole), "utf-8")
    write_all(FinishedRun(signed))
    assert verify(signed).ok


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"\n" * 100_000,
        b"[" * 200_000 + b"\n",
        b'{"a":' * 200_000 + b"\n",
        b"1" * 200_000 + b"\n",
        b"NaN\n",
        b"\x00" * 100_000,
        b"\xff\xfe\n",
        b'{"body":{},"event":"RunStarted","mono":1e999,"prev":"","rack":"","seq":0,"wall":""}\n',
    ],
)
def test_a_journal_of_anything_else(signed: Path, octets: bytes) -> None:
    (signed / "journal.jsonl").write_bytes(octets)
    assert "journal.jsonl" in named(verify(signed))
    _, failed = write_reports(signed, None)
    # A last line that is no JSON may be one that was cut off: then it is a run that was killed at once.
    assert failed or verify(signed).verdict == "ABORTED"


@pytest.mark.parametrize("name", ["journal.jsonl", "certificate.intoto.jsonl", "certificate.pdf", "keys/root.pem"])
@pytest.mark.parametrize("kind", ["pipe", "link", "loop", "folder", "device", "huge"])
def test_a_file_that_is_none(signed: Path, tmp_path: Path, name: str, kind: str) -> None:
    file = signed / name
    (tmp_path / "elsewhere").write_bytes(file.read_bytes())
    file.unlink()
    if kind == "pipe":
        os.mkfifo(file)
    elif kind == "link":
        file.symlink_to(tmp_path / "elsewhere")
    elif kind == "loop":
        file.symlink_to(file)
    elif kind == "device":
        file.symlink_to("/dev/zero")
    elif kind == "folder":
        file.mkdir()
    else:
        with file.open("wb") as sparse:
            sparse.truncate(2**40)
    assert {name, "."} & set(named(verify(signed)))


def test_a_folder_that_leads_elsewhere_is_neither_read_nor_written(signed: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    (signed / "keys").rename(elsewhere)
    (signed / "keys").symlink_to(elsewhere)
    before = {path.name: path.read_bytes() for path in elsewhere.iterdir()}
    assert "keys" in named(verify(signed))
    _, failed = write_reports(signed, None)
    assert "leads elsewhere" in failed[0]
    assert {path.name: path.read_bytes() for path in elsewhere.iterdir()} == before


def test_reports_are_not_written_through_links(signed: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine", "utf-8")
    for name in ("report.html", ".report.html.draft", ".junit.xml.draft", "certificate.pdf", ".certificate.pdf.draft"):
        (signed / name).unlink(missing_ok=True)
        (signed / name).symlink_to(victim)
    write_reports(signed, None)
    assert victim.read_text("utf-8") == "mine"
    assert not (signed / "report.html").is_symlink()
    assert verify(signed).ok


def test_nothing_is_signed_over_a_pipe_or_a_link(signed: Path) -> None:
    os.mkfifo(signed / "attachments" / "pipe")
    _, failed = write_reports(signed, None)
    assert "attachments/pipe is no plain file" in failed[0]


def test_evidence_outside_of_the_directory_is_no_evidence(signed: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").write_bytes(b"boot ok\n")
    lines = [json.loads(line) for line in (signed / "journal.jsonl").read_text("utf-8").splitlines()]
    for where in ("../outside", str(tmp_path / "outside"), "attachments/../../outside", "attachments/x\x00y"):
        for line in lines:
            if line["event"] == "Attached":
                line["body"]["file"] = where
        (signed / "journal.jsonl").write_bytes(rechained(lines))
        assert not verify(signed).ok
        _, failed = write_reports(signed, None)
        assert failed, where


def test_thousands_of_files_are_counted_and_no_more(signed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(1200):
        (signed / "attachments" / f"{number}\x1b[2J").write_bytes(b"")
    assert len(named(verify(signed))) >= 1200
    monkeypatch.setattr(bounds, "FILES", 1000)
    assert "holds more than 1000 files" in named(verify(signed))["."]


def test_names_are_told_inert(signed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (signed / "x\n\x1b[2JVERIFIED: yes\u202e").write_bytes(b"")
    (signed / os.fsdecode(b"\xff\x9b")).write_bytes(b"")
    assert command(["verify", str(signed)]) == 1
    said = capsys.readouterr().out
    assert not any(character in said for character in "\x1b\u202e\x9b\udcff")
    assert "\nVERIFIED" not in said
    assert command(["verify", str(signed), "--json"]) == 1
    line = capsys.readouterr().out
    assert line.isascii()
    assert json.loads(line)["ok"] is False


def envelope(body: bytes, **changes: object) -> bytes:
    """An envelope with a signature that nobody made, changed."""
    certificate = load_or_make_keys(None).public_files()["station.pem"].decode()
    signature = {"keyid": "", "sig": base64.b64encode(b"0" * 64).decode(), "certificate": certificate}
    whole = {"payload": base64.b64encode(body).decode(), "payloadType": "application/vnd.in-toto+json"}
    return json.dumps(whole | {"signatures": [signature]} | changes).encode() + b"\n"


@pytest.mark.parametrize("body", [b"{}", b"[" * 200_000, b'{"a":' * 200_000, b"NaN", b"\xff", b"1" * 10_000, b"[]"])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"payloadType": "application/octet-stream"},
        {"signatures": []},
        {"signatures": {}},
        {"signatures": [{}, {}]},
        {"signatures": [{"sig": 5, "certificate": None}]},
        {"payload": 5},
        {"more": True},
    ],
)
def test_an_envelope_of_anything_else(body: bytes, changes: dict[str, object]) -> None:
    with pytest.raises(BadEnvelope):
        open_envelope(envelope(body, **changes))


@pytest.mark.parametrize("line", [b"", b"{}", b"[]\n", b"null\n", b"[" * 200_000, b'{"payload":' + b"1" * 200_000])
def test_a_line_that_is_no_envelope(line: bytes) -> None:
    with pytest.raises(BadEnvelope):
        open_envelope(line)


@pytest.mark.parametrize(
    "document",
    [b"", b"%PDF-1.7", b"\x00" * 10_000, b"%PDF-1.7\n" + b"xref " * 10_000, b"%PDF-1.7\n" + b"[" * 100_000],
)
def test_paper_that_is_none(document: bytes, signed: Path) -> None:
    keys = load_or_make_keys(None)
    checked = check_pdf(document, keys.root, keys.root.not_valid_before_utc)
    assert checked.problem


def test_a_plain_file_of_bounded_size_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"12345")
    assert contents(tmp_path / "file", 5) == b"12345"
    with pytest.raises(Oversized, match="longer"):
        contents(tmp_path / "file", 4)
    (tmp_path / "link").symlink_to(tmp_path / "file")
    with pytest.raises(OSError, match="symbolic"):
        contents(tmp_path / "link", 5)
    assert contents(tmp_path / "link", 5, follow=True) == b"12345"
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(Oversized, match="pipe"):
        contents(tmp_path / "pipe", 5)
    with pytest.raises(IsADirectoryError):
        contents(tmp_path, 5)


def test_what_unpacks_to_any_size_takes_bounded_memory(signed: Path, tmp_path: Path, confined: Confined) -> None:
    """A PDF with 320 MiB of zeros in 320 kB, a journal of 1 TiB that is not there, and one of one endless line."""
    said = confined(
        "import zlib\nfrom datetime import UTC, datetime\nfrom pathlib import Path\n"
        "from reports.certificate.pdf_signature import check_pdf\n"
        "from reports.certificate.verify import verify\nfrom reports.certificate.signing import load_or_make_keys\n"
        "packed = zlib.compressobj(9)\n"
        "zeros = b''.join(packed.compress(bytes(2**20)) for _ in range(320)) + packed.flush()\n"
        "objects = [b'<< /Type /Catalog /Names << /EmbeddedFiles << /Names [(x) 2 0 R] >> >> >>',\n"
        "    b'<< /Type /Filespec /EF << /F 3 0 R >> >>',\n"
        "    b'<< /Filter /FlateDecode /Length %d >>\\nstream\\n' % len(zeros) + zeros + b'\\nendstream']\n"
        "whole, places = b'%PDF-1.7\\n', []\n"
        "for number, each in enumerate(objects, 1):\n"
        "    places.append(len(whole))\n    whole += b'%d 0 obj\\n' % number + each + b'\\nendobj\\n'\n"
        "tail = b'xref\\n0 4\\n0000000000 65535 f \\n' + b''.join(b'%010d 00000 n \\n' % at for at in places)\n"
        "whole += tail + b'trailer\\n<< /Size 4 /Root 1 0 R >>\\nstartxref\\n%d\\n%%%%EOF\\n' % len(whole)\n",
        f"root = load_or_make_keys(None).root\nprint(check_pdf(whole, root, datetime.now(UTC)).problem)\n"
        f"run = Path({str(signed)!r})\n"
        "with (run / 'journal.jsonl').open('wb') as file:\n    file.truncate(2**40)\n"
        "print(verify(run).findings[0])\n"
        "(run / 'journal.jsonl').write_bytes(b'{' + b'\"' * 2**25)\n"
        "print(verify(run).findings[0])\n",
        mib=1024,
    )
    assert len(said.splitlines()) == 3, said
