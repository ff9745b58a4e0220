"""`backpack-sandbox truth`: what a venue published, and whether a tape has it right."""

import argparse
import json
import sys
import urllib.parse
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final

from backpack_sandbox.cli_common import add_address, ask, exchange
from backpack_sandbox.errors import SandboxError
from backpack_sandbox.market.catalog import build_catalog
from backpack_sandbox.truth.checker import check_tape
from backpack_sandbox.truth.resume import reading_truth
from backpack_sandbox.words import counted

EXIT_RIGHT: Final = 0
EXIT_WRONG: Final = 1
EXIT_NOT_COMPARED: Final = 2
STDIN: Final = Path("-")
PREFIX: Final = "/sandbox/truth"
PAGE: Final = 10_000
UPLOAD_TIMEOUT_SECONDS: Final = 600.0
KINDS_SHOWN: Final = ("trades", "frames", "books", "levels")


def add_truth(parser: argparse.ArgumentParser) -> None:
    """Give `parser` the subcommands of `truth`."""
    commands = parser.add_subparsers(required=True, metavar="WHAT")
    _add_lists(commands)
    _add_check(commands.add_parser("check", help="compare tapes with what was published"))


def _add_lists(commands: Any) -> None:
    trades = commands.add_parser("trades", help="every trade as a JSON line")
    trades.add_argument("--symbol", action="append", help="venue symbol; default every market")
    trades.add_argument("--from-id", type=_id, default=0, help="the first id of each market")
    trades.set_defaults(command=_trades)
    last_ids = commands.add_parser("last_ids", help="the newest trade and update id of each market")
    last_ids.set_defaults(command=_last_ids)
    book = commands.add_parser("book", help="the whole book right after an update")
    book.add_argument("--id", type=_id, help="update id; default the newest")
    book.set_defaults(command=_book)
    deltas = commands.add_parser("deltas", help="changes of a book as JSON lines")
    deltas.add_argument("--from-id", type=_id, required=True, help="the first update id")
    deltas.add_argument("--to-id", type=_id, help="the last one; default the newest")
    deltas.set_defaults(command=_deltas)
    for command in (book, deltas):
        command.add_argument("--symbol", action="append", help="venue symbol")
    frames = commands.add_parser("frames", help="frames of a stream, byte for byte")
    frames.add_argument("--stream", required=True, help="such as depth.SOL_USDC")
    frames.add_argument("--from-id", type=_id, default=0, help="of streams with ids")
    frames.set_defaults(command=_frames)
    account = commands.add_parser("account", help="what an account owns and has open")
    account.add_argument("--account", default="trader", help="house or trader; default trader")
    account.set_defaults(command=_account)
    for command in (trades, last_ids, book, deltas, frames, account):
        add_address(command)


def _add_check(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "tapes", nargs="+", type=Path, metavar="TAPE", help="JSON lines; - is the standard input"
    )
    add_address(parser, required=False)
    parser.add_argument("--ledger", type=Path, help="ledger.jsonl, in place of --url and --ca")
    parser.add_argument(
        "--complete", action="store_true", help="the newest trade must be on the tape as well"
    )
    parser.add_argument("--json", action="store_true", help="findings as JSON")
    parser.set_defaults(command=_check)


def _id(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError(f"must be a whole number, was {text!r}")
    return int(text)


def _trades(options: argparse.Namespace) -> int:
    symbols = options.symbol or list(ask(options, "GET", f"{PREFIX}/last_ids"))
    for symbol in symbols:
        from_id = options.from_id
        while True:
            query = {"symbol": symbol, "from_id": from_id, "limit": PAGE}
            page = ask(options, "GET", _path("trades", query))
            for trade in page:
                print(json.dumps(trade))
            if len(page) < PAGE:
                break
            from_id = page[-1]["id"] + 1
    return 0


def _last_ids(options: argparse.Namespace) -> int:
    print(json.dumps(ask(options, "GET", f"{PREFIX}/last_ids")))
    return 0


def _book(options: argparse.Namespace) -> int:
    wanted = {"symbol": _one_symbol(options, "book")}
    if options.id is not None:
        wanted["id"] = options.id
    print(json.dumps(ask(options, "GET", _path("book", wanted))))
    return 0


def _deltas(options: argparse.Namespace) -> int:
    wanted = {"symbol": _one_symbol(options, "deltas"), "from_id": options.from_id, "limit": PAGE}
    if options.to_id is not None:
        wanted["to_id"] = options.to_id
    while True:
        page = ask(options, "GET", _path("deltas", wanted))
        for change in page:
            print(json.dumps(change))
        if len(page) < PAGE or page[-1]["id"] == options.to_id:
            return 0
        wanted["from_id"] = page[-1]["id"] + 1


def _frames(options: argparse.Namespace) -> int:
    wanted: dict[str, Any] = {"stream": options.stream, "from_id": options.from_id, "limit": PAGE}
    while True:
        content, headers = exchange(options, "GET", _path("frames", wanted))
        sys.stdout.buffer.write(content)
        if "X-Truncated" not in headers:
            sys.stdout.flush()
            return 0
        wanted["place"] = headers["X-Next-Place"]


def _account(options: argparse.Namespace) -> int:
    print(json.dumps(ask(options, "GET", _path("account", {"account": options.account}))))
    return 0


def _check(options: argparse.Namespace) -> int:
    _check_truth_is_told(options)
    for tape in options.tapes:
        if tape != STDIN and (not tape.exists() or tape.is_dir()):
            raise SandboxError(f"{tape}: no such file; give a tape, JSON lines")
    compare = _compare_with_venue if options.ledger is None else _compare_with_ledger
    results = compare(options, options.tapes)
    if options.json:
        print(json.dumps(results))
    else:
        for tape, body in results.items():
            _show(tape, body)
    if any(body["counts"]["nothing_compared"] for body in results.values()):
        return EXIT_NOT_COMPARED
    return EXIT_RIGHT if all(body["right"] for body in results.values()) else EXIT_WRONG


def _check_truth_is_told(options: argparse.Namespace) -> None:
    ledger, url, ca = options.ledger, options.url, options.ca
    if ledger is not None and (url is not None or ca is not None):
        raise SandboxError("truth check: give --ledger, or --url and --ca, not both")
    if ledger is None and url is None:
        missing = "--url is missing" if ca is not None else "say where the truth is"
        raise SandboxError(f"truth check: {missing}: give --url and --ca, or --ledger")
    if ledger is None and ca is None:
        raise SandboxError("truth check: --ca is missing: give ca.pem of the venue's --state-dir")


@contextmanager
def _opened(tape: Path) -> Iterator[IO[bytes]]:
    if tape == STDIN:
        yield sys.stdin.buffer
        return
    try:
        file = tape.open("rb")
    except OSError as error:
        raise SandboxError(f"{tape}: cannot be read: {error.strerror}") from error
    with file:
        yield file


def _compare_with_venue(options: argparse.Namespace, tapes: list[Path]) -> dict[str, Any]:
    results = {}
    for tape in tapes:
        complete = "true" if options.complete else "false"
        path = _path("check", {"complete": complete, "name": tape.name})
        with _opened(tape) as file:
            content, _ = exchange(
                options, "POST", path, file, timeout_seconds=UPLOAD_TIMEOUT_SECONDS
            )
            results[str(tape)] = json.loads(content)
    return results


def _compare_with_ledger(options: argparse.Namespace, tapes: list[Path]) -> dict[str, Any]:
    # the larger catalog has the markets of the smaller one as well
    catalog = build_catalog("venue")
    results = {}
    with reading_truth(options.ledger, catalog) as ledger:
        for tape in tapes:
            with _opened(tape) as lines:
                findings = check_tape(tape.name, lines, catalog, ledger, complete=options.complete)
            results[str(tape)] = findings.body()
    return results


def _show(tape: str, body: Mapping[str, Any]) -> None:
    compared = ", ".join(f"{body['compared'][kind]} {kind}" for kind in KINDS_SHOWN)
    verdict = "right" if body["right"] else "WRONG"
    if body["counts"]["nothing_compared"]:
        verdict = "NOT COMPARED"
    ignored = counted(body["compared"]["ignored"], "line")
    print(f"{tape}: {verdict}; compared {compared}; {ignored} ignored")
    for kind, count in body["counts"].items():
        if count:
            print(f"  {kind:<17}{count:>9}")
    for finding in body["findings"]:
        about = f"{finding['symbol']} {'' if finding['id'] is None else finding['id']}".strip()
        parts = (finding["where"], finding["kind"], about, finding["detail"])
        print("  " + ": ".join(part for part in parts if part))


def _one_symbol(options: argparse.Namespace, what: str) -> str:
    if len(options.symbol or ()) != 1:
        raise SandboxError(f"truth {what} is of one market: give one --symbol")
    return str(options.symbol[0])


def _path(what: str, query: Mapping[str, Any]) -> str:
    return f"{PREFIX}/{what}?{urllib.parse.urlencode(query)}"
