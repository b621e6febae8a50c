"""The as-found record: in every report, under the signature, and beside the build record."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from harness.journal import events as e
from harness.observing import FinishedRun
from harness.verdict import fold
from reports import html, junit, ocptv, view
from reports.as_found import AGREES, CONTRADICTS, UNREAD, as_found, contradictions, items
from reports.banner import banner
from reports.certificate import write_all
from reports.certificate.envelope import open_envelope
from reports.certificate.verify import verify
from reports.evidence import read_evidence

STEP = "test_10_intake.py::test_firmware"
BUILT = {"tray-01": "T1", "tray-01/accelerator-0": "A0", "tray-01/accelerator-1": "A1", "tray-02": "T2", "door": "D7"}


@pytest.fixture
def asked(blank: Any) -> Any:
    """A run that took the record of two trays; one accelerator is not the one that was built in."""
    blank.start(built_serials=BUILT, customer="中文").plan((STEP, "intake", "", ("link.up",)))
    blank.inventory("tray-02", "T2", ("nic-0", "N2"))
    blank.inventory("tray-01", "T1", ("accelerator-0", "A0"), ("accelerator-1", "B9 <&>"))
    return blank.step(STEP, ("link.up", "switch-1/swp1", True), ("link.up", "tray-01/accelerator-1", True)).finish()


def predicate(directory: Path) -> dict[str, Any]:
    lines = (directory / "certificate.intoto.jsonl").read_bytes().splitlines(keepends=True)
    return open_envelope(lines[1]).statement


def test_every_place_is_beside_what_was_built_in(asked: Any) -> None:
    summary = fold(asked.entries)
    assert {item.place: item.agreement for item in items(summary)} == {
        "tray-01": AGREES,
        "tray-01/accelerator-0": AGREES,
        "tray-01/accelerator-1": CONTRADICTS,
        "tray-02": AGREES,
        "tray-02/nic-0": "",
        "door": UNREAD,
    }
    assert [item.place for item in contradictions(summary)] == ["tray-01/accelerator-1"]
    assert next(item.firmware for item in items(summary)) == "bios 1.08.3"


def test_a_serial_that_was_not_told_is_no_agreement(blank: Any) -> None:
    blank.start(built_serials={"tray-01": "T1"}).inventory("tray-01", "")
    assert [item.agreement for item in items(fold(blank.entries))] == [UNREAD]


def test_the_same_record_twice_is_one_and_another_one_is_kept(blank: Any) -> None:
    blank.start().inventory("tray-01", "T1").inventory("tray-01", "T1")
    assert len(as_found(fold(blank.entries))) == 1
    blank.inventory("tray-01", "X1")
    assert [record["serial"] for record in as_found(fold(blank.entries))] == ["T1", "X1"]
    assert [item.agreement for item in items(fold(blank.entries))] == [AGREES, CONTRADICTS]


def test_the_signed_unit_is_the_one_that_was_found(asked: Any) -> None:
    write_all(FinishedRun(asked.dir))
    assert verify(asked.dir).ok
    signed = predicate(asked.dir)
    assert [record["device"] for record in signed["predicate"]["unit"]["as_found"]] == ["tray-01", "tray-02"]
    assert {"place": "tray-01/accelerator-1", "built": "A1", "found": "B9 <&>", "agreement": CONTRADICTS} in (
        signed["predicate"]["asBuilt"]
    )
    digests = {subject["name"]: subject["digest"]["sha256"] for subject in signed["subject"]}
    asked.add(e.Resumed(2, "finished", False, "", "s", {}, {}, None, "", {}))
    asked.inventory("tray-03", "T3").finish()
    write_all(FinishedRun(asked.dir))
    later = {subject["name"]: subject["digest"]["sha256"] for subject in predicate(asked.dir)["subject"]}
    assert later["unit:BR4-00017"] != digests["unit:BR4-00017"]


def test_without_a_record_the_unit_is_what_was_scanned(make_run: Callable[..., Any]) -> None:
    run = make_run("PASS")
    write_all(FinishedRun(run.dir))
    assert "as_found" not in predicate(run.dir)["predicate"]["unit"]
    assert view.NO_INVENTORY in (run.dir / "report.html").read_text("utf-8")


def test_the_page_shows_a_contradiction_in_red_and_opened(asked: Any) -> None:
    page = html.render(read_evidence(asked.dir)).decode()
    found = page[page.index("<h2>As found</h2>") : page.index("<h2>Stages</h2>")]
    assert found.count('<tr class="fail">') == 1
    assert f"{CONTRADICTS}: A1" in found
    assert "B9 &lt;&amp;&gt;" in found
    assert "<details open>" in found


def test_who_releases_the_rack_is_told_of_a_contradiction(asked: Any) -> None:
    summary = fold(asked.entries)
    assert summary.verdict == "PASS"
    said = "tray-01/accelerator-1 carries serial B9 <&>, the build record says A1"
    assert view.next_action(summary)[0] == f"{said}. Clear this before the rack leaves."
    assert any(
        line.plain.startswith(f"{CONTRADICTS}: {said}") and "red" in str(line.style)
        for line in banner(summary, asked.dir, width=120)
    )


def test_junit_carries_the_record_as_properties(asked: Any) -> None:
    root = ET.fromstring(junit.render(read_evidence(asked.dir)))
    facts = {each.get("name"): each.get("value") for each in root.iter("property")}
    assert facts["found.tray-01.serial"] == "T1"
    assert facts["found.tray-01/accelerator-1.part_number"] == "900-1"
    assert facts["found.tray-01/accelerator-1.built"] == f"{CONTRADICTS}: A1"
    assert facts["found.tray-01.firmware"] == "bios 1.08.3"


def test_ocptv_lists_parts_and_firmware_and_points_at_them(asked: Any) -> None:
    lines = [json.loads(line) for line in ocptv.render(read_evidence(asked.dir)).splitlines()]
    dut = lines[1]["testRunArtifact"]["testRunStart"]["dutInfo"]
    hardware = {info["name"]: info for info in dut["hardwareInfos"]}
    assert len({info["hardwareInfoId"] for info in dut["hardwareInfos"]}) == len(dut["hardwareInfos"])
    assert hardware["tray-01"]["serialNumber"] == "T1"
    assert hardware["tray-01/accelerator-1"]["serialNumber"] == "B9 <&>"
    assert "serialNumber" not in hardware["pdu-a"]
    assert {"tray-01/bios", "tray-02/nic-0"} <= {
        info["name"] for info in dut["softwareInfos"] if info["softwareType"] == "FIRMWARE"
    }
    measured = [m["testStepArtifact"]["measurement"] for m in lines if "measurement" in m.get("testStepArtifact", {})]
    assert measured[1]["hardwareInfoId"] == hardware["tray-01/accelerator-1"]["hardwareInfoId"]
    assert measured[0]["subcomponent"] == {"name": "swp1"}


@pytest.mark.skipif(shutil.which("pdftotext") is None, reason="poppler-utils is not installed")
def test_the_paper_names_every_serial(asked: Any) -> None:
    write_all(FinishedRun(asked.dir))
    text = subprocess.run(
        ["pdftotext", "-layout", asked.dir / "certificate.pdf", "-"], capture_output=True, text=True, check=True
    ).stdout
    for word in ("Serial as found", "Appendix A", "B9 <&>", f"{CONTRADICTS}: A1", "not read: D7", "N2", "\\u{4e2d}"):
        assert word in text, word
