"""Points, set points and modes of families with holding registers."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from drivers.profile.words import Family, Finite, Frozen, Plausible, PointName, Word
from harness.quantities import Unit

Number = Annotated[int, Field(ge=1, le=255)]
"""A number on the bus. Serial Line V1.02, 2.2 ends at 247; Open Rack uses the reserved ones up to 255, too."""


class RegisterPoint(Frozen):
    """One value in holding registers: value = raw / 2^precision * scale + offset."""

    register_: Annotated[Word, Field(alias="register")]
    words: Annotated[int, Field(ge=1, le=64)] = 1
    format: Literal["u16", "s16", "u32", "s32", "float", "string", "flags", "state"]
    unit: Unit
    source: str
    precision: Annotated[int, Field(ge=0, le=16)] = 0
    scale: Finite = 1.0
    offset: Finite = 0.0
    word_order: Literal["big", "little"] = "big"
    absent: tuple[int, ...] = ()
    states: dict[int, bool] = {}
    bits: dict[str, Annotated[int, Field(ge=0, le=63)]] = {}
    plausible: Plausible | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> RegisterPoint:
        widths = {"u16": 1, "s16": 1, "u32": 2, "s32": 2, "float": 2}
        if self.format in widths and self.words != widths[self.format]:
            raise ValueError(f"{self.format} takes {widths[self.format]} words, not {self.words}")
        if bool(self.bits) != (self.format == "flags") or bool(self.states) != (self.format == "state"):
            raise ValueError("`bits` belong to `format: flags`, `states` to `format: state`")
        if self.plausible and self.format not in widths:
            raise ValueError("`plausible` belongs to a number")
        if any(bit >= 16 * self.words for bit in self.bits.values()):
            raise ValueError(f"a bit lies outside of {self.words} words")
        if self.register_ + self.words > 0x10000:
            raise ValueError("reaches beyond register 65535")
        return self


class RegisterControl(Frozen):
    """A set point in one holding register: raw = (value - offset) / scale, never written outside of its bounds."""

    register_: Annotated[Word, Field(alias="register")]
    format: Literal["u16", "s16"]
    unit: Unit
    scale: Annotated[Finite, Field(gt=0)] = 1.0
    offset: Finite = 0.0
    minimum: Finite
    """Hard bounds of what may be written, in `unit`; the model's limits lie within them."""
    maximum: Finite
    deadline: Annotated[float, Field(gt=0, le=60)]
    """Wall seconds until it must read back."""
    source: str

    @model_validator(mode="after")
    def _fits_into_the_register(self) -> RegisterControl:
        raws = [(value - self.offset) / self.scale for value in (self.minimum, self.maximum)]
        low, high = (0, 0xFFFF) if self.format == "u16" else (-0x8000, 0x7FFF)
        if self.minimum >= self.maximum or not all(low <= raw <= high for raw in raws):
            raise ValueError("`minimum` and `maximum` must fit into the register, one below the other")
        return self


class ModeBits(Frozen):
    """One mode in a control word: bits that are then 1, and bits that are then 0."""

    ones: tuple[Annotated[int, Field(ge=0, le=15)], ...] = ()
    zeros: tuple[Annotated[int, Field(ge=0, le=15)], ...] = ()


class ModeRegister(Frozen):
    """A control word that chooses the mode. Bits of no mode and not in `keep` are commands: written 0."""

    register_: Annotated[Word, Field(alias="register")]
    modes: Annotated[dict[Literal["automatic", "manual", "stopped"], ModeBits], Field(min_length=1)]
    keep: tuple[Annotated[int, Field(ge=0, le=15)], ...] = ()
    deadline: Annotated[float, Field(gt=0, le=60)]
    source: str


class ModbusProfile(Family):
    """A family of devices with holding registers."""

    transport: Literal["modbus"]
    block: Annotated[int, Field(ge=1, le=125)]
    """Registers a read."""
    places: tuple[tuple[Number, Number], ...] = ()
    """Ranges of numbers on the bus that units of this family have; where several families fit, it is likelier then."""
    points: Annotated[dict[PointName, RegisterPoint], Field(min_length=1)]
    controls: dict[PointName, RegisterControl] = {}
    """Set points by the quantity that they act on."""
    mode: ModeRegister | None = None

    def has_place(self, number: int) -> bool:
        """Whether units of this family have this number on a bus."""
        return any(first <= number <= last for first, last in self.places)
