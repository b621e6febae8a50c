"""Every parser over every recorded output, spoilt 200,000 times in the long suite and 2,000 times in the short one.

A parser ends in a result or in a ParseError, whatever it is given, and it ends. Where no recording of a tool is here,
a text in the shape of its source stands for it. Every short text is given to a parser of another tool as well: what
comes in may be anything.
"""

from __future__ import annotations

import json
import math
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from drivers.inband import (
    ParseError,
    amd_smi,
    dcgm,
    dmesg,
    eos_phy,
    ethtool_fec,
    ethtool_module,
    ethtool_settings,
    ethtool_statistics,
    fio,
    gpu_burn,
    iperf3,
    ipmi_sel,
    lldpctl,
    lspci,
    memtester,
    mlxlink,
    nccl_tests,
    nvbandwidth,
    nvidia_smi,
    nvlink,
    nvme,
    perftest,
    rocm_smi,
    smartctl,
    stress_ng,
    stressapptest,
)
from drivers.inband.kernel import Line, judge

Recorded = Callable[[str], str]
Mutations = Callable[[str, int, int], Iterator[str]]
LONG, SAMPLE = 200_000, 2_000
PATIENCE = 20
"""Wall seconds after which one call counts as hung; the longest takes a fraction of one."""
SHORT = 8192
"""Characters up to which a text is given to another tool's parser as well."""


def parse_and_judge(text: str) -> object:
    """The kernel log, and what it means."""
    return judge([Line(each.time, each.level, each.text) for each in dmesg.parse(text)])


def judge_lines(text: str) -> object:
    """Any text as the lines of a kernel log."""
    return judge([Line(float(number), number % 8, line) for number, line in enumerate(text.splitlines())])


@dataclass(frozen=True)
class Subject:
    """A parser, what it is given, and its share of all mutations: smaller where one takes longer."""

    parse: Callable[[str], object]
    source: str
    share: int = 4
    text: str = ""

    @property
    def name(self) -> str:
        parser = getattr(self.parse, "__qualname__", "")
        return f"{self.parse.__module__.rpartition('.')[2]}.{parser}-{self.source}"


JOURNAL = "".join(
    json.dumps(
        {"__CURSOR": f"s={number}", "__MONOTONIC_TIMESTAMP": "12250001", "_BOOT_ID": "a3" * 16, "PRIORITY": "3",
         "_TRANSPORT": "kernel", "MESSAGE": message}
    ) + "\n"
    for number, message in enumerate(("NVRM: Xid (PCI:0000:0f:00): 79, x", [75, 101, 255], "EDAC MC0: 1 CE memory"))
)  # fmt: skip
AMD_STATIC = json.dumps(
    [{"gpu": 0, "asic": {"market_name": "AMD Instinct MI300X", "asic_serial": "0x1234"}, "bus": {"bdf": "0000:0C:00.0"},
      "board": {"product_serial": "692432000123", "model_number": "102-G30211-00"}, "driver": {"version": "6.10.5"},
      "limit": {"max_power": {"value": 750, "unit": "W"}}}], indent=1,
)  # fmt: skip
AMD_METRIC = json.dumps(
    [{"gpu": 0, "power": {"socket_power": {"value": 142, "unit": "W"}, "throttle_status": "UNTHROTTLED"},
      "temperature": {"edge": "N/A", "hotspot": {"value": 61, "unit": "C"}}, "pcie": {"replay_count": 0},
      "ecc": {"total_correctable_count": 0, "total_uncorrectable_count": 0}, "throttle": {"ppt_accumulated": 0}}],
    indent=1,
)  # fmt: skip
ROCM = json.dumps(
    {"card0": {"Serial Number": "692432000123", "PCI Bus": "0000:0C:00.0", "PCIe Replay Count": "0",
               "Temperature (Sensor junction) (C)": "60.0", "Max Graphics Package Power (W)": "750.0"},
     "system": {"Driver version": "6.14.14"}}, indent=1,
)  # fmt: skip
EOS = """Current System Time: Sun Nov 22 12:00:00 2026
Ethernet1/1
                                 Current State     Changes            Last Change
                                 -------------     -------            -----------
  PHY state                      linkUp                  3            4:31:12 ago
  Oper speed                     400Gbps
  Forward Error Correction       Reed-Solomon
  Reed-Solomon codeword size     544
  FEC corrected codewords        8231                  812            0:00:02 ago
  FEC uncorrected codewords      0                       0                  never
"""
FEC = """FEC parameters for eth0:
Supported/Configured FEC encodings: Auto RS
Active FEC encoding: RS
Statistics:
  corrected_blocks: 256
    Lane 0: 255
    Lane 1: 1
  uncorrectable_blocks: 0
"""
SETTINGS = "Settings for eth0:\n\tSpeed: 400000Mb/s\n\tLanes: 4\n\tDuplex: Full\n\tLink detected: yes\n"
STATISTICS = "NIC statistics:\n     rx_packets: 1000\n     rx_crc_errors_phy: 2\n     [0]: rx_ucast_packets: 5\n"
LSPCI = """0000:0f:00.0 3D controller: NVIDIA Corporation Device 2941 (rev a1)
\tCapabilities: [60] Express (v2) Endpoint, IntMsgNum 0
\t\tLnkCap:\tPort #0, Speed 32GT/s, Width x16, ASPM L1, Exit Latency L1 unlimited
\t\tLnkSta:\tSpeed 32GT/s, Width x8 (downgraded)
\tKernel driver in use: nvidia

"""
SYSFS = "".join(
    f"/sys/bus/pci/devices/0000:0f:00.0/{name}:{value}\n"
    for name, value in (("current_link_speed", "32.0 GT/s PCIe"), ("current_link_width", "16"),
                        ("max_link_speed", "32.0 GT/s PCIe"), ("max_link_width", "16"))
)  # fmt: skip
SMART_LOG = json.dumps(
    {"critical_warning": 0, "temperature": 308, "avail_spare": 100, "spare_thresh": 10, "percent_used": 3,
     "power_on_hours": "12798", "media_errors": "0", "num_err_log_entries": "62"}, indent=1,
)  # fmt: skip
DRIVES = json.dumps(
    {"Devices": [{"NameSpace": 1, "DevicePath": "/dev/nvme0n1", "SerialNumber": "S1", "ModelNumber": "M", "Firmware":
                  "2B", "UsedBytes": 1, "MaximumLBA": 9, "PhysicalSize": 500107862016, "SectorSize": 512}]}, indent=1,
)  # fmt: skip
NCCL_JSON = json.dumps(
    {"nccl_version": "2.27", "config": {"check": 1}, "devices": [{"rank": 0}], "average_bus_bandwidth":
     {"bandwidth": 745.5}, "out_of_bounds": {"count": 0, "okay": True},
     "results": [{"size": 1024, "count": 256, "type": "float", "redop": "sum", "root": -1,
                  "out_of_place": {"time": 10.0, "alg_bw": 0.1, "bus_bw": 0.19, "nwrong": 0},
                  "in_place": {"time": 10.0, "alg_bw": 0.1, "bus_bw": 0.19, "nwrong": 0}}]}, indent=1,
)  # fmt: skip
BANDWIDTH_JSON = json.dumps(
    {"nvbandwidth": {"Driver Version": "580", "GPU Device list": ["0: X"], "git_version": "v0.8", "testcases":
     [{"name": "device_to_device_memcpy_read_ce", "status": "Passed", "bandwidth_description": "GPU(row) GB/s",
       "bandwidth_matrix": [["N/A", "700.5"], ["710.25", "N/A"]], "sum": 1410.75, "min": 700.5, "max": 710.25}]}},
    indent=1,
)  # fmt: skip

SMI = [f"nvidia-smi-qx-gb200-mock-{name}.xml" for name in
       ("healthy", "ecc-injected", "fabric-degraded", "lost", "throttle-counters")]  # fmt: skip
SUBJECTS = (
    *(Subject(nvidia_smi.parse, name, 1) for name in SMI),
    Subject(nvidia_smi.parse, "nvidia-smi-qx-gb200-hw.xml", 1),
    Subject(memtester.parse, "memtester-4.6.0.txt", 1),
    Subject(gpu_burn.parse, "gpu_burn_8xA100.log", 1),
    *(Subject(dcgm.parse, f"dcgmi-diag-gb10-{name}.json") for name in
      ("level1", "level2-plugins-allowed", "level2-plugins-gated")),
    Subject(parse_and_judge, "dmesg-json-burnin-SYNTHETIC.json"),
    Subject(judge_lines, "dmesg-json-burnin-SYNTHETIC.json"),
    Subject(judge_lines, "aznhc_linkflap_syslog"),
    Subject(dmesg.parse_journal, "journal", 12, JOURNAL),
    Subject(ethtool_module.parse, "ethtool-json-m-qsfpdd-cmis.json", 6),
    *(Subject(fio.parse, f"fio-3.33-{name}.json") for name in ("randrw-verify", "verify-FAIL")),
    *(Subject(parse, f"iperf3-3.12-{name}.json") for name in ("ERROR-exit0", "tcp", "udp")
      for parse in (iperf3.parse, iperf3.parse_client, iperf3.parse_server)),
    Subject(ipmi_sel.parse, "ipmitool-sel-list.txt", 12),
    *(Subject(lldpctl.parse, f"lldpctl-1.0.16-{name}.json", 6) for name in ("json", "json0")),
    Subject(mlxlink.parse, "mlxlink-shape.json", 12),
    Subject(nccl_tests.parse, "nccl_allreduce_gb200_nvl72_72ranks.txt", 8),
    Subject(nccl_tests.parse_json, "nccl-json", 12, NCCL_JSON),
    Subject(nvbandwidth.parse, "nvbandwidth_gh200.log", 6),
    Subject(nvbandwidth.parse_json, "nvbandwidth-json", 12, BANDWIDTH_JSON),
    Subject(nvlink.parse_errors, "nvidia-smi-nvlink-e-nvlink5-SHAPE.txt", 12),
    *(Subject(nvlink.parse_status, f"nvidia-smi-nvlink-status-{name}.txt", 8) for name in ("a100", "bad")),
    Subject(perftest.parse, "perftest_ib_write_bw.log", 8),
    *(Subject(smartctl.parse, f"smartctl-nvme-{name}.json") for name in
      ("failed", "null-INTEL_SSDPE2KX020T8-nvme2")),
    *(Subject(stress_ng.parse, f"stress-ng-0.15.06.{name}") for name in ("txt", "yaml")),
    *(Subject(stressapptest.parse, f"stressapptest-1.0.6-{name}.log", 8) for name in ("PASS", "FAIL-force_errors")),
    Subject(amd_smi.parse_static, "static", 8, AMD_STATIC),
    Subject(amd_smi.parse_metric, "metric", 8, AMD_METRIC),
    Subject(rocm_smi.parse, "json", 8, ROCM),
    Subject(eos_phy.parse, "phy", 8, EOS),
    Subject(ethtool_fec.parse, "fec", 8, FEC),
    Subject(ethtool_settings.parse, "settings", 12, SETTINGS),
    Subject(ethtool_statistics.parse, "statistics", 12, STATISTICS),
    Subject(lspci.parse, "lspci", 8, LSPCI),
    Subject(lspci.parse_sysfs, "sysfs", 8, SYSFS),
    Subject(nvme.parse_smart_log, "smart-log", 8, SMART_LOG),
    Subject(nvme.parse_list, "list", 8, DRIVES),
)  # fmt: skip
SHARES = sum(subject.share for subject in SUBJECTS)
DOCUMENTS = (".json", ".xml")


@contextmanager
def guarded(what: str) -> Iterator[Callable[[Subject, str], None]]:
    """`attempt(subject, text)`: a result, a ParseError, or a failed test; a call that hangs is ended."""

    def hung(*_: object) -> None:
        raise AssertionError(f"{what}: hangs")

    before = signal.signal(signal.SIGALRM, hung)

    def attempt(subject: Subject, text: str) -> None:
        signal.setitimer(signal.ITIMER_REAL, PATIENCE)
        try:
            subject.parse(text)
        except ParseError:
            pass
        except Exception as error:  # noqa: BLE001
            pytest.fail(f"{subject.name}: {error!r} on {text[:2000]!r}")
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)

    try:
        yield attempt
    finally:
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: subject.name)
def test_a_spoilt_output_ends_in_a_result_or_a_parse_error(
    subject: Subject, recorded: Recorded, mutations: Mutations, pytestconfig: pytest.Config
) -> None:
    whole = LONG if pytestconfig.getoption("--long") else SAMPLE
    text = subject.text or recorded(subject.source)
    place = SUBJECTS.index(subject)
    with guarded(subject.name) as attempt:
        for number, spoilt in enumerate(mutations(text, 2026 + place, math.ceil(whole * subject.share / SHARES))):
            attempt(subject, spoilt)
            if len(spoilt) <= SHORT:
                attempt(SUBJECTS[(place + 1 + number) % len(SUBJECTS)], spoilt)


@pytest.mark.parametrize(
    "subject", [each for each in SUBJECTS if each.source.endswith(DOCUMENTS)], ids=lambda subject: subject.name
)
def test_a_document_cut_off_anywhere_is_no_result(
    subject: Subject, recorded: Recorded, pytestconfig: pytest.Config
) -> None:
    """Half a document of a failure must not read as a clean one."""
    if subject.parse is judge_lines:
        return  # any lines are lines
    text = recorded(subject.source).rstrip()
    pieces = 400 if pytestconfig.getoption("--long") else 12
    for length in sorted({len(text) * number // pieces for number in range(pieces)} | {len(text) - 1}):
        with pytest.raises(ParseError):
            subject.parse(text[:length])


def test_every_parser_has_a_share() -> None:
    from importlib import import_module
    from pkgutil import iter_modules

    package = import_module("drivers.inband")
    parsers = {
        value
        for module in iter_modules(package.__path__)
        for name, value in vars(import_module(f"drivers.inband.{module.name}")).items()
        if name == "parse" or name.startswith("parse_")
    }
    # dmesg's is judged as well, so under another name; of a scan there is no recording: test_smartctl has tests of it.
    assert parsers - {subject.parse for subject in SUBJECTS} == {dmesg.parse, smartctl.parse_scan}
    assert sum(math.ceil(LONG * subject.share / SHARES) for subject in SUBJECTS) >= LONG


def test_the_texts_of_our_own_are_what_their_tools_print() -> None:
    for subject in SUBJECTS:
        if subject.text:
            assert subject.parse(subject.text)
