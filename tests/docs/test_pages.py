"""The pages themselves: command lines parse, links lead somewhere, nothing of one machine stands in them."""

from __future__ import annotations

import re
import shlex
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from harness import cli

ROOT = Path(__file__).parents[2]
LARGEST = 300_000
# Spelled apart, so that this file does not name them either.
FOREIGN = re.compile("|".join(f"/{name}/" for name in ("work", "home", "root")) + "|localhost:|index-url|py" + "pi")
ADDRESS = re.compile(r"https?://(?!10\.|host)[^\s)`|]+")


def test_every_command_line_parses(pages: Any) -> None:
    commands = pages.commands()
    assert len(commands) > 20
    for page, line in commands:
        words = shlex.split(line, comments=True)
        try:
            parsed = cli._parser().parse_args(words[1:])
        except SystemExit:
            pytest.fail(f"{page}: {line} is no command line of rackproof")
        assert parsed.command == words[1]


def test_every_command_is_told(pages: Any) -> None:
    told = {line.split()[1] for page, line in pages.commands() if page == "README.md"}
    assert told == set(cli.EXAMPLES)


def test_every_make_target_is_there(pages: Any) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    named = {name for text in pages.texts.values() for name in re.findall(r"\bmake (demo|test[a-z-]*|lint)\b", text)}
    assert {"demo", "test"} <= named <= targets


def test_links_lead_to_files(pages: Any) -> None:
    for page, text in pages.texts.items():
        for link in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text):
            assert (ROOT / page).parent.joinpath(link).exists(), f"{page}: {link}"


def test_anchors_lead_to_headings(pages: Any) -> None:
    for page, text in pages.texts.items():
        for link, anchor in re.findall(r"\]\(([^)#]+)#([^)]*)\)", text):
            target = (ROOT / page).parent.joinpath(link).read_text("utf-8")
            headings = {
                re.sub(r"[^a-z0-9 -]", "", h.lower()).replace(" ", "-") for h in re.findall(r"^#+ (.+)$", target, re.M)
            }
            assert anchor in headings, f"{page}: {link}#{anchor}"


def test_the_debian_packages_are_those_of_ci(pages: Any) -> None:
    found = re.search(r"^packages=\(([^)]*)\)", (ROOT / ".ci" / "run").read_text("utf-8"), re.MULTILINE)
    assert found
    assert [name for name in found[1].split() if f"`{name}`" not in pages.texts["README.md"]] == []


def test_nothing_of_one_machine_and_no_link_elsewhere(pages: Any) -> None:
    for page, text in pages.texts.items():
        assert not FOREIGN.search(text), f"{page}: {FOREIGN.search(text)}"
        assert not ADDRESS.search(text), f"{page}: {ADDRESS.search(text)}"


def test_pictures_are_small(pages: Any) -> None:
    pictures = list((ROOT / "docs" / "images").iterdir())
    assert {path.name for path in pictures} == {"screen.png", "certificate.png"}
    assert all(path.stat().st_size < LARGEST for path in pictures)


def test_numbers_are_those_of_the_code(pages: Any) -> None:
    from drivers.host import connect
    from harness.connection import Connection
    from harness.plugin.collection import Collection
    from harness.quiet import run_plan
    from harness.rack.definition import offline_definition
    from harness.rack.load import load_model, model_path
    from harness.running import FREE_SPACE, shipped_plan
    from harness.simulation import PACE

    collection = Collection(offline_definition(load_model(model_path("bench4")), "bench4.yaml"), shipped_plan())
    run_plan(shipped_plan(), {"rackproof-collection": collection}, "--collect-only")
    readme, operations = pages.texts["README.md"], pages.texts["docs/operations.md"]
    stages = list(dict.fromkeys(step.stage for step in collection.steps))
    assert f" {len(collection.steps)} steps," in readme
    assert f"runs {PACE:.0f} times as fast" in readme
    assert f"At least {FREE_SPACE // 2**20} MiB" in operations
    assert ", ".join(f"`{stage}`" for stage in stages[:-1]) in " ".join(pages.texts["docs/plans.md"].split())
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"
    options = {"host_key": key, "key_file": "key"}
    host = connect(Connection("a", "ssh://10.0.0.1", user="b", options=options, now=lambda: datetime.now(UTC)))
    assert f"renews it every {host.lease / 3:.0f} s; {host.lease:.0f} s after" in " ".join(operations.split())
