"""Mutants of a module: one small change each, made on its syntax tree.

Changed are comparisons, `and`/`or`, `not`, arithmetic, numbers, truth values, single words, conditions (negated),
results (None), whole statements (left out), `min`/`max`, `any`/`all`, `break`/`continue`. Left alone: docstrings,
annotations, decorators, and text for people: f-strings, and strings of more than one word.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

COMPARED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
COMPUTED: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr, ast.BitXor: ast.BitOr,
}  # fmt: skip
SWAPPED = {"min": "max", "max": "min", "any": "all", "all": "any"}
Name = tuple[str, str, str, str, int]
"""Module, place in it, line, change, and the how-manieth of these it is."""
LEFT_OUT = (ast.Expr, ast.Raise, ast.AugAssign, ast.Delete)


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change. `where`, `line` and `change` name it however the lines of the file move; `nth` tells equals apart."""

    module: str
    where: str
    line: str
    change: str
    nth: int
    source: str
    """The whole module with this change."""

    @property
    def name(self) -> Name:
        return (self.module, self.where, self.line, self.change, self.nth)


@dataclass(slots=True)
class _Place:
    """A change that can be made and taken back."""

    where: str
    number: int
    change: str
    make: Callable[[], None]
    undo: Callable[[], None]


def mutants(module: str, source: str) -> Iterator[Mutant]:
    """Every mutant of a module, in the order of its lines."""
    tree = ast.parse(source)
    for name, place in _named(module, source, tree):
        place.make()
        yield Mutant(*name, ast.unparse(tree))
        place.undo()


def names(module: str, source: str) -> set[Name]:
    """What the mutants of a module are called."""
    return {name for name, _ in _named(module, source, ast.parse(source))}


def _named(module: str, source: str, tree: ast.Module) -> Iterator[tuple[Name, _Place]]:
    lines, seen = source.splitlines(), Counter[tuple[str, str, str]]()
    for place in _places(tree, ""):
        named = (place.where, lines[place.number - 1].strip(), place.change)
        seen[named] += 1
        yield (module, *named, seen[named]), place


def _places(node: ast.AST, where: str) -> Iterator[_Place]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        where = f"{where}.{node.name}".lstrip(".")
    yield from _own(node, where)
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list"):
            continue
        children = value if isinstance(value, list) else [value]
        for index, child in enumerate(children):
            if not isinstance(child, ast.AST) or isinstance(child, ast.JoinedStr) or _is_text(child):
                continue
            if isinstance(value, list) and isinstance(child, ast.stmt):
                yield from _statement(value, index, child, where)
            yield from _places(child, where)


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _set(node: Any, name: str, new: Any, where: str, number: int, change: str) -> _Place:
    old = getattr(node, name)
    return _Place(where, number, change, lambda: setattr(node, name, new), lambda: setattr(node, name, old))


def _statement(body: list[ast.stmt], index: int, node: ast.stmt, where: str) -> Iterator[_Place]:
    """The statement left out, or its like."""
    new: ast.stmt | None = None
    change = "left out"
    if isinstance(node, LEFT_OUT) or (
        isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Attribute | ast.Subscript)
    ):
        new = ast.Pass()
    elif isinstance(node, ast.Break):
        new, change = ast.Continue(), "`break` → `continue`"
    elif isinstance(node, ast.Continue):
        new, change = ast.Break(), "`continue` → `break`"
    elif isinstance(node, ast.Return) and node.value is None:
        new = ast.Pass()
    if new is not None:
        changed = ast.copy_location(new, node)

        def put(what: ast.stmt) -> None:
            body[index] = what

        yield _Place(where, node.lineno, change, lambda: put(changed), lambda: put(node))


def _own(node: ast.AST, where: str) -> Iterator[_Place]:
    match node:
        case ast.Compare():
            for index, old in enumerate(node.ops):
                ops = list(node.ops)
                ops[index] = COMPARED[type(old)]()
                change = f"`{_sign(old)}` → `{_sign(ops[index])}`"
                yield _set(node, "ops", ops, where, node.lineno, change)
        case ast.BoolOp():
            new: ast.boolop = ast.Or() if isinstance(node.op, ast.And) else ast.And()
            change = "`and` → `or`" if isinstance(node.op, ast.And) else "`or` → `and`"
            yield _set(node, "op", new, where, node.lineno, change)
        case ast.BinOp() | ast.AugAssign() if type(node.op) in COMPUTED:
            other = COMPUTED[type(node.op)]()
            change = f"`{_sign(node.op)}` → `{_sign(other)}`"
            yield _set(node, "op", other, where, node.lineno, change)
        case ast.UnaryOp(op=ast.USub()):
            yield _set(node, "op", ast.UAdd(), where, node.lineno, "`-` → `+`")
        case ast.Call(func=ast.Name(id=name)) if name in SWAPPED:
            new_name = ast.copy_location(ast.Name(SWAPPED[name], ast.Load()), node)
            yield _set(node, "func", new_name, where, node.lineno, f"`{name}` → `{SWAPPED[name]}`")
        case ast.If() | ast.While() | ast.IfExp() | ast.Assert():
            yield _set(node, "test", _negated(node.test), where, node.test.lineno, "condition negated")
        case ast.comprehension():
            for index, test in enumerate(node.ifs):
                ifs = list(node.ifs)
                ifs[index] = _negated(test)
                yield _set(node, "ifs", ifs, where, test.lineno, "condition negated")
        case ast.Return(value=value) if value is not None and not _is_none(value):
            yield _set(node, "value", ast.Constant(None), where, node.lineno, "result → None")
        case ast.Constant():
            yield from _constant(node, where)


def _constant(node: ast.Constant, where: str) -> Iterator[_Place]:
    value: Any = node.value
    if isinstance(value, bool):
        new: Any = not value
    elif isinstance(value, int | float):
        new = value + 1
    elif isinstance(value, str) and len(value.split()) == 1:
        new = f"{value}X"
    elif isinstance(value, bytes) and value:
        new = value + b"X"
    else:
        return
    yield _set(node, "value", new, where, node.lineno, f"`{value!r}` → `{new!r}`")


def _negated(test: ast.expr) -> ast.expr:
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        return test.operand
    return ast.copy_location(ast.UnaryOp(ast.Not(), test), test)


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _sign(op: ast.AST) -> str:
    left, right = ast.Name("a", ast.Load()), ast.Name("b", ast.Load())
    made = ast.Compare(left, [op], [right]) if isinstance(op, ast.cmpop) else ast.BinOp(left, op, right)  # type: ignore[arg-type]
    return ast.unparse(ast.fix_missing_locations(made))[2:-2]
