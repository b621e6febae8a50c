"""What a job was started as: kept beside it on the host, so that any later session can read its output."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

from harness.workload import Load


@dataclass(frozen=True, slots=True)
class Spec:
    """A load but for its name, which is empty; `text` is all of it as canonical JSON, the same for the same load."""

    load: Load
    text: str

    @classmethod
    def of(cls, load: Load) -> Spec:
        """The specification of a load."""
        load = replace(load, name="")
        whole = {field: getattr(load, field) for field in Load.__slots__ if field != "name"}
        text = json.dumps(whole, sort_keys=True, separators=(",", ":"), allow_nan=False)
        return cls(load, text)

    @classmethod
    def read(cls, text: str) -> Spec | None:
        """The specification as a host has kept it; None where it is not whole."""
        try:
            whole = json.loads(text)
            fields = {field: whole[field] for field in Load.__slots__ if field != "name"}
            load = Load(name="", **fields)
        except (ValueError, LookupError, TypeError, RecursionError):
            return None
        return cls(load, text) if _is_sound(load) else None


@dataclass(frozen=True, slots=True)
class Printed:
    """What a load has printed, and its exit code: None as long as it has none, or none of its own."""

    load: Load
    text: str
    exit_code: int | None


def _is_sound(load: Load) -> bool:
    words = (load.kind, load.tool, load.interface, load.peer, load.directory)
    numbers = (load.seconds, load.limit, load.intensity, load.size, load.units)
    return all(isinstance(word, str) for word in words) and all(
        isinstance(number, int | float) and not isinstance(number, bool) for number in numbers
    )
