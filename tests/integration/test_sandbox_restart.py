"""What the sandbox keeps across restarts, and what it refuses to start with."""

import json
from pathlib import Path

import pytest

from backpack_sandbox import SandboxError
from backpack_sandbox.constants import ORDER_UPDATE
from backpack_sandbox.market.book import Side
from backpack_sandbox.market.orders import OrderRequest
from backpack_sandbox.truth.recovery import first_seed
from tests.support.sandbox_client import running_venue


def standing(venue) -> dict:
    return {
        symbol: (
            engine.book.levels(Side.BID),
            engine.book.levels(Side.ASK),
            engine.last_update_id,
            engine.last_trade_id,
            [engine.open_orders(account) for account in venue.accounts],
        )
        for symbol, engine in venue.exchange.engines.items()
    }


def owned(venue) -> dict:
    """All that the accounts have and did."""
    history = venue.accounts.history
    return {
        name: (
            list(portfolio.balances()),
            list(portfolio.positions()),
            history.orders(name),
            history.fills(name),
        )
        for name, portfolio in venue.accounts.items()
    }


def order_ids(ledger: Path) -> set[tuple[str, str]]:
    """Every order that the ledger has a frame of."""
    lines = map(json.loads, ledger.read_text().splitlines())
    return {(x["data"]["s"], x["data"]["i"]) for x in lines if x.get("stream") == ORDER_UPDATE}


async def test_a_restarted_venue_carries_on_with_its_books_ids_and_trades(tmp_path):
    """No id is used twice, no book jumps, and old trades are still answered."""
    async with running_venue(tmp_path, trades_per_second=3.0) as venue:
        venue.advance(30)
        before = standing(venue)
        trades = venue.ledger.trades("SOL_USDC")
    async with running_venue(tmp_path, trades_per_second=3.0) as venue:
        assert standing(venue) == before
        assert venue.ledger.trades("SOL_USDC") == trades
        venue.advance(30)
    ids = [
        (line["data"]["s"], line["data"]["t"])
        for line in map(json.loads, (tmp_path / "ledger.jsonl").read_text().splitlines())
        if line.get("stream", "").startswith("trade.")
    ]
    assert len(set(ids)) == len(ids) > 100


@pytest.mark.parametrize("keep_checkpoint", [True, False])
async def test_a_restarted_venue_knows_both_accounts_and_their_orders(tmp_path, keep_checkpoint):
    """From the checkpoint or from the ledger alone; a new order gets an id that is new."""
    async with running_venue(tmp_path) as venue:
        venue.advance(20)
        for side, symbol in ((Side.BID, "SOL_USDC"), (Side.ASK, "SOL_USDC_PERP")):
            request = OrderRequest(account="trader", side=side, price=None, quantity=300)
            venue.desk.place(symbol, request)
            price = 9700 if side is Side.BID else 10100
            resting = OrderRequest(
                account="trader", side=side, price=price, quantity=50, client_id=11
            )
            venue.desk.place(symbol, resting)
        venue.advance(10)
        before, books = owned(venue), standing(venue)
    ledger = tmp_path / "ledger.jsonl"
    known = order_ids(ledger)
    if not keep_checkpoint:
        for file in tmp_path.glob("truth*"):
            file.unlink()
    async with running_venue(tmp_path) as venue:
        assert owned(venue) == before
        assert standing(venue) == books
        fresh = venue.desk.place("SOL_USDC", OrderRequest(
            account="trader", side=Side.BID, price=9700, quantity=1,
        ))  # fmt: skip
        assert ("SOL_USDC", str(fresh.order_id)) not in known
        venue.advance(20)
        cancelled = venue.desk.cancel("trader", "SOL_USDC_PERP", order_id=None, client_id=11)
        assert cancelled.request.price == 10100
    assert known < order_ids(ledger)


async def test_a_torn_last_line_is_cut_off(tmp_path):
    """A full disk or a power cut may leave half a line; the rest counts."""
    async with running_venue(tmp_path) as venue:
        venue.advance(10)
        before = standing(venue)
    ledger = tmp_path / "ledger.jsonl"
    whole = ledger.read_bytes()
    ledger.write_bytes(whole + b'{"data":{"E":17909')
    async with running_venue(tmp_path) as venue:
        assert standing(venue) == before
    assert ledger.read_bytes().startswith(whole + b'{"session"')


async def test_a_ledger_that_is_none_is_named_with_its_line(tmp_path):
    """And is left as it is."""
    (tmp_path / "ledger.jsonl").write_text('{"data":{"s":"SOL_USDC"},"stream":"depth.SOL_USDC"}\n')
    with pytest.raises(SandboxError, match=r"ledger\.jsonl:1: .*move the file away"):
        async with running_venue(tmp_path):
            pass


async def test_two_venues_cannot_share_a_state_directory(tmp_path):
    """They would write one ledger; the second one goes when the first has."""
    async with running_venue(tmp_path):
        with pytest.raises(SandboxError, match="belongs to a running sandbox"):
            async with running_venue(tmp_path):
                pass
    async with running_venue(tmp_path):
        pass


async def test_a_broken_key_file_is_named(tmp_path):
    """With the remedy, and without its content."""
    (tmp_path / "api_key.json").write_text('{"private_key": "c2VjcmV0"}')
    with pytest.raises(SandboxError, match=r"api_key\.json: .*delete it") as refused:
        async with running_venue(tmp_path):
            pass
    assert "c2VjcmV0" not in str(refused.value)


@pytest.mark.parametrize(
    ("file", "content", "says"),
    [
        ("ca.key", "junk", "ca.key cannot be read as PEM: put it back, or delete both ca.pem"),
        ("ca.pem", "junk", "ca.pem cannot be read as PEM: put it back"),
        ("ca.key", None, "ca.key is missing: put it back, or delete both"),
        ("ca.pem", None, "ca.pem is missing: put it back, or delete both"),
        ("ca.key", "other", "ca.key is not the key of "),
    ],
)
async def test_a_broken_authority_is_refused_and_not_made_anew(tmp_path, file, content, says):
    """Clients that trust the old one would be locked out without a word."""
    folder = tmp_path / "venue"
    async with running_venue(folder) as venue:
        trusted = venue.ca_file.read_bytes()
    if content is None:
        (folder / file).unlink()
    elif content == "other":
        async with running_venue(tmp_path / "other"):
            (folder / file).write_bytes((tmp_path / "other" / file).read_bytes())
    else:
        (folder / file).write_text(content)
    with pytest.raises(SandboxError) as refused:
        async with running_venue(folder):
            pass
    assert str(refused.value).startswith(str(folder))
    assert says in str(refused.value)
    assert file == "ca.pem" or (folder / "ca.pem").read_bytes() == trusted


async def test_a_state_directory_that_is_a_file_is_told_as_one(tmp_path):
    """Itself, or what it would be in."""
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "venue"):
        with pytest.raises(SandboxError, match="is a file, or in one: choose a directory"):
            async with running_venue(path):
                pass


async def test_the_seed_that_a_directory_was_begun_with_is_known(tmp_path):
    """Also after sessions with another one."""
    for seed in (3, 4):
        async with running_venue(tmp_path, seed=seed) as venue:
            assert first_seed(venue.config.ledger_file) == 3
