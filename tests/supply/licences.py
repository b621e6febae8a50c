"""Under what licence each package comes, as an SPDX expression, and which of them we ship with."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.metadata import Distribution
from types import MappingProxyType

ALLOWED = frozenset(
    {
        "MIT", "MIT-0", "BSD-2-Clause", "BSD-3-Clause", "Apache-2.0", "PSF-2.0", "ISC",
        # Copyleft of the file or the library: used as they are, and replaceable, in an environment of their own.
        "MPL-2.0", "LGPL-2.1", "EPL-2.0",
    }
)  # fmt: skip
NAMES: Mapping[str, str] = MappingProxyType(
    {
        "Apache 2.0": "Apache-2.0",
        "BSD": "BSD-3-Clause",
        "BSD 2-Clause License": "BSD-2-Clause",
        'BSD 3-clause "New" or "Revised License"': "BSD-3-Clause",
        "Python Software Foundation License": "PSF-2.0",
        "MIT License": "MIT",
        "Apache Software License": "Apache-2.0",
        "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    }
)
"""What packages write in place of an SPDX identifier. `BSD` alone is pyserial's, whose licence has three clauses."""
READ: Mapping[str, str] = MappingProxyType(
    {
        "pysnmp": "BSD-2-Clause",
        "requests-unixsocket": "Apache-2.0",
        # Only needed on Windows, so not installed where this is built.
        "colorama": "BSD-3-Clause",
        "tzdata": "Apache-2.0",
    }
)
"""Read in the licence file of the release, where its metadata say nothing."""
_IDENTIFIER = re.compile(r"[A-Za-z0-9.-]+")


def licence_of(name: str, installed: Distribution | None) -> str:
    """The SPDX expression; empty where nobody says."""
    if installed is None or name in READ:
        return READ.get(name, "")
    said = installed.metadata
    classifiers = [line.rpartition("::")[2].strip() for line in said.get_all("Classifier") or ()]
    named: list[str] = [text for field in ("License-Expression", "License") for text in said.get_all(field) or ()]
    for text in (*named, *classifiers):
        spelt = str(NAMES.get(text, text))
        if spelt and all(word in ("AND", "OR") or _is_identifier(word) for word in spelt.split()):
            return spelt
    return ""


def is_allowed(expression: str) -> bool:
    """Whether we may ship it: of alternatives (OR) one, of what holds together (AND) all (SPDX 2.3, annex D)."""
    return bool(expression) and any(
        all(word in ALLOWED for word in together.split(" AND ")) for together in expression.split(" OR ")
    )


def _is_identifier(word: str) -> bool:
    """Whether it is one of SPDX, as far as its form tells: `MIT` and the like, or with a number in it."""
    return word in ALLOWED or (_IDENTIFIER.fullmatch(word) is not None and any(sign in word for sign in "-0123456789"))
