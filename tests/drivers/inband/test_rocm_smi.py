"""rocm-smi's JSON in the shapes of its source and of public issues: no recording of our own is here."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator

import pytest

from drivers.inband import ParseError
from drivers.inband.finding import Finding, Verdict
from drivers.inband.rocm_smi import Card, findings, parse

NEWER = {
    "Device Name": "AMD Instinct MI300X",
    "Card Series": "N/A",
    "Serial Number": "692432000123",
    "Unique ID": "0x719d230578348e8c",
    "PCI Bus": "0000:0C:00.0",
    "VBIOS version": "113-M3000100-102",
    "Temperature (Sensor junction) (C)": "60.0",
    "Temperature (Sensor memory) (C)": "43.0",
    "Current Socket Graphics Package Power (W)": "266.0",
    "Max Graphics Package Power (W)": "750.0",
    "sclk clock speed:": "(173Mhz)",
    "PCIe Replay Count": "0",
    "XGMI Error count": "0",
}
OLDER = {
    "Fan Speed (%)": "45",
    "Average Graphics Package Power (W)": "222.0",
    "Temperature (Sensor mem) (c)": "79.0",
    "Temperature (Sensor junction) (c)": "103.0",
    "Temperature (Sensor edge) (c)": "77.0",
}
SECOND_DIE = OLDER | {"Average Graphics Package Power (W)": "N/A (Secondary die)"}


def document(*cards: dict[str, str]) -> str:
    held = {f"card{number}": card for number, card in enumerate(cards)}
    return json.dumps(held | {"system": {"Driver version": "6.14.14"}})


def test_a_newer_card() -> None:
    found = parse("WARNING: AMD GPU device(s) is/are in a low-power state.\n\n" + document(NEWER))
    assert found.driver == "6.14.14"
    assert found.cards == (
        Card(
            0, "AMD Instinct MI300X", "692432000123", "0x719d230578348e8c", "0000:0C:00.0", "113-M3000100-102",
            266.0, 750.0, None, 60.0, 43.0, 0, 0,
        ),
    )  # fmt: skip
    assert findings(found, cards=1) == ()


def test_an_older_card_and_a_second_die() -> None:
    found = parse(document(OLDER, SECOND_DIE))
    first, second = found.cards
    assert (first.power, first.edge, first.junction, first.memory) == (222.0, 77.0, 103.0, 79.0)
    assert (first.serial, first.replays, first.xgmi_errors) == ("", None, None)
    assert second.power is None
    assert [(each.verdict, each.unit) for each in findings(found, cards=2)] == [(Verdict.WARN, "card1")]


def test_what_it_means() -> None:
    bad = NEWER | {"XGMI Error count": "2", "PCIe Replay Count": "7", "Temperature (Sensor junction) (C)": "N/A"}
    assert [each.verdict for each in findings(parse(document(bad)), cards=1)] == [
        Verdict.ERROR, Verdict.FAIL, Verdict.WARN,
    ]  # fmt: skip
    assert findings(parse(document(NEWER)), cards=8) == (
        Finding(Verdict.FAIL, "", "1 cards answer where 8 belong"),
    )  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[]",
        '{"system": {"Driver version": "6"}}',
        '{"card0": "x"}',
        '{"card0": {"XGMI Error count": "1", "xgmi error count": "0"}}',
        '{"card0": {"XGMI Error count": "1", "XGMI Error count": "0"}}',
        '{"card0": {}, "card00": {}}',
        '{"card0": {}, "system": []}',
        document(NEWER)[:-1],
        "x" * 5000 + "\n" + document(NEWER),
    ],
)
def test_what_is_no_result_is_refused(text: str) -> None:
    with pytest.raises(ParseError):
        parse(text)


def test_spoilt_outputs_raise_nothing_else(mutations: Callable[[str, int, int], Iterator[str]]) -> None:
    for text in mutations(json.dumps(json.loads(document(NEWER, OLDER, SECOND_DIE)), indent=1), 10, 420):
        with contextlib.suppress(ParseError):
            findings(parse(text), cards=3)
