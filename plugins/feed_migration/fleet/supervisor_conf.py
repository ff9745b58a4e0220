"""supervisord's program section of one FeedHandler, as text. Pure."""

import shlex
from pathlib import Path

from feed_migration.deployment import Deployment, Instance
from feed_migration.fleet.base import Variant

FLAG = "CRYPTOFEED_BACKPACK_NATIVE"
STOP_WAIT_SECONDS = 10


def conf_path(deployment: Deployment, name: str) -> Path:
    """Return the file that supervisord includes for the program `name`."""
    return deployment.fleet.include_dir / f"{name}.conf"


def program_conf(deployment: Deployment, instance: Instance, variant: Variant) -> str:
    """Return the section that runs `instance` with the flag for `variant`."""
    flag = "true" if variant == "native" else "false"
    command = shlex.join([*deployment.fleet.command, "--config", str(instance.config)])
    options = {
        "command": command,
        "directory": deployment.home,
        "environment": f'{FLAG}="{flag}",PYTHONUNBUFFERED="1"',
        "autostart": "true",
        "autorestart": "true",
        "startsecs": 1,
        # a venue that is down for minutes must not leave the fleet FATAL
        "startretries": 1000,
        "stopsignal": "TERM",
        "stopwaitsecs": STOP_WAIT_SECONDS,
        "stopasgroup": "false",
        "killasgroup": "true",
        "redirect_stderr": "true",
        "stdout_logfile": deployment.log_file(instance.id),
        "stdout_logfile_maxbytes": "20MB",
        "stdout_logfile_backups": 3,
    }
    # supervisord expands %(…)s, so a % in a path must be doubled
    lines = [f"{key} = {str(value).replace('%', '%%')}" for key, value in options.items()]
    head = "; written by backpack-migrate, which rewrites it: edits are lost"
    return "\n".join([head, f"[program:{instance.id}]", *lines, ""])
