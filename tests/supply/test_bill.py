"""The bill of materials: complete, sound by the rules of CycloneDX 1.6, and the same bytes each time."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import Any

import jsonschema
import pytest

from tests.supply.bill import bill, spelled
from tests.supply.lock import ROOT, RUN, read_lock

TEXT = {"type": "string", "minLength": 1}
HASH = {
    "type": "object",
    "required": ["alg", "content"],
    "additionalProperties": False,
    "properties": {"alg": {"enum": ["SHA-256"]}, "content": {"type": "string", "pattern": "^[a-f0-9]{64}$"}},
}
COMPONENT = {
    "type": "object",
    "required": ["type", "name", "version", "purl", "bom-ref"],
    "additionalProperties": False,
    "properties": {
        "type": {"enum": ["application", "library"]},
        "bom-ref": TEXT,
        "name": TEXT,
        "version": TEXT,
        "purl": {"type": "string", "pattern": "^pkg:pypi/[a-z0-9-]+@[^@]+$"},
        "scope": {"enum": ["required", "optional", "excluded"]},
        "hashes": {"type": "array", "minItems": 1, "uniqueItems": True, "items": HASH},
        "licenses": {
            "type": "array",
            "maxItems": 1,
            "items": {
                "type": "object",
                "required": ["expression"],
                "additionalProperties": False,
                "properties": {"expression": TEXT},
            },
        },
        "properties": {"type": "array", "items": {"type": "object", "required": ["name", "value"]}},
    },
}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["bomFormat", "specVersion", "serialNumber", "version", "metadata", "components", "dependencies"],
    "additionalProperties": False,
    "properties": {
        "$schema": {"const": "http://cyclonedx.org/schema/bom-1.6.schema.json"},
        "bomFormat": {"const": "CycloneDX"},
        "specVersion": {"const": "1.6"},
        "serialNumber": {
            "type": "string",
            "pattern": "^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$",
        },
        "version": {"type": "integer", "minimum": 1},
        "metadata": {
            "type": "object",
            "required": ["component"],
            "properties": {
                "component": COMPONENT,
                "lifecycles": {"type": "array", "items": {"properties": {"phase": {"enum": ["build"]}}}},
            },
        },
        "components": {"type": "array", "uniqueItems": True, "items": COMPONENT},
        "dependencies": {
            "type": "array",
            "uniqueItems": True,
            "items": {
                "type": "object",
                "required": ["ref"],
                "additionalProperties": False,
                "properties": {"ref": TEXT, "dependsOn": {"type": "array", "uniqueItems": True, "items": TEXT}},
            },
        },
    },
}
"""The part of the JSON schema of CycloneDX 1.6 that a bill of Python packages meets, written from its reference."""


@pytest.fixture(scope="module")
def made() -> dict[str, Any]:
    return bill(read_lock(RUN))


def test_it_is_sound(made: dict[str, Any]) -> None:
    jsonschema.Draft7Validator.check_schema(SCHEMA)
    jsonschema.Draft7Validator(SCHEMA).validate(made)


def test_it_holds_every_locked_release_with_all_that_is_known(made: dict[str, Any]) -> None:
    listed = {each["name"]: each for each in made["components"]}
    for release in read_lock(RUN):
        component = listed.pop(release.name)
        assert component["version"] == str(release.version)
        assert [each["content"] for each in component["hashes"]] == list(release.hashes)
        assert component["licenses"][0]["expression"], release.name
    assert listed == {}


def test_its_references_lead_somewhere_and_reach_everything(made: dict[str, Any]) -> None:
    own = made["metadata"]["component"]["bom-ref"]
    known = {own, *(each["bom-ref"] for each in made["components"])}
    needs = {each["ref"]: each["dependsOn"] for each in made["dependencies"]}
    assert set(needs) == known
    reached, wanted = set[str](), [own]
    while wanted:
        ref = wanted.pop()
        assert ref in known
        if ref not in reached:
            reached.add(ref)
            wanted += needs[ref]
    unneeded = {
        each["bom-ref"]
        for each in made["components"]
        if each["scope"] == "required" and not each["name"].startswith("setuptools")
    } - reached
    assert unneeded == set(), "a locked package that nothing asks for"


def test_it_is_the_same_each_time_and_names_no_machine(made: dict[str, Any]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.supply.bill"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == spelled(made)
    assert json.loads(done.stdout) == made
    assert not re.search(r"timestamp|/home|/root|file:", done.stdout)
