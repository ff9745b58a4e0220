"""A process without ccxt's other exchanges has the same ccxt in all that is ours."""

import json
import subprocess
import sys

WHOLE = "import ccxt.pro"
LEAN = """
from backpack_feed.incumbent.other_exchanges import left_out
with left_out():
    import ccxt.pro
"""
TELL = """
import json, sys, ccxt
exchange = ccxt.pro.backpack()
sources = [m for m in sys.modules.values() if getattr(m, "__file__", None)]
print(json.dumps({
    "describe": exchange.describe(),
    "bases": [base.__module__ for base in type(exchange).__mro__],
    "api": sorted(name for name in dir(exchange) if not name.startswith("__")),
    "errors": sorted(ccxt.errors.__all__),
    "modules": sum(m.__name__.startswith("ccxt.") for m in sources),
    "hooks": len(sys.meta_path),
    "agent": exchange.userAgent,
    "requests": __import__("requests").get.__module__,
}, default=repr))
"""


def told(script: str) -> dict:
    answer = subprocess.run(
        [sys.executable, "-c", script + TELL], check=True, capture_output=True, text=True
    )
    return json.loads(answer.stdout)


def test_our_exchange_is_the_same_and_the_others_are_not_read():
    """Description, bases, methods and errors are equal; of 400 modules a tenth is left."""
    whole, lean = told(WHOLE), told(LEAN)
    assert lean.pop("modules") * 8 < whole.pop("modules")
    assert lean == whole


def test_the_synchronous_half_is_not_read_either():
    """Its HTTP library takes a sixth of a start; who asks for it afterwards gets the real one."""
    script = LEAN + "import sys; print('urllib3' in sys.modules); import requests; requests.get"
    done = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True
    )
    assert done.stdout == "False\n"


def test_a_ccxt_that_is_there_already_stays_whole():
    """A program with other exchanges in it loses none."""
    script = f"import ccxt.pro{LEAN}print(len(ccxt.pro.kraken().describe()['has']) > 10)"
    done = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True
    )
    assert done.stdout == "True\n"
