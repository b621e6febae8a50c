"""No secret of a whole run stands anywhere: in no file that it left, no word that it said, no process that it began."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Iterator
from html import escape
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest

from harness.rack.load import load_bay, model_path
from harness.simulation import Simulation, simulated_rack
from harness.telemetry import parquet
from reports.certificate.envelope import open_envelope
from tests.acceptance.runs import Run, rackproof


def spellings(secret: str) -> set[bytes]:
    """A secret in every form in which it could be written down: its middle, where a form depends on what is beside."""
    plain = secret.encode()
    found = {plain, plain.hex().encode(), plain.hex().upper().encode(), plain[::-1]}
    found |= {quote(secret, safe="").encode(), quote_plus(secret).encode(), escape(secret).encode()}
    found |= {json.dumps(secret)[1:-1].encode(), repr(secret)[1:-1].encode(), secret.encode("utf-16-le")}
    for before in range(3):
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            # The characters at both ends hold bits of what stands beside the secret.
            found.add(encode(b"\0" * before + plain)[4 if before else 0 : -4])
    return found


def artefacts(directory: Path) -> Iterator[tuple[str, bytes]]:
    """Every file of a run directory, and what is packed inside of them."""
    for file in sorted(directory.rglob("*")):
        if file.is_file():
            yield str(file.relative_to(directory)), file.read_bytes()
    rows = parquet.read(sorted((directory / "telemetry").glob("*.parquet")))
    yield "telemetry, unpacked", "\n".join(str(row) for row in rows).encode("utf-8", "backslashreplace")
    for bundle in directory.glob("*.intoto.jsonl"):
        for line in bundle.read_bytes().splitlines(keepends=True):
            yield f"{bundle.name}, payload", open_envelope(line).payload
    for paper in directory.glob("*.pdf"):
        if subprocess.run(["which", "pdftotext"], capture_output=True, check=False).returncode == 0:
            done = subprocess.run(["pdftotext", "-raw", str(paper), "-"], capture_output=True, check=True)
            yield f"{paper.name}, text", done.stdout.replace(b"\n", b"").replace("\u200b".encode(), b"")


def where_shown(secrets: dict[str, str], texts: list[tuple[str, bytes]]) -> list[str]:
    """Which secret stands where."""
    forms = {name: spellings(value) for name, value in secrets.items()}
    return [
        f"{name} in {place}" for place, text in texts for name, spelt in forms.items() if any(s in text for s in spelt)
    ]


@pytest.mark.scenario("--seed", "1")
def test_a_whole_run_shows_no_secret(run: Run) -> None:
    secrets = dict(run.secrets)
    assert len(secrets) >= 5, "the rack's own secrets were not seen"
    texts = [
        *artefacts(run.directory),
        ("what it said", run.said.encode()),
        ("result", json.dumps(run.result).encode()),
    ]
    assert len(texts) > 20
    assert where_shown(secrets, texts) == []
    assert run.exposed == ()
    assert run.directory.stat().st_mode & 0o777 == 0o700, "logs and serials are for whoever runs the station"


def test_the_search_finds_every_form() -> None:
    secret = 'p"ä/ss-w<rd+12345678'
    forms = [
        secret, f"x{secret}y", secret.encode().hex(), quote(secret, safe=""), json.dumps({"a": secret}), escape(secret),
        *(base64.b64encode(b"_" * n + secret.encode() + b"tail").decode() for n in range(4)),
    ]  # fmt: skip
    for form in forms:
        assert where_shown({"one": secret}, [("here", form.encode())]) == ["one in here"], form
    assert where_shown({"one": secret}, [("here", b"nothing of it")]) == []


@pytest.fixture(scope="module")
def refused(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, str], list[tuple[str, bytes]]]:
    """What is said of every device of a rack whose secrets are all wrong: the wrong ones, the right ones, the words."""
    folder = tmp_path_factory.mktemp("refusing")
    with simulated_rack(Simulation(model_path("bench4"), pace=1.0), folder, sys.stderr) as bay:
        secrets: dict[str, str] = {}
        for name, source in load_bay(bay).secrets.items():
            file = bay.parent / str(source.file)
            wrong = f'wr0ng+{name}/&"<{"x" * 12}'
            secrets |= {f"right {name}": file.read_text("utf-8").strip(), f"wrong {name}": wrong}
            file.write_text(wrong + "\n", "utf-8")
        done = rackproof("probe", "--bay", str(bay), "--json", timeout=240)
        said = [("standard output", done.stdout), ("standard error", done.stderr)]
        said += [("simulator", (folder / "simulator.log").read_text("utf-8", "replace"))]
        refusals = {each["device"] for each in json.loads(done.stdout)["devices"] if each["problems"]}
    assert refusals >= {"tray-01", "tray-01-host", "switch-1", "pdu-a", "pdu-b"}
    return secrets, [(name, text.encode()) for name, text in said]


def test_no_refusal_shows_a_secret(refused: tuple[dict[str, str], list[tuple[str, bytes]]]) -> None:
    """Redfish, SSH and SNMP in both versions: neither the secret that was sent nor the one that was wanted."""
    secrets, said = refused
    assert len(secrets) >= 10
    assert where_shown(secrets, said) == []
