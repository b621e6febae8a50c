"""A sample of the catalogue that leaves no domain out for as long as it can: where every run is long. Pure."""

from __future__ import annotations

import random
from collections.abc import Sequence

from harness.proof.results import Fault


def draw(faults: Sequence[Fault], number: int, seed: int) -> tuple[Fault, ...]:
    """So many faults, in the order of the catalogue: one of every domain, then a second one of every domain, and so on.

    Which domains come first where it does not come out even, and which faults of each, is the seed's; the same seed
    draws the same. All of them where there are no more. Raises ValueError for a number below 1.
    """
    if number < 1:
        raise ValueError(f"a sample of {number} faults makes no sense")
    chance = random.Random(f"sample/{seed}")  # noqa: S311 - a draw that can be repeated, no secret
    strata: dict[str, list[Fault]] = {}
    for fault in faults:
        strata.setdefault(fault.domain, []).append(fault)
    order = list(strata.values())
    chance.shuffle(order)
    for stratum in order:
        chance.shuffle(stratum)
    rounds = max(map(len, order), default=0)
    drawn = [stratum[at] for at in range(rounds) for stratum in order if at < len(stratum)][:number]
    return tuple(fault for fault in faults if fault in drawn)
