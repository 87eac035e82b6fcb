"""Small faults planted in Python source: each mutant is one change of one syntax tree.

Operators, after A. J. Offutt et al., "An Experimental Determination of Sufficient Mutant Operators", ACM
TOSEM 5(2), 1996, widened by what an order path is made of (tables, keywords, early exits):

* boundary and negated comparisons; `and` and `or`; a dropped `not` or minus; a negated condition,
* other arithmetic, constants one up and one down, True and False, another word for a word,
* a removed call, raise, return, assertion, assignment to a field; `break` and `continue`,
* neighbouring arguments, positional or by keyword, with their values exchanged; a keyword left out; a member
  left out of a set.

Left alone: annotations, docstrings, sentences for people and `__all__`.
"""

from __future__ import annotations

import ast
import hashlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from types import CodeType
from typing import Any

#: The way from the module to a node: field names and places in lists.
Way = tuple[tuple[str, int | None], ...]

_COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE), ast.LtE: (ast.Lt, ast.Gt), ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt), ast.Eq: (ast.NotEq,), ast.NotEq: (ast.Eq,), ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,), ast.In: (ast.NotIn,), ast.NotIn: (ast.In,),
}  # fmt: skip
_ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv, ast.Pow: ast.Mult, ast.LShift: ast.RShift, ast.RShift: ast.LShift,
    ast.BitOr: ast.BitAnd, ast.BitAnd: ast.BitOr, ast.BitXor: ast.BitOr,
}  # fmt: skip
#: The order of the arguments says nothing, or another one is no call at all.
_UNORDERED = frozenset({"max", "min", "isinstance", "setattr", "getattr"})
_SKIPPED_FIELDS = frozenset({"annotation", "returns", "type_comment"})


@dataclass(frozen=True)
class Mutant:
    """One planted fault.

    Attributes
    ----------
    identity : str
        Stays when other statements change: made of function, operator, statement and place in it.
    path : str
        File, relative to the project.
    scope : str
        Qualified name of the outermost function or method that holds the fault; "" = run at import.
    first, last : int
        Lines of the statement, or of its head where it holds others.
    before, after : str
        What was there and what is there now.
    """

    identity: str
    path: str
    scope: str
    operator: str
    first: int
    last: int
    before: str
    after: str
    way: Way
    choice: int


def mutants_of(path: str, source: str) -> list[Mutant]:
    """All mutants of a file, in the order of its lines; no two of a statement are the same."""
    tree = ast.parse(source)
    found: list[Mutant] = []
    seen: set[tuple[Way, str]] = set()
    counted: dict[str, int] = {}
    for place in list(_places(tree, _TOP)):
        node, around = _at(tree, place.way), place.statement or ()
        for choice, (operator, new) in enumerate(list(_changes(node, place))):
            before = _describe(tree, place)
            _put(tree, place.way, ast.copy_location(new, node))
            after, key = _describe(tree, place), (around, ast.dump(_at(tree, around)))
            _put(tree, place.way, node)
            if key in seen:
                continue
            seen.add(key)
            identity = _identity(path, tree, place, operator, choice, counted)
            first, last = _lines(_at(tree, around))
            found.append(
                Mutant(identity, path, place.scope, operator, first, last, before, after, place.way, choice)
            )
    return sorted(found, key=lambda one: (one.first, one.way, one.choice))


def mutated(source: str, way: Way, choice: int) -> ast.Module:
    """The tree of the source with one change in it."""
    tree = ast.parse(source)
    for place in _places(tree, _TOP, only=way):
        node = _at(tree, way)
        _, new = list(_changes(node, place))[choice]
        _put(tree, way, ast.fix_missing_locations(ast.copy_location(new, node)))
    return tree


@dataclass(frozen=True)
class _Place:
    """Where a node is: its way, the names around it, and the statement that holds it."""

    way: Way
    name: str
    scope: str
    statement: Way | None
    in_text: bool  #: within a raise or an f-string, where words are for people


_TOP = _Place((), "", "", None, False)


def _places(tree: ast.Module, top: _Place, only: Way | None = None) -> Iterator[_Place]:
    stack: list[tuple[ast.AST, _Place]] = [(tree, top)]
    while stack:
        node, place = stack.pop()
        if place.way and (only is None or place.way == only):
            yield place
        if _is_left_alone(node):
            continue
        inner = _inner(node, place)
        for field, value in ast.iter_fields(node):
            if field in _SKIPPED_FIELDS:
                continue
            for at, child in enumerate(value) if isinstance(value, list) else [(None, value)]:
                if not isinstance(child, ast.AST):
                    continue
                way = (*place.way, (field, at))
                if only is not None and only[: len(way)] != way:
                    continue
                at_import = isinstance(node, ast.FunctionDef) and field in ("args", "decorator_list")
                around = place if at_import else inner
                statement = way if isinstance(child, ast.stmt) else around.statement
                stack.append((child, _Place(way, around.name, around.scope, statement, around.in_text)))


def _inner(node: ast.AST, place: _Place) -> _Place:
    name, scope = place.name, place.scope
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        name = f"{name}.{node.name}" if name else node.name
        if isinstance(node, ast.FunctionDef) and not scope:
            scope = name
    in_text = place.in_text or isinstance(node, (ast.Raise, ast.JoinedStr))
    return _Place(place.way, name, scope, place.statement, in_text)


def _is_left_alone(node: ast.AST) -> bool:
    if isinstance(node, (ast.Import, ast.ImportFrom, ast.JoinedStr)):
        return True
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return True  # a docstring
    return isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"


# --- the changes -----------------------------------------------------------------------------------


def _changes(node: ast.AST, place: _Place) -> Iterator[tuple[str, ast.AST]]:
    if isinstance(node, ast.Compare):
        yield from _comparisons(node)
    elif isinstance(node, ast.BoolOp):
        other = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        yield "boolean operator", ast.BoolOp(other, node.values)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.Not, ast.USub)):
        yield "dropped sign", node.operand
    elif isinstance(node, ast.BinOp) and type(node.op) in _ARITHMETIC and not _is_word(node):
        yield "arithmetic", ast.BinOp(node.left, _ARITHMETIC[type(node.op)](), node.right)
    elif isinstance(node, ast.Constant):
        yield from _constants(node, place)
    elif isinstance(node, ast.Set) and len(node.elts) > 1:
        for at in range(len(node.elts)):
            yield "left out", ast.Set(node.elts[:at] + node.elts[at + 1 :])
    elif isinstance(node, ast.Call):
        yield from _calls(node)
    elif isinstance(node, ast.IfExp) and _is_negatable(node.test):
        yield "negated condition", ast.IfExp(_negated(node.test), node.body, node.orelse)
    elif isinstance(node, ast.comprehension):
        yield from _conditions(node)
    elif isinstance(node, ast.stmt):
        yield from _statements(node)


def _comparisons(node: ast.Compare) -> Iterator[tuple[str, ast.AST]]:
    for at, op in enumerate(node.ops):
        for other in _COMPARISONS[type(op)]:
            ops = [*node.ops[:at], other(), *node.ops[at + 1 :]]
            yield "comparison", ast.Compare(node.left, ops, node.comparators)


def _constants(node: ast.Constant, place: _Place) -> Iterator[tuple[str, ast.AST]]:
    value = node.value
    if isinstance(value, bool):
        yield "constant", ast.Constant(not value)
    elif isinstance(value, (int, float)):
        for changed in (value + 1, value - 1):
            if changed != value:  # a float may be too large to notice
                yield "constant", ast.Constant(changed)
    elif isinstance(value, str) and not place.in_text and not any(c.isspace() for c in value):
        yield "constant", ast.Constant(value + "_")


def _calls(node: ast.Call) -> Iterator[tuple[str, ast.AST]]:
    args, keywords = node.args, node.keywords
    unordered = isinstance(node.func, ast.Name) and node.func.id in _UNORDERED
    for at in range(len(args) - 1):
        one, two = args[at], args[at + 1]
        starred = isinstance(one, ast.Starred) or isinstance(two, ast.Starred)
        if not unordered and not starred and ast.dump(one) != ast.dump(two):
            swapped = [*args[:at], two, one, *args[at + 2 :]]
            yield "exchanged arguments", ast.Call(node.func, swapped, keywords)
    named = [at for at, keyword in enumerate(keywords) if keyword.arg is not None]
    for one_at, two_at in itertools.pairwise(named):
        first, second = keywords[one_at], keywords[two_at]
        if ast.dump(first.value) != ast.dump(second.value):
            changed = list(keywords)
            changed[one_at] = ast.keyword(first.arg, second.value)
            changed[two_at] = ast.keyword(second.arg, first.value)
            yield "exchanged arguments", ast.Call(node.func, args, changed)
    if len(named) == 1:
        yield "left out", ast.Call(node.func, args, [k for k in keywords if k.arg is None])


def _conditions(node: ast.comprehension) -> Iterator[tuple[str, ast.AST]]:
    for at, test in enumerate(node.ifs):
        if _is_negatable(test):
            ifs = [*node.ifs[:at], _negated(test), *node.ifs[at + 1 :]]
            yield "negated condition", ast.comprehension(node.target, node.iter, ifs, node.is_async)


def _statements(node: ast.stmt) -> Iterator[tuple[str, ast.AST]]:
    if isinstance(node, ast.If) and _is_negatable(node.test):
        yield "negated condition", ast.If(_negated(node.test), node.body, node.orelse)
    elif isinstance(node, ast.While) and _is_negatable(node.test):
        yield "negated condition", ast.While(_negated(node.test), node.body, node.orelse)
    elif isinstance(node, ast.AugAssign):
        if type(node.op) in _ARITHMETIC:
            yield "arithmetic", ast.AugAssign(node.target, _ARITHMETIC[type(node.op)](), node.value)
        yield "removed statement", ast.Pass()
    elif isinstance(node, ast.Break):
        yield "other exit", ast.Continue()
    elif isinstance(node, ast.Continue):
        yield "other exit", ast.Break()
    elif _is_removable(node):
        yield "removed statement", ast.Pass()


def _is_removable(node: ast.stmt) -> bool:
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Call)
    if isinstance(node, ast.Return):
        return node.value is not None
    if isinstance(node, ast.Assign):
        return isinstance(node.targets[0], (ast.Attribute, ast.Subscript))
    return isinstance(node, (ast.Raise, ast.Assert, ast.Delete))


def _is_negatable(test: ast.expr) -> bool:
    """Whether no other operator negates it already."""
    if isinstance(test, ast.Compare) and len(test.ops) == 1:
        return False
    return not (isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not))


def _negated(test: ast.expr) -> ast.expr:
    return ast.UnaryOp(ast.Not(), test)


def _is_word(node: ast.BinOp) -> bool:
    return any(
        isinstance(side, ast.JoinedStr) or (isinstance(side, ast.Constant) and isinstance(side.value, str))
        for side in (node.left, node.right)
    )


# --- trees and names -------------------------------------------------------------------------------


def _at(tree: ast.AST, way: Way) -> Any:
    node: Any = tree
    for field, at in way:
        node = getattr(node, field) if at is None else getattr(node, field)[at]
    return node


def _put(tree: ast.AST, way: Way, new: ast.AST) -> None:
    parent = _at(tree, way[:-1])
    field, at = way[-1]
    if at is None:
        setattr(parent, field, new)
    else:
        getattr(parent, field)[at] = new


def _identity(
    path: str, tree: ast.Module, place: _Place, operator: str, choice: int, counted: dict[str, int]
) -> str:
    around = place.statement or ()
    within = place.way[len(around) :]
    key = "\x1f".join((path, place.name, operator, _head(_at(tree, around)), repr(within), str(choice)))
    same = counted[key] = counted.get(key, 0) + 1
    return hashlib.sha256(f"{key}\x1f{same}".encode()).hexdigest()[:10]


def _describe(tree: ast.Module, place: _Place) -> str:
    shown, around = place.way, place.statement or ()
    while len(shown) > len(around) and isinstance(_at(tree, shown), (ast.Constant, ast.Name)):
        shown = shown[:-1]  # a bare constant says little
    return " ".join(_head(_at(tree, shown)).split())


def _lines(statement: ast.stmt) -> tuple[int, int]:
    body = getattr(statement, "body", None)
    last = body[0].lineno - 1 if body else statement.end_lineno or statement.lineno
    return statement.lineno, max(last, statement.lineno)


def _head(node: ast.AST) -> str:
    """The node in words; of a statement that holds others only what stands before them."""
    if isinstance(node, (ast.If, ast.While)):
        return f"{type(node).__name__.lower()} {ast.unparse(node.test)}"
    if isinstance(node, ast.For):
        return f"for {ast.unparse(node.target)} in {ast.unparse(node.iter)}"
    if isinstance(node, ast.FunctionDef):
        return f"def {node.name}({ast.unparse(node.args)}) {[ast.unparse(d) for d in node.decorator_list]}"
    if isinstance(node, ast.ClassDef):
        return f"class {node.name} {[ast.unparse(d) for d in node.decorator_list]}"
    if isinstance(node, ast.Try):
        return "try"
    return ast.unparse(node)


def function_code(code: CodeType, scope: str) -> CodeType:
    """The code of a function, by qualified name, in the code of its module."""
    found = [code]
    for name in scope.split("."):
        found = [c for one in found for c in one.co_consts if isinstance(c, CodeType) and c.co_name == name]
    return found[-1]
