"""A YAML document as plain data that remembers the line of everything in it."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path as File
from typing import Any

import yaml

from harness.bounds import Oversized, contents
from harness.errors import DefinitionError, Problem

Place = tuple[str | int, ...]
"""Where something stands inside a document: keys and list indices from the top."""

Plain = Any
"""Dictionaries with text keys, lists, text, finite numbers, yes/no and None; nothing else."""

LARGEST = 200_000
"""Values in one document: far above any rack, far below what aliases of aliases can blow up to."""

DEEPEST = 40
"""Levels of nesting: far above any rack, far below what exhausts the stack."""

LARGEST_FILE = 4 * 2**20
"""Octets of one file: PyYAML needs some hundred times as much memory, and a second for each 100,000 of them."""

SHOWN = 80
"""Characters of a value that a message repeats."""

LONGEST_NUMBER = 64
"""Characters of one number: Python takes quadratic time over a long one in base 60."""

UNPRINTED = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""What no text of a definition holds: controls, and what turns around the text beside it (Unicode TR 36, 3.1)."""

MERGE = "tag:yaml.org,2002:merge"
COLLECTIONS = ("tag:yaml.org,2002:map", "tag:yaml.org,2002:seq")
AS_WRITTEN = ("tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:str")
"""Scalars that keep their spelling; whoever wants a date reads it from there."""


@dataclass(frozen=True)
class Document:
    """What one YAML file says, and where."""

    name: str
    """The file's name without its folder, as problems cite it."""
    data: Plain
    lines: Mapping[Place, int]
    digest: str
    """SHA-256 of the file's bytes."""

    def where(self, place: Place) -> str:
        """File and line of the innermost thing around `place` that is written down: `bench4.yaml:42`."""
        return f"{self.name}:{self.line(place)}"

    def line(self, place: Place) -> int:
        """The line of the innermost thing around `place` that is written down, counted from 1."""
        while place not in self.lines and place:
            place = place[:-1]
        return self.lines.get(place, 1)

    def problem(self, place: Place, text: str) -> Problem:
        """A problem at `place`."""
        return Problem(self.where(place), dotted(place), text)

    def has(self, place: Place) -> bool:
        """Whether something is written at `place`."""
        return place in self.lines


def dotted(place: Place) -> str:
    """A place as people write it: `cable_map[3].a`."""
    text = ""
    for step in place:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def read_document(file: File) -> Document:
    """Read a YAML file; raises DefinitionError with every problem that it has as YAML.

    A key that stands twice, a tag that is not plain YAML, a key that is no text, NaN and infinity are problems.
    """
    name = file.name
    try:
        raw = _contents(file)
    except IsADirectoryError:
        raise _wrong(file, "this is a directory, not a YAML file: name the file itself") from None
    except FileNotFoundError:
        raise _wrong(file, "there is no such file: check the path") from None
    except OSError as error:
        raise _wrong(file, f"the file cannot be read: {error.strerror}") from error
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise _wrong(file, "the file is not UTF-8 text: save it as UTF-8", line) from error
    reader = _Reader(name)
    try:
        loader = _ShallowLoader(text)
        try:
            node = loader.get_single_node()
            if node is None:
                raise _wrong(file, "the file is empty")
            data = reader.read(loader, node)
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise _wrong(file, f"this is no valid YAML: {error.problem}", mark.line + 1 if mark else 1) from error
    except yaml.YAMLError as error:
        raise _wrong(file, f"this is no valid YAML: {error}") from error
    if reader.problems:
        raise DefinitionError(reader.problems)
    return Document(name, data, reader.lines, hashlib.sha256(raw).hexdigest())


def _contents(file: File) -> bytes:
    """The octets of a regular file of bounded size; a pipe or a device is not waited for. Raises OSError."""
    try:
        return contents(file, LARGEST_FILE, follow=True)
    except Oversized as error:
        raise _wrong(file, f"this {error}: name a model, bay or baselines file") from error


def _wrong(file: File, text: str, line: int | None = None) -> DefinitionError:
    return DefinitionError([Problem(f"{file.name}:{line}" if line else str(file), "", text)])


class _ShallowLoader(yaml.SafeLoader):
    """PyYAML's SafeLoader, which builds nothing but plain values; refuses to descend without end."""

    depth = 0
    nodes = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """One node and all below it."""
        if self.depth > DEEPEST:
            mark = parent.start_mark if parent is not None else None
            raise yaml.MarkedYAMLError(problem="values are nested too deeply", problem_mark=mark)
        self.nodes += 1
        if self.nodes > LARGEST:
            raise yaml.MarkedYAMLError(problem="it holds too many values", problem_mark=self.get_mark())
        self.depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self.depth -= 1


class _Reader:
    """Walks the nodes of one document."""

    def __init__(self, name: str) -> None:
        self.lines: dict[Place, int] = {}
        self.problems: list[Problem] = []
        self._name = name
        self._open: set[int] = set()
        self._read = 0
        """Values so far, those that aliases and merges repeat counted again."""

    def read(self, loader: yaml.SafeLoader, root: yaml.Node) -> Plain:
        """The plain data below `root`."""
        return self._value(loader, root, ())

    def _value(self, loader: yaml.SafeLoader, node: yaml.Node, place: Place) -> Plain:
        self.lines.setdefault(place, node.start_mark.line + 1)
        self._read += 1
        if self._read > LARGEST:
            raise yaml.MarkedYAMLError(problem="it holds too many values", problem_mark=node.start_mark)
        if len(place) > DEEPEST:
            raise yaml.MarkedYAMLError(problem="values are nested too deeply", problem_mark=node.start_mark)
        if id(node) in self._open:
            return self._note(node, place, "an alias stands inside what it stands for")
        self._open.add(id(node))
        try:
            if not isinstance(node, yaml.ScalarNode) and node.tag not in COLLECTIONS:
                return self._note(node, place, f"the tag {node.tag} is not allowed: only plain mappings and lists are")
            if isinstance(node, yaml.MappingNode):
                return self._mapping(loader, node, place)
            if isinstance(node, yaml.SequenceNode):
                return [self._value(loader, each, (*place, number)) for number, each in enumerate(node.value)]
            return self._scalar(loader, node, place)
        finally:
            self._open.discard(id(node))

    def _mapping(self, loader: yaml.SafeLoader, node: yaml.MappingNode, place: Place) -> dict[str, Plain]:
        found: dict[str, Plain] = {}
        for key_node, value_node in node.value:
            if key_node.tag == MERGE:
                continue
            key = self._value(loader, key_node, (*place, "?")) if isinstance(key_node, yaml.ScalarNode) else None
            self.lines.pop((*place, "?"), None)
            if not isinstance(key, str):
                self._note(key_node, place, f"the key {_spelling(key_node)} is no text: put it in quotes")
            elif key in found:
                first = self.lines[(*place, key)]
                self._note(key_node, (*place, key), f"this key stands here a second time; the first is in line {first}")
            else:
                self.lines[(*place, key)] = key_node.start_mark.line + 1
                found[key] = self._value(loader, value_node, (*place, key))
        for merged in self._merged(loader, node, place):
            for key, value in merged.items():
                found.setdefault(key, value)
        return found

    def _merged(self, loader: yaml.SafeLoader, node: yaml.MappingNode, place: Place) -> Iterable[dict[str, Plain]]:
        """The mappings that `<<` names; what the mapping says itself goes before them."""
        for key_node, value_node in node.value:
            if key_node.tag == MERGE:
                sources = value_node.value if isinstance(value_node, yaml.SequenceNode) else [value_node]
                for source in sources:
                    value = self._value(loader, source, place)
                    if isinstance(value, dict):
                        yield value
                    else:
                        self._note(source, place, "only a mapping can be merged by <<")

    def _scalar(self, loader: yaml.SafeLoader, node: yaml.Node, place: Place) -> Plain:
        if node.tag in AS_WRITTEN:
            unprinted = UNPRINTED.search(node.value)
            if unprinted is not None:
                return self._note(node, place, f"the text holds the control character U+{ord(unprinted[0]):04X}")
            return node.value
        if len(node.value) > LONGEST_NUMBER:
            return self._note(node, place, f"{_spelling(node)} is no plain text, number or yes/no")
        try:
            value = loader.construct_object(node)
        except (yaml.YAMLError, ValueError, OverflowError):
            return self._note(node, place, f"{_spelling(node)} is no plain text, number or yes/no")
        if isinstance(value, float) and not math.isfinite(value):
            return self._note(node, place, f"{_spelling(node)} is no finite number")
        if value is None or isinstance(value, bool | int | float | str):
            return value
        return self._note(node, place, f"{_spelling(node)} is no plain text, number or yes/no")

    def _note(self, node: yaml.Node, place: Place, text: str) -> None:
        self.problems.append(Problem(f"{self._name}:{node.start_mark.line + 1}", dotted(place), text))


def _spelling(node: yaml.Node) -> str:
    if not isinstance(node, yaml.ScalarNode):
        return "here"
    return repr(node.value) if len(node.value) <= SHOWN else f"{node.value[:SHOWN]!r} …"
