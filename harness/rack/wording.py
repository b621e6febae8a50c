"""What pydantic finds wrong in a document, in words for whoever edits the file."""

from __future__ import annotations

import re
import types
from collections.abc import Iterable
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from harness.errors import Problem
from harness.rack.document import Document, Place
from harness.rack.suggest import did_you_mean

NAME_RULE = "may hold lower-case letters, digits, '.', '_' and '-' only, and begins with a letter or digit"


def word_errors(error: ValidationError, root: type[BaseModel], document: Document) -> list[Problem]:
    """Every error once, in the order of the file."""
    found: dict[tuple[int, str], Problem] = {}
    for detail in error.errors(include_url=False):
        place = _place(detail, document)
        text = _text(detail, place, root)
        problem = document.problem(place, text)
        found.setdefault((document.line(place), problem.path), problem)
    return [problem for _, problem in sorted(found.items(), key=lambda pair: pair[0][0])]


def _place(detail: ErrorDetails, document: Document) -> Place:
    """Where it is wrong, in the document's own terms: without pydantic's marks for keys and alternatives."""
    place = tuple(detail["loc"])
    if detail["type"] == "missing":
        return place
    while place and not document.has(place):
        place = place[:-1]
    return place


def _text(detail: ErrorDetails, place: Place, root: type[BaseModel]) -> str:
    kind, context = detail["type"], detail.get("ctx", {})
    shown = _shown(detail["input"], place)
    if "[key]" in detail["loc"]:
        return f"this name {NAME_RULE}"
    match kind:
        case "missing":
            return "is missing"
        case "extra_forbidden":
            return f"there is no such key{did_you_mean(str(place[-1]), keys_at(root, place[:-1]))}"
        case "literal_error" | "enum":
            known = re.findall(r"'([^']*)'", str(context.get("expected", "")))
            listed = ", ".join(known) or str(context.get("expected", ""))
            return f"must be one of {listed}{shown}{did_you_mean(str(detail['input']), known)}"
        case "string_pattern_mismatch":
            return f"{NAME_RULE}{shown}" if root.__name__ != "Unit" else f"is no serial number{shown}"
        case "string_type":
            return f"must be text{shown}: put it in quotes" if _scalar(detail["input"]) else f"must be text{shown}"
        case "string_too_short":
            return "must not be empty"
        case "too_short":
            return "must hold at least one entry"
        case "dict_type" | "model_type" | "model_attributes_type":
            return f"must be a mapping of keys and values{shown}"
        case "tuple_type" | "list_type":
            return f"must be a list, as [a, b]{shown}"
    return _number_text(kind, context, shown)


def _number_text(kind: str, context: dict[str, Any], shown: str) -> str:
    match kind:
        case "int_type" | "int_parsing" | "int_from_float":
            return f"must be a whole number{shown}"
        case "float_type" | "float_parsing" | "finite_number":
            return f"must be a finite number{shown}"
        case "bool_type" | "bool_parsing":
            return f"must be true or false{shown}"
        case "greater_than":
            return f"must be above {context['gt']:g}{shown}"
        case "greater_than_equal":
            return f"must be {context['ge']:g} or more{shown}"
        case "less_than_equal":
            return f"must be {context['le']:g} or less{shown}"
        case "string_too_long":
            return f"must not be longer than {context['max_length']} characters"
    if kind.startswith(("date_", "datetime_")):
        example = "2027-03-31T08:00:00Z" if kind.startswith("datetime") else "2027-03-31"
        return f"must be a date as {example}{shown}"
    return f"is not what is wanted here{shown}"


def _shown(value: object, place: Place) -> str:
    """What was found, where it is short enough to help and cannot be a secret."""
    if not _scalar(value) or "secrets" in place or value == "":
        return "" if value is not None else ", is empty"
    word = repr(value) if isinstance(value, str) else "true" if value is True else "false" if value is False else value
    text = f", is {word}"
    return text if len(text) <= 60 else ""


def _scalar(value: object) -> bool:
    return isinstance(value, str | int | float | bool)


def keys_at(root: type[BaseModel], place: Place) -> Iterable[str]:
    """The keys that the model has at a place of the document; none where keys are free."""
    kind: Any = root
    for step in place:
        kind = _inside(kind, step)
        if kind is None:
            return ()
    return tuple(kind.model_fields) if isinstance(kind, type) and issubclass(kind, BaseModel) else ()


def _inside(kind: Any, step: str | int) -> Any:
    """The type of what stands under a key or index of something of type `kind`."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        field = kind.model_fields.get(str(step))
        return None if field is None else _bare(field.annotation)
    if get_origin(kind) is dict:
        return _bare(get_args(kind)[1])
    if get_origin(kind) is tuple:
        return _bare(get_args(kind)[0])
    return None


def _bare(kind: Any) -> Any:
    """A type without its metadata and its None."""
    if get_origin(kind) is Annotated:
        return _bare(get_args(kind)[0])
    if get_origin(kind) in (Union, types.UnionType):
        others = [each for each in get_args(kind) if each is not type(None)]
        return _bare(others[0]) if len(others) == 1 else None
    return kind
