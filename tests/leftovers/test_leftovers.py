"""References to ccxt: all are listed, and the patch against some of them applies and compiles."""

import shutil
import subprocess
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from feed_migration.leftovers.checkout import read_checkout
from feed_migration.leftovers.listing import write_leftovers
from feed_migration.leftovers.patch import git_patch
from feed_migration.leftovers.removal import plan_removal

REPOSITORY = Path(__file__).resolve().parents[2]
TESTS = '''"""About feeds."""

import pytest


def test_native_reads():
    assert 1


@pytest.mark.parametrize("x", [1])
def test_ccxt_reads(x):
    """Goes."""
    assert x


def helper_of_ccxt():
    return 1
'''


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def applied(root: Path, before: dict[str, str], patch: str) -> dict[str, str]:
    """What a clean copy is after `git apply`."""
    for path, text in before.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(text.encode())
    git(root, "init", "-q")
    (root / ".git" / "p.patch").write_bytes(patch.encode())
    if patch:
        git(root, "apply", "--check", ".git/p.patch")
        git(root, "apply", ".git/p.patch")
    return {
        path.relative_to(root).as_posix(): path.read_bytes().decode()
        for path in root.rglob("*")
        if path.is_file() and ".git" not in path.relative_to(root).parts
    }


def test_files_and_tests_named_after_ccxt_go_and_the_rest_is_left():
    """A sentence that mentions ccxt may be history or a reason: no program can tell."""
    texts = {
        "tests/test_ccxt_feed.py": "def test_x():\n    pass\n",
        "tests/test_feeds.py": TESTS,
        "tests/fixtures/ccxt_trades.json": "[]\n",
        "docs/why.md": "# Why\n\nccxt loses deltas.\n\n- [the feed](ccxt-feed.md)\n",
        "docs/ccxt-feed.md": "# ccxt\n",
        "docs/migrations/backpack_ccxt.md": "# ccxt incidents\n",
    }
    removal = plan_removal(texts)
    gone = {path for path, after in removal.changed.items() if after is None}
    assert gone == {
        "tests/test_ccxt_feed.py",
        "tests/fixtures/ccxt_trades.json",
        "docs/ccxt-feed.md",
    }
    assert "test_ccxt_reads" not in removal.changed["tests/test_feeds.py"]
    assert "test_native_reads" in removal.changed["tests/test_feeds.py"]
    assert removal.changed["docs/why.md"] == "# Why\n\nccxt loses deltas.\n\n"
    left = {(one.path, one.text) for one in removal.left}
    assert left == {
        ("docs/why.md", "ccxt loses deltas."),
        ("docs/migrations/backpack_ccxt.md", "# ccxt incidents"),
        ("tests/test_feeds.py", "def helper_of_ccxt():"),
    }


def test_a_file_that_others_need_stays_and_is_named():
    """Deleting what another test imports would break that one."""
    texts = {
        "tests/support/ccxt_server.py": "X = 1\n",
        "tests/test_native.py": "from tests.support.ccxt_server import X\n",
    }
    removal = plan_removal(texts)
    assert removal.changed == {}
    assert "tests/test_native.py" in removal.notes[0]


def test_the_patch_of_this_project_applies_and_what_is_left_compiles(tmp_path):
    """On a clean copy, with git itself; every Python file still compiles."""
    before, _ = read_checkout(REPOSITORY)
    removal = plan_removal(before)
    assert removal.changed
    after = applied(tmp_path, before, git_patch(before, removal.changed))
    expected = {path: removal.changed.get(path, text) for path, text in before.items()}
    assert after == {path: text for path, text in expected.items() if text is not None}
    for path, text in after.items():
        if path.endswith(".py"):
            compile(text, path, "exec")
    assert len(removal.left) < len(removal.found)


def test_list_and_patch_are_written_beside_the_report_and_the_checkout_is_left_alone(tmp_path):
    """The list is honest about what the patch leaves to people."""
    root, folder = tmp_path / "checkout", tmp_path / "reports"
    (root / "tests").mkdir(parents=True)
    (root / "tests" / "test_feeds.py").write_text(TESTS)
    (root / "tests" / "picture_ccxt.bin").write_bytes(b"\xff\x00")
    found = write_leftovers(root, folder, "mig-1")
    text = found.listing.read_text()
    assert "left to people" in text
    assert "helper\\_of\\_ccxt" in text
    assert "picture_ccxt.bin" in text
    assert (root / "tests" / "test_feeds.py").read_text() == TESTS
    git(root, "init", "-q")
    shutil.copy(found.patch, root / ".git" / "p.patch")
    git(root, "apply", ".git/p.patch")
    assert "test_ccxt_reads" not in (root / "tests" / "test_feeds.py").read_text()


def test_a_checkout_that_is_not_there_has_nothing_left(tmp_path):
    """A worker without the checkout writes an empty patch, and says so."""
    found = write_leftovers(tmp_path / "nowhere", tmp_path / "reports", "mig-1")
    assert found.patch.read_text() == ""
    assert found.summary.startswith("0 lines")


NAMES = st.text('ab é"\\\t.c', min_size=1, max_size=8).filter(lambda n: n.strip(". ") == n)
TEXTS = st.text("ab\n\r\f\x1c\u2028é ", max_size=40)


@settings(deadline=None, max_examples=25)
@given(
    before=st.dictionaries(NAMES, TEXTS, min_size=1, max_size=4),
    change=st.functions(like=lambda text: ..., returns=st.none() | TEXTS, pure=True),
)
def test_git_makes_of_a_patch_what_it_says(tmp_path_factory, before, change):
    """Whatever line ends, missing last line feeds and names: the result is byte for byte."""
    changed = {path: change(text) for path, text in before.items()}
    changed = {path: after for path, after in changed.items() if after != before[path]}
    root = tmp_path_factory.mktemp("repo")
    after = applied(root, before, git_patch(before, changed))
    expected = {path: changed.get(path, text) for path, text in before.items()}
    assert after == {path: text for path, text in expected.items() if text is not None}
