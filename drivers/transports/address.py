"""Addresses, options and secrets of a connection, checked before the first contact.

Everything here raises `DefinitionError` with a suggestion; nothing here touches the network.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import SplitResult, urlsplit

from harness.connection import Connection, Secret
from harness.errors import DefinitionError, Problem


def wrong(connection: Connection, path: str, text: str) -> DefinitionError:
    """The error for one wrong entry of one device in the bay file."""
    where = f"devices.{connection.device}"
    return DefinitionError([Problem("bay", f"{where}.{path}" if path else where, text)])


def suggest(word: str, known: Iterable[str]) -> str:
    """` (did you mean 'flow'?)`, or nothing where no known word comes near."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f" (did you mean {near[0]!r}?)" if near else ""


def split_address(connection: Connection, schemes: Sequence[str]) -> SplitResult:
    """The address taken apart; raises DefinitionError unless its scheme is one of `schemes`."""
    try:
        parts = urlsplit(connection.address)
        _ = parts.port
    except ValueError as error:
        raise wrong(connection, "address", f"{connection.address!r} is no URL: {error}") from error
    if parts.scheme not in schemes:
        hint = suggest(parts.scheme, schemes)
        raise wrong(connection, "address", f"{connection.address!r} must begin with {schemes[0]}://{hint}")
    return parts


def host_and_port(connection: Connection, parts: SplitResult, port: int) -> tuple[str, int]:
    """Host and port of a network address; `port` is the protocol's own."""
    if not parts.hostname:
        raise wrong(connection, "address", f"{connection.address!r} names no host")
    return parts.hostname, parts.port or port


def check_options(connection: Connection, known: Iterable[str]) -> None:
    """Raises DefinitionError on an option that nobody reads: a misspelt one would silently do nothing."""
    names = list(known)
    for name in connection.options:
        if name not in names:
            raise wrong(
                connection, f"options.{name}", f"unknown option{suggest(name, names)}; known: {', '.join(names)}"
            )


def number_option(connection: Connection, name: str, default: float, low: float, high: float) -> float:
    """A numeric option within `low` … `high`."""
    value = connection.options.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise wrong(connection, f"options.{name}", f"{value!r} is no number from {low:g} to {high:g}")
    return float(value)


def word_option(connection: Connection, name: str, default: str, allowed: Iterable[str]) -> str:
    """An option that is one of `allowed`."""
    value, words = str(connection.options.get(name, default)), list(allowed)
    if value not in words:
        raise wrong(connection, f"options.{name}", f"{value!r} is none of {', '.join(words)}{suggest(value, words)}")
    return value


def query_options(connection: Connection, query: Mapping[str, Sequence[str]], known: Iterable[str]) -> dict[str, str]:
    """The query of an address as a flat mapping; raises DefinitionError on unknown or repeated names."""
    names = list(known)
    flat: dict[str, str] = {}
    for name, values in query.items():
        if name not in names or len(values) != 1:
            raise wrong(connection, "address", f"unknown or repeated {name!r} after '?'{suggest(name, names)}")
        flat[name] = values[0]
    return flat


def required_secret(connection: Connection, purpose: str) -> Secret:
    """The secret of one purpose; raises DefinitionError where the bay file names none."""
    if purpose not in connection.secrets:
        raise wrong(connection, "secrets", f"{purpose!r} is missing; add `{purpose}: <name of a secret>`")
    return connection.secrets[purpose]
