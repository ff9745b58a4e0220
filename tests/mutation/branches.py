"""`python -m tests.mutation.branches`: which branches of gates/judge.py its tests go both ways; JSON."""

import dis
import json
import sys
import types
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

MODULE = Path(__file__).parents[2] / "plugins" / "feed_migration" / "gates" / "judge.py"
TESTS = [f"tests/unit/test_{name}.py" for name in ("gates", "gate_replay", "gate_run")]
type Branch = tuple[str, int, int]


def main() -> int:
    """Run the tests; exit code 1 if a branch is taken one way only."""
    taken: defaultdict[Branch, set[int]] = defaultdict(set)

    def note(code: types.CodeType, offset: int, destination: int) -> object:
        if not code.co_filename.endswith("feed_migration/gates/judge.py"):
            return sys.monitoring.DISABLE
        taken[code.co_qualname, code.co_firstlineno, offset].add(destination)
        return None

    monitoring = sys.monitoring
    monitoring.use_tool_id(monitoring.COVERAGE_ID, "branches")
    monitoring.register_callback(monitoring.COVERAGE_ID, monitoring.events.BRANCH, note)
    monitoring.set_events(monitoring.COVERAGE_ID, monitoring.events.BRANCH)
    code = pytest.main(["-q", "-p", "no:cacheprovider", "-W", "ignore", *TESTS])
    branches = dict(_branches(compile(MODULE.read_text(), str(MODULE), "exec")))
    partial = sorted({line for key, line in branches.items() if len(taken[key]) < 2})
    print(json.dumps({"branches": len(branches), "partial_lines": partial}))  # noqa: T201
    return int(code) or bool(partial)


def _branches(code: types.CodeType) -> Iterator[tuple[Branch, int]]:
    for one in dis.get_instructions(code):
        if one.opname.startswith("POP_JUMP_IF") or one.opname == "FOR_ITER":
            line = one.positions.lineno if one.positions else None
            yield (code.co_qualname, code.co_firstlineno, one.offset), line or 0
    for inner in code.co_consts:
        if isinstance(inner, types.CodeType):
            yield from _branches(inner)


if __name__ == "__main__":
    sys.exit(main())
