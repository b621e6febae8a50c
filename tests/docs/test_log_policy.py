"""The page on the log policy says what the policy says, and which severities and consequences there are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from drivers.inband.policy import LinkEvent, Meaning, Policy, log_policy

PAGE = Path(__file__).parents[2] / "docs" / "log-policy.md"


def row(*cells: object) -> str:
    """One row of a table."""
    return "| " + " | ".join(str(cell).replace("\n", "; ").replace("|", "\\|") for cell in cells) + " |"


def numbers(codes: Sequence[int]) -> str:
    """Numbers in their order, runs of three and more as `1–7`."""
    runs: list[list[int]] = []
    for code in sorted(codes):
        if runs and code == runs[-1][-1] + 1:
            runs[-1].append(code)
        else:
            runs.append([code])
    return ", ".join(f"{run[0]}–{run[-1]}" if len(run) > 2 else ", ".join(str(code) for code in run) for run in runs)


def meaning(found: Meaning) -> str:
    """What it means, with what it follows or becomes."""
    text = str(found.consequence)
    if found.repeats:
        text += f"; a second one within {found.repeats.within / 3600:g} h: {found.repeats.consequence}"
    if found.follows:
        text += f" to {', '.join(found.follows.kinds)} within {found.follows.within:g} s"
    return text


def sources(policy: Policy) -> Iterator[str]:
    """The documents."""
    yield from (row("source", "document", "date"), "|---|---|---|")
    yield from (row(f"`{name}`", each.document, each.date) for name, each in policy.sources.items())


def rules(policy: Policy) -> Iterator[str]:
    """The rules on lines without a number."""
    yield from (
        row("rule", "kind", "consequence", "severity", "example", "why", "source"),
        "|---|---|---|---|---|---|---|",
    )
    for rule in policy.rules:
        source = f"{rule.source}: {rule.place}"
        yield row(
            f"`{rule.name}`", rule.kind, meaning(rule), rule.worth, f"`{rule.example[0]}`", rule.reason or "", source
        )


def codes(policy: Policy, table: str) -> Iterator[str]:
    """A table of numbered events."""
    yield from (
        row("code", "what", "consequence", "severity", "the maker's action", "why"),
        "|---|---|---|---|---|---|",
    )
    found = policy.xids if table == "xids" else policy.sxids
    for entry in sorted(found.codes, key=lambda entry: min(entry.codes)):
        action = " / ".join(word for word in (entry.action, entry.then) if word)
        yield row(numbers(entry.codes), entry.what, meaning(entry), entry.worth, action, entry.reason or "")
    yield row("any other", "", found.unknown, "Critical", "", "what is not known is not passed")


def links(policy: Policy) -> Iterator[str]:
    """NVLink 5 events, the first that fits."""
    yield from (
        row("Xid", "unit", "status", "fatal", "consequence", "the maker's action", "why"),
        "|---|---|---|---|---|---|---|",
    )
    for event in policy.nvlink:
        yield row(numbers(event.xids), *which(event), meaning(event), actions(event), event.reason or "")
    yield row("any other", "any", "any", "no", "retry", "", "what is not known is not passed")


def which(event: LinkEvent) -> tuple[str, str, str]:
    """Unit, status and whether it is fatal, in words."""
    status = ", ".join(f"{each:#x}" for each in event.status)
    return ", ".join(event.units) or "any", status or "any", "yes" if event.fatal else "no"


def actions(event: LinkEvent) -> str:
    """What the maker says is to be done."""
    return " / ".join(word for word in (event.action, event.then) if word)


def tables() -> dict[str, str]:
    """Every generated table by its mark."""
    policy = log_policy()
    return {
        name: "\n".join(lines) + "\n"
        for name, lines in (
            ("log-sources", sources(policy)),
            ("log-rules", rules(policy)),
            ("log-xids", codes(policy, "xids")),
            ("log-nvlink", links(policy)),
            ("log-sxids", codes(policy, "sxids")),
        )
    }


def test_the_tables_are_those_of_the_policy() -> None:
    text = PAGE.read_text("utf-8")
    for name, table in tables().items():
        assert text.partition(f"<!-- generated: {name} -->\n")[2].partition("<!-- end -->\n")[0] == table, name


def test_the_page_says_when_it_was_decided() -> None:
    assert f"decided on {log_policy().decided}" in PAGE.read_text("utf-8")
