"""The log policy: what it says is bounded, sourced and matched by its own examples, and no known code is undecided."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Callable

import pytest

from drivers.inband.kernel import rule_on
from drivers.inband.policy import POLICY, Code, Rule, log_policy, read_policy
from harness.capabilities import Consequence, Severity
from harness.errors import DefinitionError

TEXT = POLICY.read_text("utf-8")
RULES = log_policy().rules
FACTS_FAIL = (48, 54, 62, 64, 74, 79, 92, 94, 95, 110, 121, 136, 140, 143, 156, 157, 158, 164, 165, 167, 168, 171, 172)
FACTS_RETRY = (13, 31, 32, 43, 46, 68, 69, 109, 119, 120, 63)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_every_rule_matches_its_examples_and_nothing_that_resembles_them(rule: Rule) -> None:
    for line in rule.example:
        assert re.search(rule.pattern, line), line
        assert rule_on(line).consequence in (rule.consequence, Consequence.FAIL), line
        assert rule_on(f"[  812.004001] {line}") == rule_on(line)
    for line in rule.no:
        assert not re.search(rule.pattern, line), line


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_an_example_means_what_its_rule_says(rule: Rule) -> None:
    found = rule_on(rule.example[0])
    assert (found.rule, found.consequence, found.severity) == (rule.name, rule.consequence, rule.worth)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_no_line_makes_a_pattern_run_away(rule: Rule) -> None:
    pattern = re.compile(rule.pattern)

    def hung(*_: object) -> None:
        raise AssertionError(f"{rule.name} runs away")

    before = signal.signal(signal.SIGALRM, hung)
    signal.setitimer(signal.ITIMER_REAL, 20)
    try:
        for example in rule.example:
            for start in range(0, len(example), 3):
                for length in (1, 7, 40):
                    piece = example[start : start + length]
                    pattern.search((example[:start] + piece * (4096 // len(piece)))[:4096])
        for piece in (" ", "a", "0", ":", "[", "a:", "0:", " 0", "link ", "x" * 40 + " "):
            pattern.search((piece * 4096)[:4096])
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def entries() -> dict[int, Code]:
    """The table of Xids by number."""
    return {code: entry for entry in log_policy().xids.codes for code in entry.codes}


def test_every_code_of_the_catalogue_is_decided_in_the_makers_words(recorded: Callable[[str], str]) -> None:
    table = entries()
    catalogue = json.loads(recorded("xid_catalog_gpud.json"))
    assert len(catalogue) == 172
    assert {each["code"] for each in catalogue} == set(table)
    for each in catalogue:
        found = table[each["code"]]
        assert (found.action, found.then) == (each["immediate"], each["investigatory"].replace("\\n", "\n")), each
        if each["description"] == "Unused":
            assert found.consequence is Consequence.RETRY


def test_what_a_new_part_must_not_report() -> None:
    table = entries()
    assert {table[code].consequence for code in FACTS_FAIL} == {Consequence.FAIL}
    assert {table[code].consequence for code in FACTS_RETRY} == {Consequence.RETRY}
    assert {code for code, entry in table.items() if entry.consequence is Consequence.ATTACH} == {45, 154, 155}
    assert {code for code, entry in table.items() if entry.consequence is Consequence.NONE} == {106, 107}


def test_whatever_is_harmless_says_why_and_is_known_from_its_beginning() -> None:
    policy = log_policy()
    for each in (*policy.rules, *policy.xids.codes, *policy.sxids.codes, *policy.nvlink):
        assert each.consequence is not Consequence.NONE or each.reason
    for rule in policy.rules:
        assert rule.worth is not Severity.OK or (rule.pattern[0] == "^" and rule.pattern[-1] == "$")


def test_it_is_read_once() -> None:
    assert log_policy() is log_policy()


NAME = "  - name: kernel.panic\n    kind: panic\n    pattern: '\\bKernel panic - not syncing'\n"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (NAME, NAME + "    colour: red\n", r"log_policy.yaml:\d+: rules.0.colour: Extra inputs"),
        ("pattern: '\\bKernel panic - not", "pattern: '\\bKernel.*panic - not", "rules.0.pattern: .*without bound"),
        ("pattern: '\\bKernel panic - not", "pattern: '\\b(?:a{1,9}){1,9} - not", "rules.0.pattern: .*repeats a group"),
        ("pattern: '\\bKernel panic - not", "pattern: '\\b.{1,999} - not", "rules.0.pattern: .*more than 200"),
        ("pattern: '\\bKernel panic - not", "pattern: 'Kernel panic - not", "rules.0.pattern: .*must begin"),
        ("pattern: '\\bKernel panic - not", "pattern: '\\b(Kernel panic - not", "rules.0.pattern: .*no regular"),
        ("source: linux\n    place: kernel/panic.c\n", "source: linx\n    place: a\n", "rules.0.source: .*'linux'"),
        ("  - name: kernel.oops", "  - name: kernel.panic", "rules.1.name: kernel.panic stands twice"),
        ("codes: [54]", "codes: [48]", r"xids.codes.1: 48 stands twice"),
        ("  unknown: retry\n  codes:\n    # ---", "  unknown: none\n  codes:\n    # ---", "xids.unknown: Input should"),
        ("unknown_error: retry", "unknown_error: none", "policy.yaml:11: unknown_error: Input should"),
        ("unknown_error: retry", "unknown_error: retry\nunknown_error: fail", "'unknown_error' stands twice"),
        ("reason: \"somebody asked the GPU for a message; nothing failed\"", "reason: \"\"", "xids.codes.*reason"),
        ("then: IGNORE, consequence: none, reason: \"somebody asked the GPU for a message; nothing failed\"",
         "then: IGNORE, consequence: none", "consequence none needs the reason"),
        ("    follows: {kinds: [oom], within: 60}\n", "", "consequence attach and `follows` go together"),
        ("    severity: OK\n", "    severity: Fine\n", "rules.*severity"),
        ("decided: 2026", "decided: [2026", "is no YAML"),
    ],
)  # fmt: skip
def test_a_wrong_policy_is_refused_with_its_place(old: str, new: str, said: str) -> None:
    assert old in TEXT
    with pytest.raises(DefinitionError, match=said):
        read_policy(TEXT.replace(old, new, 1), POLICY.name)


def test_all_problems_are_said_at_once() -> None:
    text = TEXT.replace("unknown_error: retry", "unknown_error: none", 1).replace(
        "    kind: oom\n", "    kind: cow\n", 1
    )
    with pytest.raises(DefinitionError) as refused:
        read_policy(text, POLICY.name)
    assert len(refused.value.problems) == 2
    with pytest.raises(DefinitionError):
        read_policy("", POLICY.name)
