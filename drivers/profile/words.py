"""What all profiles have in common: the words for points, and what every family says of itself."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

OidText = Annotated[str, Field(pattern=r"^\d+(\.\d+)+$")]
OidTemplate = Annotated[str, Field(pattern=r"^\d+(\.(\d+|\{part\}))+$")]
"""An OID; `{part}` stands for the number of an outlet, a phase …"""
PointName = Annotated[str, Field(pattern=r"^[a-z]+(\.[a-z_]+)*(\[[a-z]+(-[0-9a-z-]+)?\])?$")]
"""A quantity, as `input.power`, or one of a part, as `pump.speed[pump-1]`."""
Finite = Annotated[float, Field(allow_inf_nan=False)]
Word = Annotated[int, Field(ge=0, le=0xFFFF)]


def _ordered(bounds: tuple[float, float]) -> tuple[float, float]:
    if bounds[0] >= bounds[1]:
        raise ValueError("`plausible` is [lowest, highest]")
    return bounds


Plausible = Annotated[tuple[Finite, Finite], AfterValidator(_ordered)]
"""Lowest and highest value that can be true, in the unit of the point. Beyond them the scale, the map or the sensor is
wrong and the value is not believed; no limit of acceptance."""


class Frozen(BaseModel):
    """Immutable, and strict about what it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Family(Frozen):
    """What every profile says."""

    driver: Literal["switch", "pdu", "power_shelf", "cdu"]
    title: Annotated[str, Field(min_length=1)]
    sources: Annotated[dict[str, Annotated[str, Field(min_length=8)]], Field(min_length=1)]
    """Where facts were learned; every point names one of them."""
    polling_floor: Annotated[float, Field(gt=0, le=60)]
    """Shortest period between two samples, wall seconds."""
    concurrency: Annotated[int, Field(ge=1, le=16)]
    manufacturer: str = ""
    """Only where a family has one maker; otherwise the device says it, or nobody does."""
    extends: str = ""
    """Another profile, whose entries hold where this one says nothing; points and sources are merged one by one."""


def quantity(point: str) -> str:
    """The quantity of a point name without its part: `pump.speed[pump-1]` is `pump.speed`."""
    return point.partition("[")[0]


def part(point: str) -> str:
    """The part of a point name, or nothing: `pump.speed[pump-1]` is of `pump-1`."""
    return point.partition("[")[2].rstrip("]")
