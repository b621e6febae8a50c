"""Which runs count: accepted ones, of one model, real or simulated, and of every rack the latest. Pure.

Nothing here depends on the order in which runs are named, nor on how often.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from harness.baselines.runs import RackRun
from harness.errors import DefinitionError
from harness.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Admitted:
    """The runs that count, one a rack, by serial; and a sentence on each of the others."""

    racks: tuple[RackRun, ...]
    left_out: tuple[str, ...]


def admit(runs: Iterable[RackRun], model: str = "", simulated: bool | None = None) -> Admitted:
    """Choose the runs that count; `model` empty and `simulated` None stand for whatever the runs have in common.

    Raises DefinitionError where they are of several models, where simulated and real ones are mixed, or where two
    different runs bear one name.
    """
    copies = sorted(runs, key=lambda run: run.certificate)
    once = sorted({run.journal: run for run in copies}.values(), key=lambda run: (run.serial, run.ended, run.run))
    _check_names(once)
    models = sorted({run.model for run in once})
    if not model and len(models) > 1:
        raise DefinitionError(
            f"these runs are of the models {', '.join(models)}: racks of several models have no common baseline. "
            "Name one with --model MODEL"
        )
    left_out = [f"{run.run} is of model {run.model}, not {model}" for run in once if model and run.model != model]
    mine = [run for run in once if not model or run.model == model]
    _check_kind(mine, simulated)
    racks: list[RackRun] = []
    for run in mine:
        latest = [other for other in mine if other.serial == run.serial][-1]
        unusable = sorted(key for key, values in run.values.items() if not all(map(math.isfinite, values)))
        if latest is not run:
            left_out.append(f"{run.run} is not the latest run of {run.serial}: that is {latest.run}")
        elif run.verdict is not Verdict.PASS:
            left_out.append(f"{run.run}: the latest verdict on {run.serial} is {run.verdict}, only PASS counts")
        elif not run.certificate:
            left_out.append(f"{run.run} of {run.serial} has no certificate: it was never signed")
        elif unusable:
            left_out.append(f"{run.run}: {unusable[0]} of {run.serial} has no usable value, nothing of it is counted")
        else:
            racks.append(run)
    return Admitted(tuple(racks), tuple(left_out))


def _check_names(runs: Iterable[RackRun]) -> None:
    named: dict[str, RackRun] = {}
    for run in runs:
        other = named.setdefault(run.run, run)
        if other.journal != run.journal:
            raise DefinitionError(f"two different runs bear the name {run.run}: find out which is the rack's own")


def _check_kind(runs: Iterable[RackRun], simulated: bool | None) -> None:
    words: Mapping[bool, str] = {True: "simulated", False: "real"}
    kinds = {run.simulated: run.run for run in runs}
    if len(kinds) > 1:
        raise DefinitionError(
            f"simulated and real runs are mixed ({kinds[True]} is simulated, {kinds[False]} is real): "
            "name the ones or the others"
        )
    for kind, name in kinds.items():
        if simulated is not None and kind is not simulated:
            raise DefinitionError(
                f"{name} is a {words[kind]} run, the baseline was learned from {words[simulated]} ones: "
                "these are never compared"
            )
