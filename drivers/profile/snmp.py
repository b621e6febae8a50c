"""Points and switching of families that speak SNMP."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field, model_validator

from drivers.profile.words import Family, Finite, Frozen, OidTemplate, OidText, Plausible, PointName
from harness.quantities import Unit


class SnmpPoint(Frozen):
    """One object: a scalar instance, a column to be walked, or one instance a part.

    value = raw * scale + offset; where `digits` names an object, raw / 10^digits (Raritan PDU2-MIB).
    """

    oid: OidTemplate
    unit: Unit
    source: str
    format: Literal["number", "text", "state", "mac", "oid"] = "number"
    scale: Finite = 1.0
    offset: Finite = 0.0
    absent: tuple[int, ...] = ()
    """Raw values by which the device says that it does not measure this."""
    states: dict[int, bool] = {}
    """For the format `state`: what each raw value means; any other is a transition, or unknown."""
    digits: OidTemplate | None = None
    available: OidTemplate | None = None
    """An object that must read 1 (TruthValue true) for the value to count."""
    pattern: str = ""
    """For the format `text`: a regular expression whose only group is what is meant, as the serial in sysDescr."""
    plausible: Plausible | None = None
    named: str = ""
    """For tables of named variables (Rittal CMC III): the variable's own name; `oid` is the column of its value."""

    @model_validator(mode="after")
    def _fits_together(self) -> SnmpPoint:
        if bool(self.states) != (self.format == "state"):
            raise ValueError("`states` and `format: state` belong together")
        if self.plausible and self.format != "number":
            raise ValueError("`plausible` belongs to a number")
        if self.pattern and (self.format != "text" or _groups(self.pattern) != 1):
            raise ValueError("`pattern` belongs to `format: text` and has one group")
        return self


class Command(Frozen):
    """What is written to switch one way."""

    oid: OidTemplate
    value: int


class Switching(Frozen):
    """How one family switches an outlet: what to write, and how long it may take (wall seconds).

    Where one object takes two numbers, `oid` names it and `energise` and `cut` are the numbers; where each way has an
    object of its own (Eaton: seconds to wait, 0 is now), each is an `oid` and a `value`.
    """

    oid: OidTemplate | None = None
    energise: int | Command
    cut: int | Command
    deadline: Annotated[float, Field(gt=0, le=60)]
    source: str

    @model_validator(mode="after")
    def _on_is_not_off(self) -> Switching:
        if self.oid is None and (isinstance(self.energise, int) or isinstance(self.cut, int)):
            raise ValueError("a number alone needs `oid`, the object that it is written to")
        if self.command(on=True) == self.command(on=False):
            raise ValueError("the same number cannot switch on and off")
        return self

    def command(self, *, on: bool) -> Command:
        """The object and the number by which an outlet is switched on or off."""
        what = self.energise if on else self.cut
        return what if isinstance(what, Command) else Command(oid=self.oid or "", value=what)


class SnmpProfile(Family):
    """A family of devices that speak SNMP."""

    transport: Literal["snmp"]
    repetitions: Annotated[int, Field(ge=1, le=50)]
    """Rows a GETBULK; above 55 some switches skip rows silently."""
    block: Annotated[int, Field(ge=1, le=60)]
    """Values a GET."""
    enterprise: OidText | None = None
    """What sysObjectID must begin with."""
    description: str = ""
    """A regular expression that sysDescr must match; tells families apart that share an enterprise."""
    points: Annotated[dict[PointName, SnmpPoint], Field(min_length=1)]
    switching: dict[Literal["outlet"], Switching] = {}


def _groups(pattern: str) -> int:
    try:
        return re.compile(pattern).groups
    except re.error as error:
        raise ValueError(f"`pattern` is no regular expression: {error}") from error
