"""`show interfaces phy detail` of EOS: what is read of it, and everything that is no result."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.inband import ParseError
from drivers.inband.eos_phy import parse

TEXT = """Current System Time: Sun Nov 22 12:00:00 2026
Ethernet1/1
                                 Current State     Changes            Last Change
                                 -------------     -------            -----------
  PHY state                      linkUp                  3            4:31:12 ago
  Interface state                up                      3            4:31:12 ago
  Oper speed                     400Gbps
  Forward Error Correction       Reed-Solomon
  Reed-Solomon codeword size     544
  FEC alignment lock             ok                      1            4:31:11 ago
  FEC corrected codewords        8231                  812            0:00:02 ago
  FEC uncorrected codewords      0                       0                  never
Ethernet2/1
                                 Current State     Changes            Last Change
                                 -------------     -------            -----------
  PHY state                      linkDown                0                  never
  Forward Error Correction       None
"""


def test_ports_are_read() -> None:
    up, down = parse(TEXT)
    assert (up.name, up.up, up.changes, up.downs, up.speed, up.fec) == ("Ethernet1/1", True, 3, 1, 400.0, "rs-544")
    assert (up.corrected, up.uncorrectable) == (8231, 0)
    assert (down.name, down.up, down.downs, down.speed, down.fec) == ("Ethernet2/1", False, 0, None, "off")
    assert (down.corrected, down.uncorrectable) == (None, None)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "% Invalid input\n",
        TEXT + "% Incomplete command\n",
        TEXT.removesuffix("\n"),
        TEXT.replace("8231", "nan"),
        TEXT.replace("8231", "-5"),
        TEXT.replace("  FEC uncorrected codewords      0                       0                  never\n", ""),
        TEXT.replace("Ethernet2/1", "Ethernet1/1"),
        TEXT.replace("linkDown                0", "linkDown            often"),
        TEXT.replace("  Oper speed ", "  FEC corrected codewords        7   1   0:00:01 ago\n  Oper speed "),
        TEXT.replace("codeword size     544", "codeword size     many"),
        TEXT.replace("Ethernet1/1\n", ""),
        TEXT.replace("  PHY state                      linkDown                0                  never\n", ""),
    ],
)
def test_anything_else_is_no_result(text: str) -> None:
    with pytest.raises(ParseError):
        parse(text)


@given(st.integers(0, len(TEXT)), st.text(max_size=40))
def test_no_text_breaks_it(at: int, noise: str) -> None:
    for text in (TEXT[:at], TEXT[:at] + noise + TEXT[at:]):
        try:
            found = parse(text)
        except ParseError:
            continue
        assert all(port.corrected is None or port.corrected >= 0 for port in found)
