"""Health check of a container: exit 0 if the address answers 200.

`probe.py [--ca FILE] URL [PART]`; with PART the JSON answer must say {PART: {"status": "healthy"}}.
"""

import argparse
import json
import ssl
import sys
import urllib.request

TIMEOUT_SECONDS = 4.0


def main() -> int:
    """Ask once; what went wrong is one line on stderr, which `docker inspect` keeps."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ca")
    parser.add_argument("url")
    parser.add_argument("part", nargs="?")
    options = parser.parse_args()
    context = ssl.create_default_context(cafile=options.ca) if options.ca else None
    try:
        with urllib.request.urlopen(  # noqa: S310 - our own services
            options.url, timeout=TIMEOUT_SECONDS, context=context
        ) as answer:
            body = answer.read()
        status = json.loads(body)[options.part]["status"] if options.part else "healthy"
    except (OSError, ValueError, KeyError, TypeError) as error:
        sys.stderr.write(f"{options.url}: {error}\n")
        return 1
    if status != "healthy":
        sys.stderr.write(f"{options.part} is {status}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
