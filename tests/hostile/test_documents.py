"""Model, bay and baselines files that nobody means well with: one clear message each, in bounded memory and time."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.errors import DefinitionError
from harness.rack.document import LARGEST, read_document
from harness.rack.load import load_bay, load_model

SHIPPED = Path(__file__).parents[2] / "test_plans" / "models" / "bench4.yaml"
Confined = Callable[..., str]


def repeated(line: str, first: str) -> str:
    """Twelve levels, each of which names the one before nine times: 9 ** 11 values at the end of it."""
    levels = range(1, 12)
    return first + "".join(line.format(n=n, before=",".join([f"*a{n - 1}"] * 9)) for n in levels)


ALIASES = repeated("a{n}: &a{n} [{before}]\n", "a0: &a0 [x, x, x, x, x, x, x, x, x]\n")
MERGES = repeated("a{n}: &a{n}\n  <<: [{before}]\n", "a0: &a0 {k: v}\n")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (ALIASES, "too many values"),
        (MERGES, "too many values"),
        ("a: &a [*a]", "inside what it stands for"),
        ("[" * 100_000, "nested too deeply"),
        ("".join(" " * depth + "a:\n" for depth in range(60)), "nested too deeply"),
        ("a: 1\na: 2\n", "a second time"),
        ("a: " + ":".join(["1"] * 400) + ".5", "no plain text, number"),
        ("a: " + ":".join(["1"] * 100_000), "no plain text, number"),
        ("a: 0x" + "f" * 100_000, "no plain text, number"),
        ("a: " + "1" * 100_000, "no plain text, number"),
        ("a: .nan", "no finite number"),
        ("a: !!python/object/apply:os.system [ls]", "only plain mappings"),
        ('a: "\\e[2J"', "U+001B"),
        ('a: "\\x9b2J"', "U+009B"),
        ('a: "\\0"', "U+0000"),
        ('"\\e[2J": 1', "U+001B"),
        ("a: PASS\u202eLIAF", "U+202E"),
        ("a: x\u2066y", "U+2066"),
        ('a: "\\ud800"', "U+D800"),
        ("a: \x00", "no valid YAML"),
    ],
)
def test_a_text_that_is_no_definition_is_refused_where_it_is_wrong(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "rack.yaml"
    file.write_text(text, "utf-8")
    with pytest.raises(DefinitionError, match=re.escape(said)) as refused:
        read_document(file)
    assert len(str(refused.value)) < 1000, "a message is no copy of the file"
    assert str(refused.value).isprintable() or "\n" in str(refused.value)


def test_octets_that_are_no_text(tmp_path: Path) -> None:
    file = tmp_path / "rack.yaml"
    file.write_bytes(b"name: bench\n\xff\xfe\x00\x01")
    with pytest.raises(DefinitionError, match=r"rack\.yaml:2: .*not UTF-8"):
        read_document(file)


def test_a_pipe_a_device_and_a_folder_are_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    for name in (tmp_path / "pipe.yaml", Path("/dev/zero"), tmp_path):
        with pytest.raises(DefinitionError, match=r"pipe or a device|directory"):
            read_document(name)
    (tmp_path / "link.yaml").symlink_to(tmp_path / "pipe.yaml")
    with pytest.raises(DefinitionError, match="pipe or a device"):
        load_bay(tmp_path / "link.yaml")
    (tmp_path / "loop.yaml").symlink_to(tmp_path / "loop.yaml")
    with pytest.raises(DefinitionError, match="cannot be read"):
        load_bay(tmp_path / "loop.yaml")


def test_a_model_may_be_a_link_to_a_model(tmp_path: Path) -> None:
    (tmp_path / "link.yaml").symlink_to(SHIPPED)
    assert load_model(tmp_path / "link.yaml").name == "bench4"


@pytest.mark.parametrize("where", ["/etc/passwd", "../elsewhere.yaml", "sub/../../elsewhere.yaml", "pipe.yaml"])
def test_a_model_names_no_baselines_elsewhere(tmp_path: Path, where: str) -> None:
    """What is read there would be told in the message."""
    (tmp_path / "elsewhere.yaml").write_text("a secret: of another file\n", "utf-8")
    folder = tmp_path / "models"
    folder.mkdir()
    os.mkfifo(folder / "pipe.yaml")
    model = folder / "rack.yaml"
    model.write_text(f"baselines: {where}\n" + SHIPPED.read_text("utf-8"), "utf-8")
    with pytest.raises(DefinitionError, match=r"rack\.yaml:1: baselines: ") as refused:
        load_model(model)
    assert "secret" not in str(refused.value)
    assert "root:" not in str(refused.value)


@pytest.mark.parametrize("address", ["https://10.0.0.1\\n.example", "https://10.0.0.1/\\t", "https://10.0.0.1 "])
def test_an_address_holds_nothing_that_is_not_seen(tmp_path: Path, address: str) -> None:
    """`urlsplit` takes line ends and tabs out without a word."""
    bay = tmp_path / "bay.yaml"
    lines = "name: b\nsite: s\nstation: t\ndevices:\n  tray-01: {driver: bmc, address: "
    bay.write_text(f'{lines}"{address}"}}\n', "utf-8")
    with pytest.raises(DefinitionError, match=r"devices\.tray-01\.address: .*no spaces"):
        load_bay(bay)


@pytest.mark.parametrize("name", ["../tray", "tray/01", "tray 01", "tray\u202e01", "ｔray", "."])
def test_a_device_is_called_by_a_plain_name(tmp_path: Path, name: str) -> None:
    bay = tmp_path / "bay.yaml"
    lines = "name: b\nsite: s\nstation: t\ndevices:\n"
    bay.write_text(f'{lines}  "{name}": {{driver: bmc, address: "https://10.0.0.1"}}\n', "utf-8")
    with pytest.raises(DefinitionError):
        load_bay(bay)


def test_files_of_any_size_take_bounded_memory_and_time(tmp_path: Path, confined: Confined) -> None:
    """1 GiB that is not there, and values that repeat themselves without end."""
    with (tmp_path / "sparse.yaml").open("wb") as file:
        file.truncate(2**30)
    (tmp_path / "aliases.yaml").write_text(ALIASES, "utf-8")
    (tmp_path / "merges.yaml").write_text(MERGES, "utf-8")
    said = confined(
        "from pathlib import Path\nfrom harness.rack.document import read_document\n"
        "from harness.errors import DefinitionError",
        f"for name in ('sparse', 'aliases', 'merges'):\n"
        f"    try:\n        read_document(Path({str(tmp_path)!r}) / (name + '.yaml'))\n"
        "    except DefinitionError as error:\n        print(name, error)\n",
        mib=256,
    )
    assert len(said.splitlines()) == 3, said
    assert "longer than 4 MiB" in said.splitlines()[0]


@pytest.mark.long
def test_more_values_than_any_rack_has_take_bounded_memory(tmp_path: Path, confined: Confined) -> None:
    """Some seconds of CPU, too many for every day."""
    (tmp_path / "many.yaml").write_text("- a\n" * (2 * LARGEST), "utf-8")
    said = confined(
        "from pathlib import Path\nfrom harness.rack.document import read_document\n"
        "from harness.errors import DefinitionError",
        f"try:\n    read_document(Path({str(tmp_path / 'many.yaml')!r}))\n"
        "except DefinitionError as error:\n    print(error)\n",
        mib=256,
    )
    assert "too many values" in said
