"""Open the truth of a state directory: the checkpoint, and then the ledger's lines after it."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from backpack_sandbox.account.snapshot import load_accounts
from backpack_sandbox.errors import SandboxError
from backpack_sandbox.market.catalog import Market
from backpack_sandbox.truth.checkpoint import Checkpoint, fitting_checkpoint
from backpack_sandbox.truth.ledger import CHECKPOINT_BYTES, Ledger
from backpack_sandbox.truth.recovery import LedgerFold, Recovered, cut_torn_line
from backpack_sandbox.truth.store import TruthStore

NOT_A_LINE = (msgspec.DecodeError, KeyError, TypeError, AttributeError, ValueError)


def open_truth(
    ledger_file: Path,
    store_file: Path,
    catalog: Mapping[str, Market],
    *,
    checkpoint_bytes: int = CHECKPOINT_BYTES,
) -> tuple[Ledger, Recovered]:
    """The ledger, ready to be continued, and where it leaves the venue.

    A torn last line is cut off. Raises SandboxError with the line that is no ledger's.
    """
    if ledger_file.exists():
        cut_torn_line(ledger_file)
    store = TruthStore(store_file)
    try:
        checkpoint = fitting_checkpoint(store.read_checkpoint(), ledger_file)
        start = None if checkpoint is None else _start(checkpoint, catalog)
        if start is None:
            store.clear()
        ledger = Ledger(ledger_file, store, checkpoint_bytes=checkpoint_bytes)
    except BaseException:
        store.close()
        raise
    try:
        offset = checkpoint.ledger_bytes if checkpoint is not None and start is not None else 0
        return ledger, _fold_tail(ledger, catalog, start, offset)
    except BaseException:
        ledger.close()
        raise


@contextmanager
def reading_truth(ledger_file: Path, catalog: Mapping[str, Market]) -> Iterator[Ledger]:
    """The journals of a ledger, which may be of a running venue; its file is only read.

    Raises SandboxError when there is none, or with the line that is no ledger's.
    """
    remedy = "give the ledger.jsonl of a venue"
    if not ledger_file.is_file():
        raise SandboxError(f"{ledger_file}: no such ledger; {remedy}")
    if not os.access(ledger_file, os.R_OK):
        raise SandboxError(f"{ledger_file}: cannot be read: Permission denied")
    with TemporaryDirectory() as folder:
        store = TruthStore(Path(folder) / "truth.sqlite")
        with Ledger(ledger_file, store, read_only=True) as ledger:
            _fold_tail(ledger, catalog, None, 0, remedy=remedy)
            if not ledger.place:
                raise SandboxError(f"{ledger_file}: not a line of a ledger in it; {remedy}")
            yield ledger


def _start(checkpoint: Checkpoint, catalog: Mapping[str, Market]) -> Recovered | None:
    if not checkpoint.states.keys() <= catalog.keys():
        return None
    try:
        accounts, history = load_accounts(catalog, checkpoint.accounts)
    except NOT_A_LINE:  # of another version of the sandbox
        return None
    return Recovered(
        accounts=accounts,
        history=history,
        states=dict(checkpoint.states),
        engine_us=checkpoint.engine_us,
    )


def _fold_tail(
    ledger: Ledger,
    catalog: Mapping[str, Market],
    start: Recovered | None,
    offset: int,
    *,
    remedy: str = "move the file away to start afresh",
) -> Recovered:
    if start is not None:
        for symbol, state in start.states.items():
            ledger.books.begin(symbol, state.bids, state.asks, state.last_update_id)
    fold = LedgerFold(
        catalog,
        start,
        on_depth=ledger.books.note,
        on_trade=ledger.note_trade,
        on_session=ledger.books.begin,
    )
    with ledger.path.open("rb") as lines:
        lines.seek(offset)
        for line in lines:
            if not line.endswith(b"\n"):
                break  # a running venue is writing it
            ledger.place = offset
            try:
                fold.take(line)
            except NOT_A_LINE as error:
                number = _line_number(ledger.path, offset)
                raise SandboxError(
                    f"{ledger.path}:{number}: not a line of a ledger; {remedy}"
                ) from error
            offset += len(line)
    ledger.place = offset
    return fold.recovered()


def _line_number(path: Path, offset: int) -> int:
    number = 1
    with path.open("rb") as file:
        while offset > 0 and (block := file.read(min(offset, 1 << 20))):
            number += block.count(b"\n")
            offset -= len(block)
    return number
