"""The baselines file: its text, which depends on nothing but what was learned, and its writing in one rename."""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path

import yaml

from harness.baselines.learning import Lesson
from harness.errors import DefinitionError
from harness.rack.baselines import Baselines, Origin

HEADER = """\
# Learned by `rackproof baseline` from the accepted runs named below. Do not edit it: learn it again.
"""


def baselines_of(lesson: Lesson, release: str) -> Baselines:
    """What was learned, as it stands in a file; `release` is that of Rackproof."""
    return Baselines(
        schema_version=1,
        model=lesson.racks[0].model,
        revisions=tuple(sorted({rack.revision for rack in lesson.racks})),
        simulated=lesson.racks[0].simulated,
        rackproof=release,
        until=max(rack.ended for rack in lesson.racks).date(),
        keys=dict(lesson.keys),
        runs=tuple(
            Origin(run=rack.run, serial=rack.serial, journal=rack.journal, certificate=rack.certificate)
            for rack in lesson.racks
        ),
        left_out=lesson.left_out,
    )


def text_of(baselines: Baselines) -> str:
    """The file's text; the same baselines give the same bytes."""
    plain = baselines.model_dump(mode="json")
    return HEADER + yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, width=1000)


def write(path: Path, baselines: Baselines) -> str:
    """Write the file, whole or not at all, over an older one; returns its SHA-256. Raises DefinitionError."""
    data = text_of(baselines).encode("utf-8")
    draft = path.with_name(f".{path.name}.draft")
    try:
        with draft.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
        _sync(path.parent)
    except OSError as error:
        raise DefinitionError(f"{path} cannot be written: {error.strerror}. Choose another place with --out") from error
    finally:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)
    return hashlib.sha256(data).hexdigest()


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
