"""CRYPTOFEED_BACKPACK_NATIVE."""

import subprocess
import sys

import pytest
from cryptofeed.exchanges import EXCHANGE_MAP

from backpack_feed.refusal import ToggleError
from backpack_feed.toggle import FLAG, bind, native_enabled


@pytest.fixture(autouse=True)
def exchange_map(monkeypatch):
    """Leave cryptofeed's map as it was."""
    monkeypatch.setitem(EXCHANGE_MAP, "BACKPACK", None)


@pytest.mark.parametrize("value", ["true", "True", "TRUE", " true "])
def test_true_in_any_case_enables_the_native_feed(value):
    """Case and stray blanks do not matter."""
    assert native_enabled({FLAG: value})


@pytest.mark.parametrize("environ", [{}, {FLAG: ""}, {FLAG: "false"}, {FLAG: "False"}])
def test_absent_empty_and_false_keep_ccxt(environ):
    """The incumbent is the default."""
    assert not native_enabled(environ)


@pytest.mark.parametrize("value", ["1", "yes", "on", "native", "tru", "true;"])
def test_anything_else_is_refused_with_the_remedy(value):
    """A typing slip must not choose a feed."""
    with pytest.raises(ToggleError, match=f"{FLAG} is .*set it to true .*or false"):
        native_enabled({FLAG: value})


def test_bind_puts_the_chosen_feed_behind_the_exchange_name():
    """EXCHANGE_MAP['BACKPACK'] is the class that the flag names."""
    assert bind({}) == "ccxt"
    assert EXCHANGE_MAP["BACKPACK"].__name__ == "CcxtBackpackFeed"
    assert bind({FLAG: "true"}) == "native"
    assert EXCHANGE_MAP["BACKPACK"].__name__ == "BackpackFeed"


def test_a_native_process_never_imports_ccxt():
    """Neither the package nor the native binding pays for the ccxt library."""
    code = (
        "import sys, backpack_feed; from backpack_feed.toggle import bind;"
        f"bind({{'{FLAG}': 'true'}}); backpack_feed.BackpackFeed;"
        "sys.exit('ccxt' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
