"""Which labels tell the series of an answer apart, as far as the text of its query says.

`sum(x)` gives one series whatever the fleet, `max by (symbol) (x)` as many as there are symbols.
"""

import promql_parser
from promql_parser import AggModifierType, ValueType

_ONE_PER_GROUP = frozenset(
    {"sum", "min", "max", "avg", "count", "group", "stddev", "stdvar", "quantile"}
)
_ADD_LABELS = frozenset({"label_replace", "label_join", "info", "histogram_quantiles"})
_NONE: frozenset[str] = frozenset()


def labels_apart(query: str) -> frozenset[str] | None:
    """Labels by which series of the answer can differ; None where `query` does not say.

    Without any there is one series at most.
    """
    return _apart(promql_parser.parse(query))


def _apart(node: object) -> frozenset[str] | None:
    match node:
        case promql_parser.ParenExpr() | promql_parser.UnaryExpr() | promql_parser.SubqueryExpr():
            return _apart(node.expr)
        case promql_parser.AggregateExpr():
            return _of_aggregate(node)
        case promql_parser.BinaryExpr():
            return _of_pair(node)
        case promql_parser.Call():
            return _of_call(node)
    return _NONE if _is_scalar(node) else None


def _of_aggregate(node: promql_parser.AggregateExpr) -> frozenset[str] | None:
    if str(node.op) not in _ONE_PER_GROUP:
        return None
    if node.modifier is None:
        return _NONE
    return frozenset(node.modifier.labels) if node.modifier.type == AggModifierType.By else None


def _of_call(node: promql_parser.Call) -> frozenset[str] | None:
    name = node.func.name
    if name in _ADD_LABELS:
        return None
    vectors = [one for one in node.args if not _is_scalar(one)]
    if not vectors or _is_scalar(node) or name.startswith("absent"):
        return _NONE
    inner = _apart(vectors[0])
    return inner - {"le"} if inner and name == "histogram_quantile" else inner


def _of_pair(node: promql_parser.BinaryExpr) -> frozenset[str] | None:
    vectors = [side for side in (node.lhs, node.rhs) if not _is_scalar(side)]
    if not vectors:
        return _NONE
    operator, labels = str(node.op), [_apart(side) for side in vectors]
    if operator in {"and", "unless"}:
        return labels[0]
    known = [one for one in labels if one is not None]
    if operator == "or":
        return _NONE.union(*known) if len(known) == len(labels) else None
    if node.modifier is not None and node.modifier.matching is not None:
        return None
    # both sides have the same labels, or nothing matches
    return min(known, key=len, default=None)


def _is_scalar(node: object) -> bool:
    """Whether it is a number, or a text, and no vector."""
    match node:
        case promql_parser.NumberLiteral() | promql_parser.StringLiteral():
            return True
        case promql_parser.ParenExpr() | promql_parser.UnaryExpr():
            return _is_scalar(node.expr)
        case promql_parser.BinaryExpr():
            return _is_scalar(node.lhs) and _is_scalar(node.rhs)
        case promql_parser.Call():
            return bool(node.func.return_type == ValueType.Scalar)
    return False
