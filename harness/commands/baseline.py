"""`rackproof baseline`: learn what accepted racks of a model do, and hold later ones against it."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

from harness.baselines.admission import Admitted, admit
from harness.baselines.file import baselines_of, write
from harness.baselines.learning import LEAST, Lesson, learn
from harness.baselines.runs import Found, read_runs
from harness.baselines.watching import LAST, Watched, watch
from harness.errors import DefinitionError
from harness.inert import escaped_json, told
from harness.rack.baselines import Baselines
from harness.rack.document import read_document
from harness.rack.load import load_baselines, load_model, model_path
from harness.rack.model import Model
from harness.registry import run_verifier


def execute(arguments: argparse.Namespace) -> int:
    """Learn (0), or check: 0 if every rack is as expected, 1 if not. What cannot be done at all is exit code 2."""
    _check_usage(arguments)
    root = Path(arguments.root) if arguments.root else None
    if root is not None and not root.is_file():
        raise DefinitionError(f"there is no root certificate at {root}")
    baselines = load_baselines(Path(arguments.check)) if arguments.check else None
    found = read_runs([Path(run) for run in arguments.run], run_verifier(), root)
    return _learn(arguments, found) if baselines is None else _check(arguments, baselines, found)


def _learn(arguments: argparse.Namespace, found: Found) -> int:
    name = _model_name(arguments.model) if arguments.model else ""
    admitted = admit(found.runs, name)
    try:
        lesson = learn(admitted.racks, LEAST if arguments.least is None else arguments.least)
    except DefinitionError as error:
        reasons = [*found.distrusted, *admitted.left_out]
        raise DefinitionError(
            "\n".join([str(error.problems[0].text), *(f"left out: {each}" for each in reasons)])
        ) from error
    baselines = baselines_of(lesson, version("rackproof"))
    digest = write(Path(arguments.out), baselines)
    if arguments.json:
        _print_json(
            {
                "file": arguments.out,
                "sha256": digest,
                **baselines.model_dump(mode="json"),
                "unlearned": dict(lesson.unlearned),
                **_aside(found, admitted),
            }
        )
    else:
        _say_lesson(arguments.out, digest, baselines, lesson)
        _say_aside(found, admitted)
    return 0


def _check(arguments: argparse.Namespace, baselines: Baselines, found: Found) -> int:
    tolerances = _tolerances(load_model(model_path(arguments.model)), baselines) if arguments.model else None
    admitted = admit(found.runs, baselines.model, baselines.simulated)
    if not admitted.racks and not found.distrusted:
        told = "".join(f"\nleft out: {each}" for each in admitted.left_out)
        raise DefinitionError(f"none of these runs can be held against {arguments.check}{told}")
    watched = watch(baselines, admitted.racks, LAST if arguments.last is None else arguments.last, tolerances)
    # A run that does not verify is no rack that is as expected: it must not go by unseen.
    as_expected = not watched.findings and not found.distrusted
    if arguments.json:
        _print_json(
            {
                "file": arguments.check,
                "ok": as_expected,
                "racks": [rack.serial for rack in admitted.racks],
                "findings": [asdict(finding) for finding in watched.findings],
                "unjudged": list(watched.unjudged),
                **_aside(found, admitted),
            }
        )
    else:
        _say_watched(arguments.check, watched, found, admitted)
    return 0 if as_expected else 1


def _model_name(name_or_path: str) -> str:
    """What a model calls itself; it is not checked: the baselines file that it names may only now be learned."""
    document = read_document(model_path(name_or_path))
    name = document.data.get("name") if isinstance(document.data, dict) else None
    if not isinstance(name, str):
        raise DefinitionError([document.problem(("name",), "is missing: a model says what it is called")])
    return name


def _check_usage(arguments: argparse.Namespace) -> None:
    if arguments.check and arguments.least is not None:
        raise DefinitionError("--least says how many racks are learned from: it belongs to --out FILE")
    if arguments.out and arguments.last is not None:
        raise DefinitionError("--last says of how many racks the drift is judged: it belongs to --check FILE")


def _tolerances(model: Model, baselines: Baselines) -> dict[str, float]:
    if model.name != baselines.model:
        raise DefinitionError(f"the baseline is of racks of {baselines.model}, this model is {model.name}")
    return {key: spec.tolerance for key, spec in model.limits.items() if spec.tolerance is not None}


def _say_lesson(file: str, digest: str, baselines: Baselines, lesson: Lesson) -> None:
    kind = "simulated racks" if baselines.simulated else "racks"
    said = [f"{file}: learned from {len(lesson.racks)} {kind} of {baselines.model}, sha256 {digest}"]
    for key, known in baselines.keys.items():
        spread = f"± {known.sigma:.3g} {known.unit}"
        said.append(f"  {key:<36} {known.median:g} {spread} ({known.racks} racks, {known.values} values)")
    said += [f"left out: {each.serial}: {each.reason}" for each in baselines.left_out]
    by_reason: dict[str, list[str]] = {}
    for key, reason in lesson.unlearned.items():
        by_reason.setdefault(reason, []).append(key)
    said += [f"no baseline of {', '.join(keys)}: {reason}" for reason, keys in by_reason.items()]
    sys.stdout.write("".join(f"{told(line)}\n" for line in said))


def _say_watched(file: str, watched: Watched, found: Found, admitted: Admitted) -> None:
    said = [f"{finding.kind}: {finding.text}" for finding in watched.findings]
    sys.stdout.write("".join(f"{told(line)}\n" for line in said))
    _say_aside(found, admitted)
    reasons: dict[str, int] = {}
    for text in watched.unjudged:
        reasons[text.partition(": ")[2]] = reasons.get(text.partition(": ")[2], 0) + 1
    for reason, keys in reasons.items():
        sys.stdout.write(f"note: drift of {keys} keys cannot be judged: {reason}\n")
    count = len(watched.findings) + len(found.distrusted)
    state = f"{count} findings" if count else "as expected"
    sys.stdout.write(f"{state}: {len(admitted.racks)} racks held against {file}\n")


def _aside(found: Found, admitted: Admitted) -> dict[str, object]:
    return {
        "distrusted": list(found.distrusted),
        "not_counted": list(admitted.left_out),
        "remarks": list(found.remarks),
    }


def _say_aside(found: Found, admitted: Admitted) -> None:
    said = [f"DISTRUSTED: {each}" for each in found.distrusted]
    said += [f"left out: {each}" for each in admitted.left_out]
    said += [f"note: {each}" for each in found.remarks]
    sys.stdout.write("".join(f"{told(line)}\n" for line in said))


def _print_json(line: dict[str, object]) -> None:
    sys.stdout.write(escaped_json(json.dumps(line, ensure_ascii=False, allow_nan=False)) + "\n")
