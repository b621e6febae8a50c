"""The errors of Rackproof, sorted by who must act.

    RackproofError
    ├── DefinitionError        edit the file; nothing was touched
    ├── PlanError              the plan contradicts itself or the model
    ├── DeviceError            a device, its cable or its address
    │   ├── Unreachable        no answer: refused, silent, cut off
    │   ├── Refused            it answered no: wrong secret, not allowed; never retried, lock-outs are real
    │   ├── Misbehaved         it answered something that cannot be right; the raw exchange is attached
    │   └── Unsupported        it cannot do what was asked
    └── Tripped                an interlock fired: stop, the rack has been made safe

A limit that is not met is no error: it is a measurement.
Texts name what was attempted on which device, what was seen, and what to do next.
"""

from __future__ import annotations

from dataclasses import dataclass


class RackproofError(Exception):
    """Root of everything Rackproof raises on purpose."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong in one place of a file."""

    where: str
    """File and line, as `bench4.yaml:42`; only the file where no line is known."""
    path: str
    """Dotted path inside the document, as `limits.coolant.flow`; empty for the whole file."""
    text: str
    """What is wrong and, where it can be guessed, what was meant."""

    def __str__(self) -> str:
        return f"{self.where}: {self.path}: {self.text}" if self.path else f"{self.where}: {self.text}"


class DefinitionError(RackproofError):
    """A file or an argument is wrong; every problem found is listed, and no device was contacted."""

    def __init__(self, problems: tuple[Problem, ...] | list[Problem] | str) -> None:
        listed = (Problem("command line", "", problems),) if isinstance(problems, str) else tuple(problems)
        self.problems: tuple[Problem, ...] = listed
        super().__init__("\n".join(str(problem) for problem in listed))


class PlanError(RackproofError):
    """A plan names a limit, role or capability that the definition does not have, or declares nothing."""


class DeviceError(RackproofError):
    """A device could not be used as asked.

    `device` is its name in the rack, `attempted` what was tried, `seen` what came back, `advice` the next thing to do.
    """

    def __init__(self, device: str, attempted: str, seen: str, advice: str = "", exchange: str = "") -> None:
        self.device = device
        self.attempted = attempted
        self.seen = seen
        self.advice = advice
        self.exchange = exchange
        text = f"{device}: {attempted}: {seen}"
        super().__init__(f"{text}. {advice}" if advice else text)


class Unreachable(DeviceError):
    """Nothing usable came back within the deadline."""


class Refused(DeviceError):
    """The device understood and said no; asking again may lock the account."""


class Misbehaved(DeviceError):
    """The answer cannot be right, or a write did not read back; `exchange` holds the raw bytes, redacted."""


class Unsupported(DeviceError):
    """The device has no such ability."""


class Tripped(RackproofError):
    """An interlock fired while a step was running."""

    def __init__(self, interlock: str, text: str) -> None:
        self.interlock = interlock
        super().__init__(f"interlock {interlock}: {text}")
