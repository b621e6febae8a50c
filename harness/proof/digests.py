"""What a proof holds for, as digests: the plan, the model and its limits, the drivers with their profiles, the rest.

Files are hashed as they are installed, by path and content, so that an edit on a station is seen like a release.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from importlib.metadata import entry_points, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from harness.registry import DRIVERS

SIMULATOR = "fixtures"
"""The package of the simulated rack: started as a process of its own, never imported here."""
JUDGING = ("limits", "interlocks")
"""The sections of a model that decide what fails."""
SUFFIXES = (".py", ".yaml", ".json")

CHANGES = {
    "plan": "the plan changed since",
    "limits": "the model's limits changed since",
    "model": "the model changed since",
    "drivers": "the drivers changed since",
    "release": "it was made with another release of Rackproof",
}
"""What a digest that differs means; in this order, the first that is told."""
REMARKS = {
    "harness": "the harness was built otherwise when the plan was proven",
    "simulator": "the simulated rack was another when the plan was proven",
}
"""What is worth knowing and takes nothing away: neither decides what a driver reads or which limit it is held to."""


def digests(plan: str, model: Mapping[str, Any]) -> dict[str, str]:
    """What runs now, by name. `plan` is the plan's own digest, `model` the model's content as plain JSON."""
    return {
        "plan": plan,
        **of_model(model),
        "drivers": of_packages({point.module.partition(".")[0] for point in entry_points(group=DRIVERS)}),
        "simulator": of_packages([SIMULATOR]),
        "harness": of_packages(["harness"]),
        "release": version("rackproof"),
    }


def of_model(model: Mapping[str, Any]) -> dict[str, str]:
    """The digests that follow from a model's content: of all of it, and of what judges."""
    return {"model": _of(model), "limits": _of({name: model.get(name) for name in JUDGING})}


def of_packages(names: Iterable[str]) -> str:
    """SHA-256 over the modules and data files of installed packages; empty text stands for one that is not there."""
    total = hashlib.sha256()
    for name in sorted(names):
        spec = find_spec(name)
        for folder in sorted((spec.submodule_search_locations or ()) if spec else ()):
            for path in sorted(Path(folder).rglob("*")):
                if path.suffix in SUFFIXES and path.is_file():
                    inner = hashlib.sha256(path.read_bytes()).hexdigest()
                    total.update(f"{inner}  {name}/{path.relative_to(folder).as_posix()}\n".encode())
    return total.hexdigest()


def differences(proven: Mapping[str, str], running: Mapping[str, str]) -> tuple[str, ...]:
    """Why a proof does not hold for what runs now; none where it does. Changed limits are told, not the model too."""
    changed = [name for name in CHANGES if not running.get(name) or proven.get(name) != running[name]]
    if "limits" in changed and "model" in changed:
        changed.remove("model")
    return tuple(CHANGES[name] for name in changed)


def remarks(proven: Mapping[str, str], running: Mapping[str, str]) -> tuple[str, ...]:
    """What else is not as it was when the plan was proven."""
    return tuple(text for name, text in REMARKS.items() if proven.get(name) != running.get(name))


def _of(content: object) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
