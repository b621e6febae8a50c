"""The mutation run: `python -m tests.mutation` changes one thing at a time and asks whether a test notices.

    --module PATH   only this module (harness/limits.py); may be given more than once
    --sample N      only N mutants of these modules, drawn with --seed

Survivors are held against `survivors.yaml`: each has to stand there with its reason, and none that is killed may. The
exit code is 0 where that is so, else 1.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import yaml

from tests.mutation.covering import COVERING
from tests.mutation.mutants import Mutant, Name, mutants
from tests.mutation.trial import ROOT, SLACK, copy, load_libraries, passes, survives

EXPLAINED = Path(__file__).with_name("survivors.yaml")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, and say what survived."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description="the mutation run")
    parser.add_argument("--module", action="append", choices=sorted(COVERING), help="only this module")
    parser.add_argument("--sample", type=int, help="only so many mutants")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args(arguments)
    modules = asked.module or list(COVERING)
    load_libraries()
    with copy() as tree:
        found = {name: list(mutants(name, (tree / name).read_text("utf-8"))) for name in modules}
        drawn = {each.name for each in _draw([each for some in found.values() for each in some], asked)}
        survivors = [each for name in modules for each in _try(tree, name, found[name], drawn)]
    return _compare(drawn, {each.name for each in survivors})


def _draw(every: list[Mutant], asked: argparse.Namespace) -> list[Mutant]:
    if asked.sample is None:
        return every
    return random.Random(asked.seed).sample(every, min(asked.sample, len(every)))


def _try(tree: Path, module: str, found: list[Mutant], drawn: set[Name]) -> list[Mutant]:
    mine = [each for each in found if each.name in drawn]
    if not mine:
        return []
    tests, began = COVERING[module], time.monotonic()
    if not all(passes(tree, [test], 600.0) for test in tests):
        raise SystemExit(f"{module}: its tests fail, or do not end, on sound code: {' '.join(tests)}")
    within = SLACK + 5 * (time.monotonic() - began)
    left = []
    for each in mine:
        if survives(tree, module, each.source, tests, within):
            left.append(each)
            _say(f"  survives: {module} {each.where}: {each.line}  [{each.change}, {each.nth}]")
    _say(f"{module}: {len(mine)} mutants, {len(mine) - len(left)} killed, {len(left)} survive")
    return left


def explained() -> dict[Name, str]:
    """The survivors that are known, each with its reason."""
    listed = yaml.safe_load(EXPLAINED.read_text("utf-8")) or {}
    return {
        (module, each["where"], each["line"], each["change"], each.get("nth", 1)): each["reason"]
        for module, several in listed.items()
        for each in several
    }


def _compare(drawn: set[Name], survived: set[Name]) -> int:
    known = explained()
    wrong = [f"survives and is not explained: {name}" for name in sorted(survived - set(known))]
    wrong += [f"is explained and was killed: {name}" for name in sorted((set(known) & drawn) - survived)]
    _say("\n".join(wrong) or f"{len(drawn)} mutants: {len(survived)} survive, each with its reason")
    _say(f"the list: {EXPLAINED.relative_to(ROOT)}")
    return 1 if wrong else 0


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
