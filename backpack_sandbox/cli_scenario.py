"""`backpack-sandbox scenario list|show|check|run|stop`."""

import argparse
import json
import time
from pathlib import Path

import msgspec

from backpack_sandbox.cli_common import add_address, ask, positive
from backpack_sandbox.faults.scenario import SUFFIX, find_scenario, scenario_names

POLL_SECONDS = 0.2


def add_scenario(parser: argparse.ArgumentParser) -> None:
    """Its commands and their options."""
    commands = parser.add_subparsers(required=True, metavar="WHAT")
    listing = commands.add_parser("list", help="name and story of every scenario of the package")
    listing.set_defaults(command=_list)
    show = commands.add_parser("show", help="one scenario as JSON: story, steps, expected end")
    show.add_argument("name", metavar="NAME|FILE", help="a scenario of the package, or a .yaml")
    show.set_defaults(command=_show)
    check = commands.add_parser("check", help="say whether files are scenarios; default: ours")
    check.add_argument("names", nargs="*", metavar="NAME|FILE", help="several may be given")
    check.set_defaults(command=_check)
    run = commands.add_parser("run", help="play a scenario in a running venue")
    run.add_argument("name", metavar="NAME|FILE", help="a scenario of the package, or a .yaml")
    add_address(run)
    run.add_argument("--speed", type=positive, default=1.0, help="so many times as fast")
    run.add_argument("--user-agent", default="*", help="glob of the clients it is meant for")
    run.add_argument("--wait", action="store_true", help="return when it is over")
    run.set_defaults(command=_run)
    stop = commands.add_parser("stop", help="end the scenario that is being played")
    add_address(stop)
    stop.set_defaults(command=_stop)


def _list(_options: argparse.Namespace) -> int:
    for name in scenario_names():
        print(f"{name}: {' '.join(find_scenario(name).story.split())}")
    return 0


def _show(options: argparse.Namespace) -> int:
    scenario = find_scenario(options.name)
    print(msgspec.json.format(msgspec.json.encode(scenario), indent=2).decode())
    return 0


def _check(options: argparse.Namespace) -> int:
    for name in options.names or scenario_names():
        scenario = find_scenario(name)
        print(f"{name}: {len(scenario.steps)} steps, {scenario.seconds:g} s")
    return 0


def _run(options: argparse.Namespace) -> int:
    scenario = find_scenario(options.name)  # a mistake is told before the venue is asked
    order = {"name": scenario.name, "speed": options.speed, "user_agent": options.user_agent}
    if options.name.endswith((SUFFIX, ".yml")):
        order |= {"name": options.name, "yaml": Path(options.name).read_text("utf-8")}
    status = ask(options, "POST", "/sandbox/scenarios", order)
    print(json.dumps(status), flush=True)
    while options.wait and status["playing"]:
        time.sleep(POLL_SECONDS)
        status = ask(options, "GET", "/sandbox/scenarios")
    return 0


def _stop(options: argparse.Namespace) -> int:
    print(json.dumps(ask(options, "DELETE", "/sandbox/scenarios")))
    return 0
