"""No device is believed unseen: no line of ours turns a check off, and what is built from a bay checks what it must."""

from __future__ import annotations

import ast
import re
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import pytest

from drivers.transports.redfish_trust import trust_of
from harness.connection import Connection
from harness.errors import DefinitionError
from tests.supply.lock import ROOT

ROOMS = ("harness", "drivers", "reports", "test_plans")
OFF = {
    "AutoAddPolicy", "WarningPolicy", "MissingHostKeyPolicy", "CERT_NONE", "CERT_OPTIONAL",
    "_create_unverified_context", "_create_stdlib_context", "disable_warnings",
}  # fmt: skip
"""Names by which the libraries that we use look away."""
SWITCHES = {"verify", "ssl", "check_hostname", "verify_ssl", "assert_hostname", "ssl_verify"}


def modules() -> Iterator[tuple[Path, ast.Module]]:
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            text = path.read_text("utf-8")
            if any(word in text for word in (*OFF, *SWITCHES, "verify_mode")):
                yield path, ast.parse(text)


def test_no_line_looks_away() -> None:
    guilty = []
    for path, tree in modules():
        for node in ast.walk(tree):
            name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
            if name in OFF:
                guilty.append(f"{path.name}:{node.lineno}: {name}")  # type: ignore[attr-defined]
            if isinstance(node, ast.keyword) and node.arg in SWITCHES and _is_off(node.value):
                guilty.append(f"{path.name}:{node.value.lineno}: {node.arg}")
            if isinstance(node, ast.Assign) and _is_off(node.value):
                names = {target.attr for target in node.targets if isinstance(target, ast.Attribute)}
                guilty += [f"{path.name}:{node.lineno}: {each}" for each in names & {*SWITCHES, "verify_mode"}]
    assert guilty == []


def _is_off(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value in (False, 0)


def test_no_address_of_the_product_is_unencrypted() -> None:
    """Redfish over plain HTTP is no scheme of ours."""
    for room in ("drivers", "harness"):
        for path in (ROOT / room).rglob("*.py"):
            assert not re.search(r"[\"']http://", path.read_text("utf-8")), path.name


def connection(**options: str) -> Connection:
    return Connection("tray-01", "https://10.0.0.1", options=options, now=lambda: datetime.now(UTC))


def test_without_a_pin_names_and_authorities_are_checked() -> None:
    trust = trust_of(connection())
    assert isinstance(trust, ssl.SSLContext)
    assert (trust.verify_mode, trust.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert trust.minimum_version >= ssl.TLSVersion.TLSv1_2


def test_a_pin_is_a_whole_digest() -> None:
    assert isinstance(trust_of(connection(fingerprint="ab" * 32)), aiohttp.Fingerprint)
    for wrong in ("", "ab" * 20, "ab" * 16, "no", "zz" * 32):
        with pytest.raises(DefinitionError, match="SHA-256"):
            trust_of(connection(fingerprint=wrong))


def test_an_authority_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_text("", "utf-8")
    for path in (tmp_path / "empty.pem", tmp_path / "nowhere.pem", tmp_path):
        with pytest.raises(DefinitionError, match="ca"):
            trust_of(connection(ca=str(path)))
