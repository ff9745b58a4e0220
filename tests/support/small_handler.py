"""A process with a FeedHandler's endpoints and nothing behind them: for tests of the fleet's driver.

    python small_handler.py run --config FILE      FILE: JSON {"instance_id", "port", "broken"}

`broken` names the variant in which it never becomes ready. Messages are counted by the clock.
"""

import json
import os
import signal
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

STARTED = time.time()


def main() -> None:
    """Serve /snapshot until SIGTERM."""
    config = json.loads(Path(sys.argv[sys.argv.index("--config") + 1]).read_text())
    flag = os.environ["CRYPTOFEED_BACKPACK_NATIVE"]
    variant = {"true": "native", "false": "ccxt"}[flag]
    ready = config.get("broken") != variant

    class Snapshot(BaseHTTPRequestHandler):
        def do_GET(self):
            count = int((time.time() - STARTED) * 100) if ready else 0
            answer = {
                "instance_id": config["instance_id"],
                "variant": variant,
                "pid": os.getpid(),
                "started_at": STARTED,
                "ready": ready,
                "healthy": ready,
                "reasons": [] if ready else ["SOL-USDC: no book"],
                "metrics": {
                    "messages": {"trades": count, "l2_book": count},
                    "trades": {"S": count},
                },
            }
            raw = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, *arguments):
            return

    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    line = f"{config['instance_id']} runs {variant}, private_key=c2VjcmV0c2VjcmV0\n"
    sys.stdout.write(line)
    sys.stdout.flush()
    ThreadingHTTPServer(("127.0.0.1", config["port"]), Snapshot).serve_forever()


if __name__ == "__main__":
    main()
