"""The log policy: what each known line of a kernel log means for a new rack, as data, strict and checked once.

The data are in `log_policy.yaml` beside this module. Patterns are searched in one line of at most a few thousand
characters: no repetition in them is unbounded and none is nested, so that no line can make them run away.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import date
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from drivers.transports.address import suggest
from harness.capabilities import Consequence, Severity
from harness.errors import DefinitionError, Problem

POLICY = Path(__file__).with_name("log_policy.yaml")
_LOADER: type[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The same in C where PyYAML was built with it: the first line of a console may be what asks for the policy."""
FARTHEST = 200
"""The longest repetition in a pattern."""
_WIDE = 20
Kind = Literal[
    "aer", "disk", "edac", "filesystem", "firmware", "ghes", "link", "lock-up", "mce", "nic", "noise", "nvlink", "nvme",
    "oom", "panic", "pcie", "sxid", "thermal", "trace", "warning", "xid",
]  # fmt: skip
Text = Annotated[str, Field(min_length=1, max_length=400)]
Seconds = Annotated[float, Field(gt=0, le=7 * 86400)]
_SET = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]")


def _bounded(pattern: str) -> str:
    """The pattern, if it begins at a place and ends in linear time."""
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"is no regular expression: {error}") from error
    plain = _SET.sub("x", pattern)
    counts = [int(most) for most in re.findall(r"\{(?:\d+,)?(\d+)\}", plain)]
    if re.search(r"[*+]|\{\d*,\}", plain):
        raise ValueError("has a repetition without bound")
    if ")" + "{" in plain:
        raise ValueError("repeats a group, which may contain repetitions")
    if max(counts, default=0) > FARTHEST or sum(count > _WIDE for count in counts) > 2:
        raise ValueError(f"repeats more than {FARTHEST} times, or widely at more than two places")
    if not pattern.startswith(("^", r"\b")):
        raise ValueError(r"must begin with ^ or \b")
    return pattern


Pattern = Annotated[str, AfterValidator(_bounded)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Source(_Strict):
    """A document, and the day or version of it that was read."""

    document: Text
    date: date


class Follows(_Strict):
    """What an entry that says nothing by itself must follow: without it, it is a RETRY."""

    kinds: Annotated[tuple[Kind, ...], Field(min_length=1)]
    within: Seconds
    of: tuple[Consequence, ...] = (Consequence.FAIL, Consequence.RETRY)
    """Consequences that may explain it."""
    near: bool = False
    """It may stand before what explains it: the headline of a record."""


class Repeats(_Strict):
    """What becomes of the second one on the same device."""

    within: Seconds
    consequence: Literal[Consequence.FAIL, Consequence.RETRY]


class Meaning(_Strict):
    """What an entry means, and why. Severity: Critical where it fails or must be retried, else Warning."""

    consequence: Consequence
    severity: Severity | None = None
    reason: Text | None = None
    """Why it is harmless, or why it is judged so."""
    follows: Follows | None = None
    repeats: Repeats | None = None

    @property
    def worth(self) -> Severity:
        if self.severity is not None:
            return self.severity
        grave = self.consequence in (Consequence.FAIL, Consequence.RETRY)
        return Severity.CRITICAL if grave else Severity.WARNING

    @model_validator(mode="after")
    def _is_complete(self) -> Meaning:
        if self.consequence is Consequence.NONE and not self.reason:
            raise ValueError("consequence none needs the reason why it is harmless")
        if (self.consequence is Consequence.ATTACH) is not (self.follows is not None):
            raise ValueError("consequence attach and `follows` go together")
        if self.consequence is Consequence.FAIL and self.repeats:
            raise ValueError("what fails at once does not repeat")
        return self


class Rule(Meaning):
    """One kind of line. `(?P<subject>…)` names what it is about, where that is no PCI address."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9]+([.-][a-z0-9]+)*$")]
    kind: Kind
    pattern: Pattern
    source: str
    place: Text
    """Section of the document, or file of the sources."""
    example: Annotated[tuple[Text, ...], Field(min_length=1)]
    no: Annotated[tuple[Text, ...], Field(min_length=1, alias="not")]
    """Lines that resemble it and are not it."""

    @model_validator(mode="after")
    def _is_narrow(self) -> Rule:
        if self.consequence in (Consequence.NONE, Consequence.ATTACH) and not self.pattern.startswith("^"):
            raise ValueError("what is not judged by itself must be known from the beginning of the line")
        if self.worth is Severity.OK and not self.pattern.endswith("$"):
            raise ValueError("noise must be known up to the end of the line")
        return self


class Code(Meaning):
    """Numbered events of one meaning; `action` and `then` in the maker's words."""

    codes: Annotated[tuple[int, ...], Field(min_length=1)]
    what: Text
    action: str = ""
    then: str = ""


class LinkEvent(Meaning):
    """NVLink 5 events (Xid 144 … 150) of some units; `status` is the second word printed, any where none is given."""

    xids: Annotated[tuple[int, ...], Field(min_length=1)]
    units: tuple[str, ...] = ()
    status: tuple[int, ...] = ()
    fatal: bool
    action: str
    then: str = ""


class Codes(_Strict):
    """A table by number. A number that is not in it is `unknown`: never a pass."""

    source: str
    place: Text
    unknown: Literal[Consequence.FAIL, Consequence.RETRY]
    detail: Meaning | None = None
    """Lines of a number that only add data to the event before them."""
    codes: tuple[Code, ...]


class Policy(_Strict):
    """All of it."""

    decided: date
    sources: dict[str, Source]
    unknown_error: Literal[Consequence.FAIL, Consequence.RETRY]
    """A line of level error or worse that no rule knows."""
    rules: tuple[Rule, ...]
    xids: Codes
    nvlink: tuple[LinkEvent, ...]
    sxids: Codes


@cache
def log_policy() -> Policy:
    """The policy that ships, read once a process; raises DefinitionError."""
    return read_policy(POLICY.read_text(encoding="utf-8"), POLICY.name)


def read_policy(text: str, file: str) -> Policy:
    """The policy in this text; raises DefinitionError with every problem, its line and its path."""
    try:
        tree = yaml.compose(text, Loader=_LOADER)
        lines = dict(_lines(tree, ())) if tree is not None else {}
        policy = Policy.model_validate(yaml.SafeLoader("").construct_document(tree) if tree is not None else None)
    except yaml.YAMLError as error:
        raise DefinitionError([Problem(file, "", f"is no YAML: {error}")]) from error
    except ValidationError as error:
        raise DefinitionError([_problem(each, file, lines) for each in error.errors()]) from error
    problems = [Problem(_place(path, file, lines), _dotted(path), said) for path, said in _contradictions(policy)]
    if problems:
        raise DefinitionError(problems)
    return policy


def _lines(node: yaml.Node, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], int]]:
    yield path, node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if key.value in seen:
                raise yaml.MarkedYAMLError(None, None, f"{key.value!r} stands twice", key.start_mark)
            seen.add(key.value)
            yield from _lines(value, (*path, str(key.value)))
    elif isinstance(node, yaml.SequenceNode):
        for number, value in enumerate(node.value):
            yield from _lines(value, (*path, str(number)))


def _place(path: tuple[str, ...], file: str, lines: Mapping[tuple[str, ...], int]) -> str:
    while path and path not in lines:
        path = path[:-1]
    return f"{file}:{lines[path]}" if path in lines else file


def _dotted(path: tuple[str, ...]) -> str:
    return ".".join(path)


def _problem(error: Any, file: str, lines: Mapping[tuple[str, ...], int]) -> Problem:
    path = tuple(str(step) for step in error["loc"])
    return Problem(_place(path, file, lines), _dotted(path), str(error["msg"]))


def _contradictions(policy: Policy) -> Iterator[tuple[tuple[str, ...], str]]:
    """What is wrong between entries: unknown sources, names and numbers that stand twice."""
    names: set[str] = set()
    for number, rule in enumerate(policy.rules):
        where = ("rules", str(number))
        if rule.source not in policy.sources:
            yield (*where, "source"), f"{rule.source!r} is not among `sources`{suggest(rule.source, policy.sources)}"
        if rule.name in names:
            yield (*where, "name"), f"{rule.name} stands twice"
        names.add(rule.name)
    for table, codes in (("xids", policy.xids), ("sxids", policy.sxids)):
        if codes.source not in policy.sources:
            yield (table, "source"), f"{codes.source!r} is not among `sources`{suggest(codes.source, policy.sources)}"
        seen: set[int] = set()
        for number, entry in enumerate(codes.codes):
            for code in entry.codes:
                if code in seen:
                    yield (table, "codes", str(number)), f"{code} stands twice"
                seen.add(code)
