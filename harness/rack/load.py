"""Loading: model, bay and unit from their files, checked as a whole before anything is touched.

Every problem of all three is reported at once, in the order of the files.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from importlib.resources import files
from pathlib import Path
from typing import Generic, TypeVar

from pydantic import TypeAdapter, ValidationError

from harness.errors import DefinitionError, Problem
from harness.rack import bounds, topology
from harness.rack.addresses import check_addresses
from harness.rack.baselines import Baselines, check_belongs, check_learned, with_bounds
from harness.rack.bay import Bay
from harness.rack.definition import RackDefinition, Unit
from harness.rack.document import Document, read_document
from harness.rack.loads import check_loads
from harness.rack.model import Frozen, Model
from harness.rack.suggest import did_you_mean
from harness.rack.wording import word_errors

Kind = TypeVar("Kind", bound=Frozen)

ENTRYWISE = ("limits", "interlocks", "secrets")
"""Sections whose entries stand for themselves: one that is wrong takes no other with it."""


@dataclass(frozen=True)
class Draft(Generic[Kind]):
    """As much of a document as is valid: the fields of `content` named in `sound`."""

    document: Document
    content: Kind
    sound: frozenset[str]
    problems: tuple[Problem, ...]

    def has(self, *sections: str) -> bool:
        """Whether all these sections can be looked at."""
        return self.sound.issuperset(sections)


@dataclass(frozen=True)
class Shelf:
    """The baselines file that a model names: `draft` is None where it names none or it is no document."""

    draft: Draft[Baselines] | None = None
    problems: tuple[Problem, ...] = ()
    """Of the file itself, by its lines."""
    unread: tuple[str, ...] = ()
    """Why it cannot be read, for the line of the model that names it."""

    @property
    def learned(self) -> Baselines | None:
        """What it holds, where all of it is valid."""
        return self.draft.content if self.draft is not None and not self.draft.problems else None


def model_path(name_or_path: str) -> Path:
    """The file of a model: a shipped one by its name, any other by its path. Raises DefinitionError."""
    folder = Path(str(files("test_plans") / "models"))
    shipped = sorted(file.stem for file in folder.glob("*.yaml"))
    if name_or_path in shipped:
        return folder / f"{name_or_path}.yaml"
    if "/" in name_or_path or name_or_path.endswith((".yaml", ".yml")):
        return Path(name_or_path)
    hint = did_you_mean(name_or_path, shipped)
    raise DefinitionError(
        f"there is no model {name_or_path!r}{hint}: name one of {', '.join(shipped)}, or the path of a YAML file"
    )


def load_model(path: Path) -> Model:
    """Read and check a model by itself; raises DefinitionError with everything wrong in it."""
    draft = _draft(read_document(path), Model)
    shelf = _shelf(draft, path)
    _raise([*_in_order(_model_problems(draft, shelf)), *shelf.problems])
    return _bounded(draft, shelf)


def load_baselines(path: Path) -> Baselines:
    """Read a file of learned baselines by itself; raises DefinitionError with everything wrong in it."""
    draft = _draft(read_document(path), Baselines)
    _raise(_in_order(draft.problems))
    return draft.content


def load_bay(path: Path) -> Bay:
    """Read and check a bay by itself, whatever the date of its instruments; raises DefinitionError with all of it."""
    draft = _draft(read_document(path), Bay)
    _raise(_in_order(_bay_problems(draft, None, date.min)))
    return draft.content


def load_definition(
    model: Path, bay: Path, serial: str, *, order: str = "", customer: str = "", today: date | None = None
) -> RackDefinition:
    """Read model and bay, merge them with this unit, and check the whole; raises DefinitionError with everything wrong.

    `today` (UTC) is the day on which calibrations must hold; None for the present one.
    """
    models, model_problems = _read(model, Model)
    bays, bay_problems = _read(bay, Bay)
    units, unit_problems = _unit(serial, order, customer)
    shelf = Shelf() if models is None else _shelf(models, model)
    if models is not None:
        docked = bays is not None and bays.has("simulated") and bays.content.simulated is None
        model_problems = [*_in_order(_model_problems(models, shelf, docked=docked)), *shelf.problems]
    if bays is not None:
        bay_problems = _in_order(_bay_problems(bays, models, today or datetime.now(UTC).date()))
    _raise([*model_problems, *bay_problems, *unit_problems])
    assert models is not None
    assert bays is not None
    assert units is not None
    return RackDefinition(
        model=_bounded(models, shelf),
        bay=bays.content,
        unit=units,
        model_file=models.document.name,
        model_digest=models.document.digest,
        bay_digest=bays.document.digest,
    )


def _read(path: Path, kind: type[Kind]) -> tuple[Draft[Kind] | None, list[Problem]]:
    try:
        return _draft(read_document(path), kind), []
    except DefinitionError as error:
        return None, list(error.problems)


def _unit(serial: str, order: str, customer: str) -> tuple[Unit | None, list[Problem]]:
    try:
        return Unit(serial=serial, order=order, customer=customer), []
    except ValidationError:
        rule = "scan it again: 1 to 64 letters, digits, '.', '_', '/' and '-', beginning with a letter or digit"
        return None, [Problem("command line", "serial", f"{serial[:80]!r} is no serial number; {rule}")]


def _draft(document: Document, kind: type[Kind]) -> Draft[Kind]:
    """Validate a document strictly, as JSON: a text is no number, yes is no 1, and 2.10 is no version."""
    try:
        content = kind.model_validate_json(json.dumps(document.data), strict=True)
    except ValidationError as error:
        problems = word_errors(error, kind, document)
        sections = _sound_sections(document, kind, error)
        partial = kind.model_construct(_fields_set=set(sections), **sections)
        return Draft(document, partial, frozenset(sections), tuple(problems))
    return Draft(document, content, frozenset(kind.model_fields), ())


def _sound_sections(document: Document, kind: type[Kind], error: ValidationError) -> dict[str, object]:
    """The sections without an error, so that they can be cross-checked all the same."""
    wrong: dict[str, set[object]] = {}
    for detail in error.errors(include_url=False):
        section, *inside = detail["loc"] or ("",)
        wrong.setdefault(str(section), set()).add(inside[0] if inside else None)
    if not isinstance(document.data, dict):
        return {}
    sections: dict[str, object] = {}
    for name, field in kind.model_fields.items():
        given = document.data.get(name)
        if name not in document.data:
            if not field.is_required():
                sections[name] = field.get_default()
            continue
        if name in wrong:
            if name not in ENTRYWISE or None in wrong[name] or not isinstance(given, dict):
                continue
            given = {key: value for key, value in given.items() if key not in wrong[name]}
        sections[name] = TypeAdapter(field.rebuild_annotation()).validate_json(json.dumps(given), strict=True)
    return sections


def _shelf(draft: Draft[Model], path: Path) -> Shelf:
    """Read the baselines file beside a model; what keeps it from being read is told where the model names it."""
    if not draft.has("baselines") or draft.content.baselines is None:
        return Shelf()
    name = Path(draft.content.baselines)
    if name.is_absolute() or ".." in name.parts:
        return Shelf(unread=("a baselines file lies beside its model or in a folder below it: name it from there",))
    file = path.parent / name
    try:
        found = _draft(read_document(file), Baselines)
    except DefinitionError as error:
        inside = tuple(each for each in error.problems if each.where != str(file))
        unread = tuple(f"{each.where}: {each.text}" for each in error.problems if each.where == str(file))
        return Shelf(problems=inside, unread=unread)
    return Shelf(found, tuple(_in_order(found.problems)))


def _bounded(draft: Draft[Model], shelf: Shelf) -> Model:
    """A sound model, its baselines turned into bounds."""
    model, digest = draft.content, "" if shelf.draft is None else shelf.draft.document.digest
    limits = with_bounds(model.limits, shelf.learned, model.baselines or "", digest)
    return model.model_copy(update={"limits": limits})


def _model_problems(draft: Draft[Model], shelf: Shelf, *, docked: bool = False) -> Iterator[Problem]:
    document, model = draft.document, draft.content
    yield from draft.problems
    if draft.has("assemblies"):
        yield from topology.check_parts(document, model.assemblies)
    if draft.has("slots"):
        yield from topology.check_slots(document, model.slots, model.assemblies if draft.has("assemblies") else None)
    if draft.has("slots", "assemblies", "cable_map"):
        yield from topology.check_cables(document, model.slots, model.assemblies, model.cable_map)
    if draft.has("slots", "assemblies", "power_map"):
        yield from topology.check_power(document, model.slots, model.assemblies, model.power_map)
    if draft.has("slots", "sampling"):
        yield from topology.check_sampling(document, model.slots, model.sampling.periods)
    if draft.has("limits"):
        yield from bounds.check_limits(document, model.limits)
    for text in shelf.unread:
        yield document.problem(("baselines",), text)
    if draft.has("limits", "baselines"):
        yield from check_learned(document, model.limits, model.baselines, shelf.learned)
    if draft.has("name", "baselines") and shelf.learned is not None:
        yield from check_belongs(document, model, shelf.learned, docked=docked)
    if draft.has("interlocks"):
        roles = frozenset(topology.roles_of(model.slots).values()) if draft.has("slots") else None
        yield from bounds.check_interlocks(document, model.interlocks, roles)
    if draft.has("loads", "limits"):
        yield from check_loads(document, model.loads, model.limits)
    if draft.has("interlocks", "sampling"):
        yield from bounds.check_watch(document, model.interlocks, model.sampling.periods)


def _bay_problems(draft: Draft[Bay], models: Draft[Model] | None, today: date) -> Iterator[Problem]:
    document, bay = draft.document, draft.content
    yield from draft.problems
    if draft.has("devices"):
        slots = models.content.slots if models is not None and models.has("slots") else None
        yield from topology.check_endpoints(document, bay.devices, slots)
        yield from check_addresses(document, bay.devices)
    if draft.has("devices", "secrets"):
        yield from topology.check_secrets(document, bay.devices, bay.secrets)
    if draft.has("instruments"):
        yield from topology.check_instruments(document, bay.instruments, today)
    if draft.has("simulated"):
        yield from topology.check_simulated(document, bay)


def _in_order(problems: Iterable[Problem]) -> list[Problem]:
    """The problems of one file by line; those of one line in the order found."""
    return sorted(problems, key=lambda problem: int(problem.where.rpartition(":")[2]))


def _raise(problems: list[Problem]) -> None:
    if problems:
        raise DefinitionError(problems)
