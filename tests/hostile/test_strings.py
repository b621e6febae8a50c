"""What a device says of itself reaches every report as text: on a terminal, in HTML, on paper, in XML and JSON."""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from harness.clock import Clock
from harness.inert import escaped_json, masked, spelled, told
from harness.journal import events as e
from harness.journal.reader import read_journal
from harness.observing import FinishedRun, LiveOptions
from harness.quantities import Channel, Reading, Sample, Unit
from harness.verdict import Verdict
from reports import html, junit, ocptv
from reports.certificate import write_all
from reports.certificate.pdf import draw_pdf
from reports.certificate.verify import verify
from reports.charts import Chart, draw
from reports.evidence import read_evidence
from reports.metrics import Exporter
from reports.terminal import Lines, Screen, _Story
from tests.reports.conftest import Run

ESCAPES = "\x1b[2J\x1b]0;owned\x07\x9b31m\r\x08\x7f"
TURNED = "\u202eSSAP\u2066\u200b\ufeff"
MARKUP = "<script>alert(1)</script><img src=x onerror=alert(1)>'\"&amp;</td></table>"
TYPST = '#read("/etc/passwd") #eval("1") $x$ *b* @ref <label> \\u{1b} `raw` ] } //'
LATEX = "\\input{/etc/passwd} \\immediate\\write18{id} %"
FORMULA = "=cmd|' /C calc'!A0"
FORGED = "x\n[   0:00] PASS 1/1 Intake: All is well\nPASS"
DRAWING = "<svg onload=alert(1)>\u202e\x1b[31m"
LONE = "\udc9b31m"
RICH = "[bold red]x[/] [link=file:///etc/passwd]y[/link] :skull:"
STRINGS = (ESCAPES, TURNED, MARKUP, TYPST, LATEX, FORMULA, FORGED, DRAWING, LONE, RICH)
TAGS = {
    *[
        "html",
        "head",
        "meta",
        "title",
        "style",
        "body",
        "div",
        "b",
        "span",
        "ol",
        "li",
        "h2",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "dl",
        "dt",
        "dd",
        "p",
    ]
}
TAGS |= {"details", "summary", "small", "figure", "svg"}
OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff\ud800-\udfff]")
"""What must not reach anybody's eyes: written here once more, not taken from what is tested."""

Maker = Callable[..., Any]


@pytest.fixture(scope="module", params=["FAIL", "INCONCLUSIVE"])
def talkative(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run in which every string that a device or a technician can give is a hostile one."""
    run = Run(tmp_path_factory.mktemp("talkative") / "run")
    step = "test_10_intake.py::test_identity[tray-01]"
    run.start(serial=MARKUP, order=FORMULA, customer=TURNED + ESCAPES)
    run.plan((step, "intake", "tray-01", ("leak.state",)))
    run.inventory("tray-01", DRAWING, *((f"nic-{n}", text) for n, text in enumerate(STRINGS)), firmware=ESCAPES)
    run.add(e.StepStarted(step), e.Progressed(step, FORGED, 1.0, 2.0))
    for text in STRINGS:
        run.add(run.measured(step, "leak.state", f"tray-01/{text}", text))
        run.add(e.Noted(text), e.DeviceLost("tray-01", text), e.DeviceBack("tray-01", 1.0))
    if request.param == "INCONCLUSIVE":
        run.add(e.DeviceFailed(step, "tray-01", "Misbehaved", f"tray-01: log in: {FORGED}{ESCAPES}{MARKUP}"))
    run.add(e.StepFinished(step, "completed", TYPST))
    run.add(e.SafetyAction("pdu-a", FORGED, False, DRAWING, 0.1), e.MadeSafe("stop", True, (ESCAPES,)))
    return run.finish(request.param)


def test_a_page_holds_no_element_and_no_attribute_of_a_device(talkative: Run) -> None:
    """Parsed as a browser does: the tags and attributes are those of the template, and the texts are texts."""
    page = html.render(read_evidence(talkative.dir)).decode()
    assert not OBEYED.search(page)
    seen = Tags()
    seen.feed(page)
    assert seen.tags <= TAGS
    assert seen.attributes <= {"lang", "charset", "name", "content", "class", "open"}
    assert "<script>alert(1)</script>" in "".join(seen.texts)


class Tags(HTMLParser):
    """The tags, attributes and texts of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note it."""
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        """Note it."""
        self.texts.append(data)


def test_junit_is_xml_and_says_the_same(talkative: Run) -> None:
    page = junit.render(read_evidence(talkative.dir))
    assert not OBEYED.search(page.decode())
    root = ET.fromstring(page)
    assert {element.tag for element in root.iter()} <= {
        "testsuites", "testsuite", "testcase", "properties", "property", "failure", "error", "skipped",
    }  # fmt: skip
    found = {each.get("name"): each.get("value", "") for each in root.iter("property")}
    assert found["found.tray-01/nic-2.serial"] == MARKUP


def test_ocptv_holds_every_string_as_it_was_and_shows_none_of_it(talkative: Run) -> None:
    page = ocptv.render(read_evidence(talkative.dir))
    assert not OBEYED.search(page.decode())
    lines = [json.loads(line) for line in page.splitlines()]
    start = next(line["testRunArtifact"]["testRunStart"] for line in lines if "testRunStart" in str(line))
    serials = {each.get("serialNumber") for each in start["dutInfo"]["hardwareInfos"]}
    assert serials >= {*STRINGS, DRAWING}


@pytest.mark.skipif(shutil.which("pdftotext") is None, reason="pdftotext (poppler-utils) is not installed")
def test_paper_prints_what_it_would_obey(talkative: Run, tmp_path: Path) -> None:
    if "FAIL" not in str(read_evidence(talkative.dir).summary.verdict):
        pytest.skip("only PASS and FAIL are put on paper")
    document = draw_pdf(read_evidence(talkative.dir), b"{}\n", datetime(2026, 11, 22, tzinfo=UTC), demo=True)
    for word in (b"/JavaScript", b"/Launch", b"/OpenAction", b"/URI"):
        assert word not in document
    file = tmp_path / "paper.pdf"
    file.write_bytes(document)
    text = subprocess.run(["pdftotext", "-raw", str(file), "-"], capture_output=True, text=True, check=True).stdout
    joined = re.sub(r"\s|\u200b", "", text.replace("\f", ""))
    assert not OBEYED.search(text.replace("\f", "").replace("\u200b", ""))
    for printed in ('#read("/etc/passwd")', "\\u{202e}SSAP", "\\u{1b}[2J", "<script>alert(1)</script>", "\\input{/etc"):
        assert re.sub(r"\s", "", printed) in joined, printed
    assert "root:x:0" not in text


def test_plain_lines_hold_no_escape_and_forge_no_line(talkative: Run) -> None:
    output = io.StringIO()
    clock = Clock.real()
    screen = Lines(output, _Story(talkative.dir / "nothing", clock))
    for entry in read_journal(talkative.dir / "journal.jsonl").entries:
        screen.entry(entry)
    screen.close()
    said = output.getvalue()
    assert not OBEYED.search(said)
    assert said.count("PASS 1/1 Intake") >= 1, "the forged line is there, as what a device said"
    assert not re.search(r"^\[ +0:00\] PASS 1/1", said, re.MULTILINE)
    assert not re.search(r"^PASS", said, re.MULTILINE)


def test_the_screen_sends_only_its_own_escapes(talkative: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("LINES", "50")

    class Terminal(io.StringIO):
        """Says that it is one."""

        def isatty(self) -> bool:
            return True

    output = Terminal()
    screen = Screen(output, Clock.real(), _Story(talkative.dir / "nothing", Clock.real()))
    for entry in read_journal(talkative.dir / "journal.jsonl").entries:
        screen.entry(entry)
    screen._live.refresh()
    screen.close()
    said = output.getvalue()
    ours = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\r?\n", "", said)
    assert not OBEYED.search(ours), OBEYED.search(ours)
    assert "\x1b[2J" not in said.replace("\x1b[2J\x1b[H", "")
    assert "owned" not in said or "\x1b]" not in said


def test_metrics_are_one_line_a_series(talkative: Run) -> None:
    exporter = Exporter(0)
    try:
        for entry in read_journal(talkative.dir / "journal.jsonl").entries:
            exporter.entry(entry)
        now = datetime(2026, 11, 22, tzinfo=UTC)
        for text in STRINGS:
            channel = Channel("switch-1", "port.octets.in", Unit.OCTET, text)
            exporter.sampled([Sample(channel, Reading(1.0, Unit.OCTET, now))])
        with urllib.request.urlopen(f"http://127.0.0.1:{exporter.port}/metrics", timeout=60) as answer:
            page = answer.read().decode()
    finally:
        exporter.close()
    assert not OBEYED.search(page)
    line = re.compile(r'[a-z_]+(?:\{(?:[a-z_]+="(?:[^"\\\n]|\\["\\n])*",?)*\})? \S+')
    assert not [each for each in page.splitlines() if not each.startswith("#") and not line.fullmatch(each)]
    assert page.count('part="') == len(STRINGS)


@pytest.mark.parametrize("text", STRINGS)
def test_a_chart_is_sound_xml_whatever_its_series_are_called(text: str) -> None:
    line = [(0.0, 1.0), (60.0, 2.0)]
    svg = draw(Chart(text, text, {text: line, "other": line}))
    assert not OBEYED.search(svg)
    assert {element.tag.rpartition("}")[2] for element in ET.fromstring(svg).iter()} <= {
        "svg", "rect", "text", "line", "polyline",
    }  # fmt: skip


def test_a_serial_of_a_megabyte_is_reported_and_certified(make_run: Maker) -> None:
    run = make_run("PASS")
    longest = "A" * 2**20
    grown = Run(run.dir.with_name("grown"))
    step = "test_10_intake.py::test_identity[tray-01]"
    grown.start().plan((step, "intake", "tray-01", ("leak.state",)))
    grown.inventory("tray-01", longest, ("nic-0", longest))
    grown.step(step, ("leak.state", "tray-01", "dry")).finish()
    write_all(FinishedRun(grown.dir))
    assert read_evidence(grown.dir).summary.verdict is Verdict.PASS
    assert verify(grown.dir).ok
    statements = (grown.dir / "certificate.intoto.jsonl").stat().st_size
    assert (grown.dir / "certificate.pdf").stat().st_size < 2**20 + statements
    lines = io.StringIO()
    screen = Lines(lines, _Story(grown.dir, Clock.real()))
    screen.close()
    assert len(lines.getvalue()) < 100_000


def test_the_words_for_it() -> None:
    assert spelled("a\x1b[1m\u202eb\tc\nd") == "a\\u{1b}[1m\\u{202e}b\tc\nd"
    assert masked("a\x1b\u202eb") == "a\ufffd\ufffdb"
    assert told("a\nb") == "a\n  b"
    assert len(told("x" * 10_000_000)) < 3000
    assert len(told("x\n" * 10_000).splitlines()) == 501
    text = json.dumps({"a": ESCAPES + TURNED + "\U000e0041"}, ensure_ascii=False)
    assert json.loads(escaped_json(text)) == json.loads(text)
    assert not OBEYED.search(escaped_json(text))
    for text in STRINGS:
        assert not OBEYED.search(spelled(text) + masked(text) + told(text))


def test_where_live_options_come_from_is_no_matter(tmp_path: Path) -> None:
    """A run directory whose own name is hostile is shown inert too."""
    output = io.StringIO()
    options = LiveOptions(tmp_path / "run\x1b[2J", Clock.real(), output, None)
    screen = Lines(output, _Story(options.run_dir, options.clock))
    screen.close()
    assert not OBEYED.search(output.getvalue())
