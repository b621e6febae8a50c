"""Serials as scanned, parts as a device calls them, logs as it tells them: none becomes a path, a line or an error."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import ValidationError

from harness.capabilities import LogEntry, Severity
from harness.clock import Clock
from harness.evidence import Evidence, log_text
from harness.journal import events as e
from harness.journal.reader import read_journal
from harness.observing import Audience
from harness.rack.definition import Unit


@pytest.mark.parametrize(
    "serial",
    [
        "", " ", "../../etc", "..", ".hidden", "/etc/passwd", "a\n", "a\x00b", "a b", "a\u202eb", "\x1b[2J", "<b>",
        "=1+1", "$(id)", "%s", "x" * 65, "ｆｕｌｌ", "RK-1\r", "-rf",
    ],
)  # fmt: skip
def test_a_serial_is_letters_and_digits(serial: str) -> None:
    with pytest.raises(ValidationError):
        Unit(serial=serial)


def test_no_serial_leads_out_of_the_runs(tmp_path: Path) -> None:
    """A slash is part of some serials, and no part of a directory's name."""
    unit = Unit(serial="RK/../../x")
    name = f"20261123T000000Z-{unit.serial.replace('/', '_')}-abcd"
    assert (tmp_path / name).parent == tmp_path


@pytest.mark.parametrize(
    "name",
    ["../outside", "/etc/outside", "a/b/c", "..", ".", "a\x00b", "a\nb", "\x1b[2J", "x" * 400, "a\u202eb", "\udc80"],
)
def test_an_attachment_stays_where_attachments_are(tmp_path: Path, name: str) -> None:
    run_dir = tmp_path / "run"
    run_dir.mkdir()
    evidence = Evidence(run_dir, Clock.real(), Audience(()), lambda error: None)
    evidence.attach(f"{name}.txt", "what it said \ud800", "a log")
    evidence.close()
    (attached,) = [
        entry.event for entry in read_journal(run_dir / "journal.jsonl").entries if isinstance(entry.event, e.Attached)
    ]
    folder = run_dir / "attachments"
    assert [path.parent for path in folder.iterdir()] == [folder]
    assert (run_dir / attached.file).resolve().parent == folder.resolve()
    assert (run_dir / attached.file).read_bytes() == b"what it said \\ud800"
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_log_entry_is_one_entry() -> None:
    at = datetime(2026, 11, 23, tzinfo=UTC)
    forged = "all is well\n2026-11-23T00:00:00+00:00 OK - - Log/2 nothing happened\x1b[2J\u202e"
    text = log_text([LogEntry("Log/1", at, Severity.CRITICAL, forged)])
    first, second, *rest = text.split("\n")
    assert rest == [""]
    assert first.endswith("all is well")
    assert second.startswith("  2026")
    assert not any(character in text for character in "\x1b\u202e")
