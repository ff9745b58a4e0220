"""Mutants of a Python module: the same text with one operator, constant or decision changed."""

import ast
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass

_COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.Gt),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.Lt),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
_ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
}


@dataclass(frozen=True)
class Mutant:
    """A changed module: where, what, and the whole text."""

    line: int
    change: str
    source: str


def mutants(source: str) -> Iterator[Mutant]:
    """Every mutant of a module, in the order of its lines; texts and annotations stay."""
    tree = ast.parse(source)
    _drop_annotations(tree)
    spots = [node for node in ast.walk(tree) if hasattr(node, "lineno")]
    found = []
    for index, node in enumerate(spots):
        for which, _ in enumerate(_changes(node)):
            copy = deepcopy(tree)
            twin = [one for one in ast.walk(copy) if hasattr(one, "lineno")][index]
            before = ast.unparse(twin)
            _changes(twin)[which]()
            after = ast.unparse(twin)
            text = f"{before[:60]!r} -> {after[:60]!r}"
            found.append(Mutant(node.lineno, text, ast.unparse(ast.fix_missing_locations(copy))))
    yield from sorted(found, key=lambda one: (one.line, one.change))


def _changes(node: ast.AST):
    """Functions that change the node in place."""
    if isinstance(node, ast.Compare):
        return [
            lambda at=at, new=new: node.ops.__setitem__(at, new())
            for at, operator in enumerate(node.ops)
            for new in _COMPARISONS[type(operator)]
        ]
    if isinstance(node, ast.BoolOp):
        other = ast.Or if isinstance(node.op, ast.And) else ast.And
        return [lambda: setattr(node, "op", other())]
    if isinstance(node, ast.BinOp | ast.AugAssign) and type(node.op) in _ARITHMETIC:
        return [lambda: setattr(node, "op", _ARITHMETIC[type(node.op)]())]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        return [lambda: setattr(node, "op", ast.UAdd())]
    if isinstance(node, ast.If | ast.IfExp):
        return [lambda: setattr(node, "test", ast.UnaryOp(ast.Not(), node.test))]
    return _constant_changes(node)


def _constant_changes(node: ast.AST):
    if isinstance(node, ast.Constant) and isinstance(node.value, bool):
        return [lambda: setattr(node, "value", not node.value)]
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        return [lambda: setattr(node, "value", node.value + 1)]
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        return [lambda: setattr(node, "value", ast.Constant(None))]
    return []


def _drop_annotations(tree: ast.AST) -> None:
    for node in ast.walk(tree):
        if isinstance(node, ast.arg):
            node.annotation = None
        elif isinstance(node, ast.FunctionDef):
            node.returns = None
        elif isinstance(node, ast.AnnAssign):
            # a dataclass needs one; any will do, and a name has nothing to change
            node.annotation = ast.Name("object", ast.Load())
        elif isinstance(node, ast.JoinedStr):
            _hide_text(node)


def _hide_text(text: ast.JoinedStr) -> None:
    """What has no line is no spot for a change."""
    for part in ast.walk(text):
        if isinstance(part, ast.Constant | ast.FormattedValue):
            part.__dict__.pop("lineno", None)
