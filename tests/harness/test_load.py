"""Loading: sound files give a definition; anything else gives every problem at once, in words for a technician."""

from __future__ import annotations

import os
from datetime import date
from pathlib import Path

import pytest

from harness.errors import DefinitionError, Problem
from harness.quantities import Unit
from harness.rack.load import load_definition, load_model, model_path

DATA = Path(__file__).parent / "data"
MODEL_FILE, BAY_FILE = DATA / "rack.yaml", DATA / "bay.yaml"
MODEL = MODEL_FILE.read_text("utf-8")
BAY = BAY_FILE.read_text("utf-8")


def problems_of(folder: Path, model: str | bytes = MODEL, bay: str = BAY, serial: str = "B-1") -> tuple[Problem, ...]:
    data = model.encode("utf-8") if isinstance(model, str) else model
    (folder / "rack.yaml").write_bytes(data)
    (folder / "bay.yaml").write_text(bay, "utf-8")
    with pytest.raises(DefinitionError) as caught:
        load_definition(folder / "rack.yaml", folder / "bay.yaml", serial)
    return caught.value.problems


def swap(text: str, old: str, new: str) -> str:
    assert old in text
    return text.replace(old, new, 1)


def test_definition_holds_model_bay_and_unit() -> None:
    definition = load_definition(MODEL_FILE, BAY_FILE, "BENCH4-0001", order="PO-1", customer="A customer")
    assert definition.model.name == "bench4"
    assert definition.model_file == "rack.yaml"
    assert definition.unit.order == "PO-1"
    assert len(definition.devices) == 17
    assert definition.limit("thermal.flow").unit is Unit.LITRE_PER_MINUTE
    assert definition.limit("burn_in.exit_code").allowed == (0,)
    assert definition.bay.instruments[0].calibration_due == date(2099, 3, 31)
    assert len(definition.model_digest) == len(definition.bay_digest) == len(definition.digest) == 64
    assert not definition.simulated


def test_same_files_give_the_same_digest_and_another_byte_another(tmp_path: Path) -> None:
    (tmp_path / "rack.yaml").write_text(MODEL, "utf-8")
    first = load_definition(MODEL_FILE, BAY_FILE, "B-1")
    assert load_definition(tmp_path / "rack.yaml", BAY_FILE, "B-1").digest == first.digest
    (tmp_path / "rack.yaml").write_text(MODEL + "# \n", "utf-8")
    assert load_definition(tmp_path / "rack.yaml", BAY_FILE, "B-1").digest != first.digest


def test_shipped_models_load_by_name() -> None:
    assert load_model(model_path("bench4")).revision == "1.0"
    assert model_path("./mine.yaml") == Path("mine.yaml")


def test_unknown_model_name_gets_a_suggestion() -> None:
    with pytest.raises(DefinitionError, match="did you mean 'bench4'"):
        model_path("bench5")


WORDS = {
    "unknown key": ("coolant:\n", "coolent:\n", "coolent", "there is no such key (did you mean 'coolant'?)"),
    "unknown key below": (
        "guard: 0.3",
        "gaurd: 0.3",
        "limits.thermal.supply.temperature.gaurd",
        "(did you mean 'guard'?)",
    ),
    "unknown key in list": (
        "{kind: cpu, count",
        "{kind: cpu, cuont",
        "assemblies.compute-tray.parts[1].cuont",
        "'count'",
    ),
    "unknown unit": (
        "unit: L/min, min: 22",
        "unit: l/min, min: 22",
        "limits.thermal.flow.unit",
        "(did you mean 'L/min'?)",
    ),
    "unknown word": (
        "cut_power: when_cool",
        "cut_power: when_cold",
        "interlocks.over-temperature.cut_power",
        "'when_cool'",
    ),
    "unknown role": ("roles: [pdu]", "roles: [pud]", "slots.pdu-a.roles[0]", "did you mean 'pdu'?"),
    "missing": ('revision: "1.0"\n', "", "revision", "is missing"),
    "number for text": ('revision: "1.0"', "revision: 1.0", "revision", "must be text, is 1.0: put it in quotes"),
    "text for number": ("ramp: 60", 'ramp: "60"', "durations.ramp", "must be a finite number, is '60'"),
    "yes for number": ("ramp: 60", "ramp: yes", "durations.ramp", "must be a finite number, is true"),
    "half a part": (
        "kind: cpu, count: 2",
        "kind: cpu, count: 2.5",
        "assemblies.compute-tray.parts[1].count",
        "whole number",
    ),
    "too small": ("ramp: 60", "ramp: 0", "durations.ramp", "must be above 0, is 0"),
    "negative": ("guard: 0.3", "guard: -0.3", "limits.thermal.supply.temperature.guard", "must be 0 or more, is -0.3"),
    "too great": ("intensity: 1.0", "intensity: 1.5", "loads.burn-in.intensity", "must be 1 or less"),
    "not a number": ("max: 83", "max: .nan", "limits.accelerator.temperature.max.max", "is no finite number"),
    "infinite": ("max: 83", "max: .inf", "limits.accelerator.temperature.max.max", "is no finite number"),
    "upper case": ("  pdu-a: {roles", "  PDU-A: {roles", "slots.PDU-A", "lower-case letters"),
    "list for mapping": (
        "  burn-in: {kind: accelerator",
        "  burn-in: [kind, accelerator]\n  x: {kind: accelerator",
        "loads.burn-in",
        "mapping",
    ),
    "empty list": ('part_numbers: ["BN6400-32"]', "part_numbers: []", "assemblies.switch.part_numbers", "at least one"),
    "list as value": ("equals: 0", "equals: [0]", "limits.burn_in.exit_code.equals", "must be"),
    "date for text": ("title: Liquid", "title: !!int Liquid", "title", "is no plain text"),
    "twice": ("durations:\n", "durations:\n  traffic: 1\n", "durations.traffic", "a second time; the first is in line"),
    "foreign tag": ("title: Liquid", "title: !!python/name:os.system Liquid", "title", "is no plain text"),
    "foreign mapping": ("make_safe:\n", "make_safe: !!set\n", "make_safe", "is not allowed"),
    "key is yes": ("durations:\n", "durations:\n  on: 1\n", "durations", "put it in quotes"),
}


@pytest.mark.parametrize("fault", WORDS)
def test_fault_is_told_with_line_path_and_plain_words(fault: str, tmp_path: Path) -> None:
    old, new, path, text = WORDS[fault]
    problems = problems_of(tmp_path, model=swap(MODEL, old, new))
    named = [problem for problem in problems if problem.path == path and text in problem.text]
    assert named, [str(problem) for problem in problems]
    line = int(named[0].where.removeprefix("rack.yaml:"))
    if fault == "twice":
        assert line > MODEL[: MODEL.index(old)].count("\n") + 2
    elif fault != "missing":
        begins = MODEL[: MODEL.index(old)].count("\n") + 1
        assert begins <= line <= begins + 2
    assert "pydantic" not in str(named[0])
    assert "Input should" not in str(named[0])


UNREADABLE: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "the file is empty"),
    "only a comment": (b"# nothing\n", "the file is empty"),
    "no mapping": (b"- a\n- b\n", "must be a mapping"),
    "a scalar": (b"hello\n", "must be a mapping"),
    "not UTF-8": (b"name: x\ntitle: \xff\xfe\n", "the file is not UTF-8 text"),
    "not YAML": (b"name: [unclosed\n", "this is no valid YAML"),
    "a control character": (b"name: \x00\n", "this is no valid YAML"),
    "two documents": (b"name: a\n---\nname: b\n", "this is no valid YAML"),
    "endless alias": (b"a: &a [*a]\n", "inside what it stands for"),
    "blown up": (
        b"a: &a [x,x,x,x,x,x,x,x,x,x]\n"
        + b"".join(
            b"%c: &%c [*%c,*%c,*%c,*%c,*%c,*%c,*%c,*%c,*%c,*%c]\n" % (i + 1, i + 1, *([i] * 10)) for i in range(97, 105)
        ),
        "too many values",
    ),
    "deep by aliases": (
        b"a0: &a0 [x]\n" + b"".join(b"a%d: &a%d [*a%d]\n" % (n, n, n - 1) for n in range(1, 3000)),
        "nested too deeply",
    ),
    "deep": (b"[" * 5000, "nested too deeply"),
}


@pytest.mark.parametrize("kind", UNREADABLE)
def test_what_is_no_document_is_told(kind: str, tmp_path: Path) -> None:
    data, text = UNREADABLE[kind]
    problems = problems_of(tmp_path, model=data)
    assert [problem for problem in problems if text in problem.text and "rack.yaml" in problem.where], problems


def test_missing_file_directory_and_unreadable_file_are_told(tmp_path: Path) -> None:
    for path, text in ((tmp_path / "gone.yaml", "no such file"), (tmp_path, "a directory")):
        with pytest.raises(DefinitionError, match=text) as caught:
            load_definition(path, BAY_FILE, "B-1")
        assert len(caught.value.problems) == 1
    if os.geteuid() != 0:
        closed = tmp_path / "closed.yaml"
        closed.write_text(MODEL)
        closed.chmod(0)
        with pytest.raises(DefinitionError, match="cannot be read"):
            load_model(closed)


def test_all_problems_of_all_files_come_at_once_in_order(tmp_path: Path) -> None:
    model = swap(MODEL, "unit: L/min, min: 22", "unit: l/min, min: 22")
    model = swap(model, "min: 33, max: 37", "min: 37, max: 33")
    model = swap(model, "assembly: switch}", "assembly: swich}")
    bay = swap(BAY, "driver: cdu", "driver: cud")
    bay = swap(bay, "site: Test site\n", "")
    problems = problems_of(tmp_path, model=model, bay=bay, serial="no serial!")
    assert [problem.where.split(":")[0] for problem in problems] == ["rack.yaml"] * 3 + ["bay.yaml"] * 2 + [
        "command line"
    ]
    assert [problem.path for problem in problems] == [
        "slots.switch-1.assembly",
        "limits.thermal.supply.temperature.min",
        "limits.thermal.flow.unit",
        "site",
        "devices.cdu-1.driver",
        "serial",
    ]


@pytest.mark.parametrize("serial", ["", " ", "-x", "a b", "ü", "x" * 65, "a\n"])
def test_bad_serial_is_refused(serial: str, tmp_path: Path) -> None:
    (problem,) = problems_of(tmp_path, serial=serial)
    assert problem.where == "command line"
    assert "scan it again" in problem.text


def test_anchors_and_merges_are_fine(tmp_path: Path) -> None:
    model = swap(
        MODEL,
        "tray-01: {roles: [compute_tray, host, console], assembly: compute-tray}",
        "tray-01: &tray {roles: [compute_tray, host, console], assembly: compute-tray}",
    )
    model = swap(model, "tray-02: {roles: [compute_tray, host, console], assembly: compute-tray}", "tray-02: *tray")
    model = swap(
        model,
        "tray-03: {roles: [compute_tray, host, console], assembly: compute-tray}",
        "tray-03: {<<: *tray, assembly: compute-tray}",
    )
    (tmp_path / "rack.yaml").write_text(model, "utf-8")
    loaded = load_model(tmp_path / "rack.yaml")
    assert loaded.slots["tray-01"] == loaded.slots["tray-02"] == loaded.slots["tray-03"]


def test_epoch_of_simulated_rack_needs_a_zone(tmp_path: Path) -> None:
    bay = BAY + "simulated: {pace: 60, epoch: 2026-11-22T08:00:00, started: 1.0, seed: 7}\n"
    (problem,) = problems_of(tmp_path, bay=bay)
    assert problem.path == "simulated.epoch"
    (tmp_path / "bay.yaml").write_text(bay.replace("08:00:00", "08:00:00Z"), "utf-8")
    assert load_definition(MODEL_FILE, tmp_path / "bay.yaml", "B-1").simulated
