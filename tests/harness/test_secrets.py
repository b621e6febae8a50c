"""Secrets: found where the bay says, never shown; all that are missing are named at once, with what to do."""

from __future__ import annotations

import os
import subprocess
import sys
import types
from pathlib import Path

import pytest

from harness.connection import Secret
from harness.errors import DefinitionError, Problem
from harness.rack.bay import Bay
from harness.secrets import resolve

VALUE = "correct horse"


def test_who_holds_secrets_leaves_no_core_and_cannot_be_looked_into(tmp_path: Path) -> None:
    """core(5), prctl(2): neither a file, nor a program that is handed the core, nor another process of the user."""
    _, file = bay_of(tmp_path, one={"file": "one"})
    (tmp_path / "one").touch(0o600)
    (tmp_path / "one").write_text(VALUE, "utf-8")
    code = (
        "import ctypes, resource, sys\nfrom pathlib import Path\nfrom harness.rack.load import load_bay\n"
        "from harness.secrets import resolve\nresolve(load_bay(Path(sys.argv[1])), Path(sys.argv[1]))\n"
        "print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0), resource.getrlimit(resource.RLIMIT_CORE)[0])"
    )
    done = subprocess.run([sys.executable, "-c", code, str(file)], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["0", "0"]


def bay_of(folder: Path, **sources: dict[str, str]) -> tuple[Bay, Path]:
    """A bay with one device that names every given secret."""
    lines = ["name: bay-1", "site: s", "station: t", "devices:"]
    purposes = ", ".join(f"p-{name}: {name}" for name in sources)
    lines += [f"  pdu-a: {{driver: pdu, address: 'snmp://10.0.0.1', secrets: {{{purposes}}}}}", "secrets:"]
    for name, source in sources.items():
        lines += [f"  {name}: {{{', '.join(f'{key}: {value}' for key, value in source.items())}}}"]
    file = folder / "bay.yaml"
    file.write_text("\n".join(lines), "utf-8")
    bay = Bay.model_validate(
        {
            "name": "bay-1",
            "site": "s",
            "station": "t",
            "devices": {
                "pdu-a": {
                    "driver": "pdu",
                    "address": "snmp://10.0.0.1",
                    "secrets": {f"p-{name}": name for name in sources},
                }
            },
            "secrets": sources,
        }
    )
    return bay, file


def keep(path: Path, data: bytes, mode: int = 0o600) -> None:
    path.write_bytes(data)
    path.chmod(mode)


def refused(bay: Bay, file: Path) -> tuple[Problem, ...]:
    with pytest.raises(DefinitionError) as caught:
        resolve(bay, file)
    assert VALUE not in str(caught.value)
    return caught.value.problems


def test_secret_comes_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PDU_SECRET", VALUE)
    found = resolve(*bay_of(tmp_path, pdu={"env": "PDU_SECRET"}))
    assert list(found) == ["pdu"]
    assert found["pdu"].reveal() == VALUE
    assert found["pdu"].name == "pdu"


@pytest.mark.parametrize("data", [VALUE, VALUE + "\n", VALUE + "\r\nsecond line\n"])
def test_secret_is_the_first_line_of_a_file_beside_the_bay(data: str, tmp_path: Path) -> None:
    keep(tmp_path / "pdu.secret", data.encode())
    assert resolve(*bay_of(tmp_path, pdu={"file": "pdu.secret"}))["pdu"].reveal() == VALUE


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o601, 0o777])
def test_file_open_to_others_is_refused(mode: int, tmp_path: Path) -> None:
    keep(tmp_path / "pdu.secret", VALUE.encode(), mode)
    (problem,) = refused(*bay_of(tmp_path, pdu={"file": "pdu.secret"}))
    assert f"{mode:04o}" in problem.text
    assert "chmod 600" in problem.text
    assert problem.where == "bay.yaml:7"


def test_what_is_no_secret_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir(mode=0o700)
    os.mkfifo(tmp_path / "pipe", 0o600)
    keep(tmp_path / "empty", b"")
    keep(tmp_path / "blank", b"\nsecond")
    keep(tmp_path / "binary", b"\xff\xfe")
    bay, file = bay_of(
        tmp_path,
        gone={"file": "gone"},
        directory={"file": "folder"},
        pipe={"file": "pipe"},
        empty={"file": "empty"},
        blank={"file": "blank"},
        binary={"file": "binary"},
    )
    texts = [problem.text for problem in refused(bay, file)]
    expected = ["No such file", "no regular file", "no regular file", "is empty", "is empty", "not UTF-8"]
    assert [part for part, text in zip(expected, texts, strict=True) if part not in text] == []


def test_all_missing_secrets_are_named_at_once_without_those_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOUND", VALUE)
    monkeypatch.setenv("EMPTY", "")
    monkeypatch.delenv("GONE", raising=False)
    monkeypatch.setitem(sys.modules, "keyring", None)
    bay, file = bay_of(
        tmp_path,
        found={"env": "FOUND"},
        gone={"env": "GONE"},
        empty={"env": "EMPTY"},
        ring={"keyring": "rack/user"},
        nowhere={},
    )
    problems = refused(bay, file)
    assert [problem.path for problem in problems] == [
        f"secrets.{name}" for name in ("gone", "empty", "ring", "nowhere")
    ]
    assert "export it" in problems[0].text
    assert "not installed" in problems[2].text


def test_first_source_given_must_hold_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GONE", raising=False)
    keep(tmp_path / "pdu.secret", VALUE.encode())
    (problem,) = refused(*bay_of(tmp_path, pdu={"env": "GONE", "file": "pdu.secret"}))
    assert "GONE" in problem.text


def test_secret_that_nothing_names_is_not_looked_up(tmp_path: Path) -> None:
    bay, file = bay_of(tmp_path)
    unused = bay.model_copy(
        update={"secrets": Bay.model_validate({**bay.model_dump(), "secrets": {"x": {"env": "GONE"}}}).secrets}
    )
    assert resolve(unused, file) == {}


def test_undeclared_name_is_not_repeated(tmp_path: Path) -> None:
    bay, file = bay_of(tmp_path, hunter2={"env": "X"})
    (problem,) = refused(bay.model_copy(update={"secrets": {}}), file)
    assert "hunter2" not in str(problem)


def test_keyring_is_asked_where_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ring = types.ModuleType("keyring")
    errors = types.ModuleType("keyring.errors")
    errors.KeyringError = type("KeyringError", (Exception,), {})  # type: ignore[attr-defined]
    stored = {("rack", "user"): VALUE}

    def get_password(service: str, user: str) -> str | None:
        if service == "locked":
            raise errors.KeyringError(VALUE)
        return stored.get((service, user))

    ring.errors, ring.get_password = errors, get_password  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "keyring", ring)
    assert resolve(*bay_of(tmp_path, pdu={"keyring": "rack/user"}))["pdu"].reveal() == VALUE
    locked, gone = refused(*bay_of(tmp_path, a={"keyring": "locked/user"}, b={"keyring": "rack/other"}))
    assert "unlock" in locked.text
    assert "keyring set rack other" in gone.text


def test_secret_is_never_printed() -> None:
    secret = Secret("pdu", VALUE)
    assert VALUE not in f"{secret} {secret!r} {secret!s} {[secret]}"
