"""PCI Express links: narrower is a FAIL in every version's words, and hidden capabilities are no pass."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import pytest

from drivers.inband import ParseError
from drivers.inband.finding import Verdict
from drivers.inband.lspci import findings, parse, parse_sysfs

Mutations = Callable[[str, int, int], Iterator[str]]


def device(status: str, kind: str = "Endpoint, IntMsgNum 0", address: str = "0000:0f:00.0") -> str:
    return f"""\
{address} 3D controller: NVIDIA Corporation Device 2941 (rev a1)
\tControl: I/O- Mem+ BusMaster+
\tCapabilities: [60] Express (v2) {kind}
\t\tDevCap:\tMaxPayload 256 bytes, PhantFunc 0
\t\tLnkCap:\tPort #0, Speed 32GT/s, Width x16, ASPM L1, Exit Latency L1 unlimited
\t\t\tClockPM+ Surprise- LLActRep- BwNot- ASPMOptComp+
\t\tLnkSta:\t{status}
\t\t\tTrErr- Train- SlotClk+ DLActive- BWMgmt- ABWMgmt-
\t\tLnkCap2: Supported Link Speeds: 2.5-32GT/s, Crosslink- Retimer+
\t\tLnkSta2: Current De-emphasis Level: -3.5dB, EqualizationComplete+ EqualizationPhase1+
\tKernel driver in use: nvidia

"""


HOST_BRIDGE = "0000:00:00.0 Host bridge: Intel Corporation Device 0d57\n\tControl: I/O- Mem-\n\n"
HEALTHY = HOST_BRIDGE + device("Speed 32GT/s, Width x16")
DENIED = "0f:00.0 3D controller: NVIDIA Corporation Device 2941\n\tCapabilities: <access denied>\n\n"


def sysfs(speed: str = "32.0 GT/s PCIe", width: str = "16") -> str:
    folder = "/sys/bus/pci/devices/0000:0f:00.0/"
    told = (("current_link_speed", speed), ("current_link_width", width))
    ought = (("max_link_speed", "32.0 GT/s PCIe"), ("max_link_width", "16"))
    return "".join(f"{folder}{name}:{value}\n" for name, value in told + ought)


def verdicts(text: str, loaded: bool = True) -> list[Verdict]:
    return [each.verdict for each in findings(parse(text), loaded=loaded)]


def test_a_link_at_its_best() -> None:
    (link,) = parse(HEALTHY)
    assert (link.address, link.kind) == ("0000:0f:00.0", "Endpoint")
    assert (link.fastest, link.widest, link.speed, link.width) == (32.0, 16, 32.0, 16)
    assert link.name == "3D controller: NVIDIA Corporation Device 2941 (rev a1)"
    assert findings((link,), wanted=("0000:0f:00.0",)) == ()
    assert [each.unit for each in findings((link,), wanted=("0000:10:00.0",))] == ["0000:10:00.0"]


@pytest.mark.parametrize(
    "status",
    [
        "Speed 32GT/s, Width x8, TrErr- Train- SlotClk+ DLActive- BWMgmt- ABWMgmt-",
        "Speed 32GT/s (ok), Width x8 (downgraded)",
        "Speed 32GT/s, Width x8 (downgraded)",
    ],
)
def test_a_narrow_link_in_the_words_of_every_version(status: str) -> None:
    assert verdicts(device(status)) == [Verdict.FAIL]
    assert verdicts(device(status), loaded=False) == [Verdict.FAIL]


def test_a_slow_link_counts_under_load() -> None:
    assert verdicts(device("Speed 2.5GT/s (downgraded), Width x16")) == [Verdict.FAIL]
    assert verdicts(device("Speed 2.5GT/s (downgraded), Width x16"), loaded=False) == [Verdict.WARN]


@pytest.mark.parametrize(
    "text",
    [
        DENIED,
        device("Speed unknown, Width x0"),
        device("Speed 32GT/s, Width x16").replace("\t\tLnkSta:\tSpeed 32GT/s, Width x16\n", ""),
        device("Speed 32GT/s, Width x16").replace("\t\tLnkCap:\tPort", "\t\tLnkCup:\tPort"),
    ],
)
def test_what_cannot_be_seen_is_an_error(text: str) -> None:
    assert verdicts(text) == [Verdict.ERROR]


@pytest.mark.parametrize("kind", ["Root Port (Slot+), IntMsgNum 0", "Downstream Port (Slot-), MSI 00"])
def test_the_downstream_side_may_be_empty(kind: str) -> None:
    assert verdicts(device("Speed 2.5GT/s, Width x0", kind)) == []


def test_sysfs() -> None:
    (link,) = parse_sysfs(sysfs())
    assert (link.address, link.fastest, link.widest, link.speed, link.width) == ("0000:0f:00.0", 32.0, 16, 32.0, 16)
    assert findings((link,)) == ()
    assert [each.verdict for each in findings(parse_sysfs(sysfs(width="8")))] == [Verdict.FAIL]
    assert [each.verdict for each in findings(parse_sysfs(sysfs(speed="8 GT/s")))] == [Verdict.FAIL]
    assert [each.verdict for each in findings(parse_sysfs(sysfs("Unknown", "0")))] == [Verdict.ERROR]
    assert [each.verdict for each in findings(parse_sysfs(sysfs(width="63")))] == [Verdict.ERROR]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        HEALTHY[:-1] + "x",
        HEALTHY + HEALTHY,
        HEALTHY.replace("Width x16\n", "Width x\n"),
        HEALTHY.replace("Speed 32GT/s, Width x16\n", "Speed 32TT/s, Width x16\n"),
        HEALTHY.replace("\t\tLnkSta:\t", "\t\tLnkSta:\tSpeed 8GT/s, Width x4\n\t\tLnkSta:\t"),
        HEALTHY.replace("0000:0f:00.0", "0000:0f:00.9"),
        HEALTHY[HEALTHY.index("\tCapabilities") :],
        "lspci: Unable to load libkmod resources: error -2\n",
    ],
)
def test_what_is_cut_off_or_garbled_is_refused(text: str) -> None:
    with pytest.raises(ParseError):
        parse(text)


@pytest.mark.parametrize(
    "text", ["", "x\n", sysfs()[:-1], sysfs("fast"), sysfs(width="x16"), sysfs() + sysfs(width="8")]
)
def test_doubtful_files_are_refused(text: str) -> None:
    with pytest.raises(ParseError):
        parse_sysfs(text)


def test_spoilt_outputs_end_in_a_result_or_a_parse_error(mutations: Mutations) -> None:
    whole = HEALTHY + device("Speed 8GT/s (downgraded), Width x8 (downgraded)", address="0000:10:00.0")
    for spoilt in mutations(whole, 20, 500):
        with contextlib.suppress(ParseError):
            findings(parse(spoilt))
    for spoilt in mutations(sysfs(), 20, 300):
        with contextlib.suppress(ParseError):
            findings(parse_sysfs(spoilt))
