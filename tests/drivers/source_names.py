"""What the source of a folder names, for tests that say what our code may not use."""

from __future__ import annotations

import ast
from pathlib import Path


def names_of(folder: Path) -> set[str]:
    """Every name, attribute, keyword (`stop_bits=`) and imported module or name in the modules of a folder."""
    found: set[str] = set()
    for path in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute):
                found.add(node.attr)
            elif isinstance(node, ast.Name):
                found.add(node.id)
            elif isinstance(node, ast.keyword) and node.arg:
                found.add(f"{node.arg}=")
            elif isinstance(node, ast.ImportFrom):
                found |= {str(node.module), *(each.name for each in node.names)}
    return found
