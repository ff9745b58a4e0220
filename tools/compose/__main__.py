"""`python -m tools.compose`: what the containers `init` and `install-key` run."""

import os
import sys
from typing import Annotated, Literal

import typer

from feed_migration.errors import MigrationError
from tools.compose.alerting import write_alerting
from tools.compose.control_secrets import write_secrets
from tools.compose.fleet import install_key, lay_out
from tools.compose.places import ComposeError, Places

MAX_KEY_BYTES = 65_536
REFUSED = 2

Act = Literal["secrets", "alerting", "fleet", "install-key"]


def main(act: Annotated[Act, typer.Argument(help="what to lay out")]) -> None:
    """Lay out a composed deployment. Exit 0: done; 2: the environment or the input is wrong."""
    places = Places()
    try:
        if act == "secrets":
            write_secrets(places, os.environ)
            print("secrets written")
        elif act == "alerting":
            print(write_alerting(places, os.environ))
        elif act == "fleet":
            print(lay_out(places, os.environ))
        else:
            install_key(places, sys.stdin.buffer.read(MAX_KEY_BYTES))
            print(f"{places.api_key} written")
    except (ComposeError, MigrationError) as error:
        print(f"compose: {error}", file=sys.stderr)
        sys.exit(REFUSED)


if __name__ == "__main__":
    typer.run(main)
