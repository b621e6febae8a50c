"""Cross-checks of the loads: each names a tool of its kind, and runs beside one that leads."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from harness.errors import Problem
from harness.rack.document import Document, Place
from harness.rack.model import LoadSpec
from harness.rack.suggest import did_you_mean
from harness.rack.vocabulary import TOOLS

ALONE = ("diagnostic", "copy", "collective")
"""Loads that the shipped plan runs by themselves where a model has them."""
JUDGED = ("burn_in.load.work", "burn_in.load.errors", "burn_in.load.exit_code")
"""What such a load and one beside another is judged by: without these limits it would run and prove nothing."""


def check_loads(document: Document, loads: Mapping[str, LoadSpec], limits: Collection[str]) -> Iterator[Problem]:
    """What is wrong with the loads of a model whose limits have these keys."""
    for name, spec in loads.items():
        missing = [key for key in JUDGED if key not in limits]
        if missing and (spec.beside is not None or name in ALONE):
            yield document.problem(("loads", name), f"nothing judges it: the model has no limit {missing[0]}")
        place: Place = ("loads", name)
        if spec.tool not in TOOLS[spec.kind]:
            hint = did_you_mean(spec.tool, TOOLS[spec.kind])
            known = ", ".join(TOOLS[spec.kind])
            yield document.problem((*place, "tool"), f"no tool for a load of kind {spec.kind}{hint}: {known}")
        if spec.limit < spec.seconds:
            text = f"the host would end it after {spec.limit:g} s, before its {spec.seconds:g} s are over"
            yield document.problem((*place, "limit"), text)
        yield from _check_size(document, place, spec)
        yield from _check_beside(document, place, name, loads)


def _check_size(document: Document, place: Place, spec: LoadSpec) -> Iterator[Problem]:
    if spec.kind == "disk" and (spec.directory is None or spec.size is None):
        yield document.problem(place, "a disk load needs a directory on the host and a size in MiB")
    if spec.kind != "disk" and spec.directory is not None:
        yield document.problem((*place, "directory"), "only a disk load works in a directory")
    if spec.directory is not None and not spec.directory.startswith("/"):
        yield document.problem((*place, "directory"), "must be an absolute path on the host")
    if spec.kind not in ("disk", "memory") and spec.size is not None:
        yield document.problem((*place, "size"), "only a disk or memory load has a size")


def _check_beside(document: Document, place: Place, name: str, loads: Mapping[str, LoadSpec]) -> Iterator[Problem]:
    beside = loads[name].beside
    if beside is None:
        if loads[name].delay:
            yield document.problem((*place, "delay"), "only a load beside another one is delayed")
        return
    lead = loads.get(beside)
    if lead is None:
        yield document.problem((*place, "beside"), f"there is no load {beside!r}{did_you_mean(beside, loads)}")
    elif lead.beside is not None:
        yield document.problem((*place, "beside"), f"{beside} runs beside {lead.beside} itself: name that one")
