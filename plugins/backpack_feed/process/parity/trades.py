"""Trades of both feeds, matched by id. Pure: no clock, no I/O.

The venue numbers the trades of a market without holes and both feeds deliver in that order. So from
the first id that both delivered on, every id must come from both within the lateness bound: one
that comes from one alone, from neither, or twice is a disagreement.

What one feed says alone moves nothing but that feed: an id far ahead makes no holes until it is
known to be real, and an old id of a later trade begins no new numbering until the other feed or the
venue says so too.
"""

from collections.abc import Callable, Mapping
from typing import Final

from backpack_feed.process.parity.market import Market, Suspicion
from backpack_feed.process.parity.values import CCXT, NATIVE, OTHER, SeenTrade, TradeDispute

LATENESS_SECONDS: Final = 30.0
START_SECONDS: Final = 60.0
"""So long a market may wait for its first common id; then everything new counts anyhow."""
MAX_PENDING: Final = 5_000


class TradeMatcher:
    """Counts ids that both feeds delivered alike and opens a dispute for each of the others.

    `dispute` gets a `TradeDispute`; `matched` the symbol and (native's, ccxt's) pair; `repeated`
    variant, symbol and id; `dropped` symbol, how many disagreements cannot be judged, and why;
    `renumbered` the symbol whose ids mean other trades from now on.
    """

    def __init__(
        self,
        *,
        dispute: Callable[[TradeDispute], None],
        matched: Callable[[str, SeenTrade, SeenTrade], None],
        repeated: Callable[[str, str, int], None],
        dropped: Callable[[str, int, str], None],
        renumbered: Callable[[str], None],
        lateness_seconds: float = LATENESS_SECONDS,
        max_pending: int = MAX_PENDING,
    ) -> None:
        self.lateness_seconds = lateness_seconds
        self.max_pending = max_pending
        self.agreed = 0
        self.disagreed = 0
        self.renumberings = 0
        self._dispute = dispute
        self._matched = matched
        self._repeated = repeated
        self._dropped = dropped
        self._renumbered = renumbered
        self._markets: dict[str, Market] = {}

    @property
    def symbols(self) -> frozenset[str]:
        """Markets of which somebody told a trade."""
        return frozenset(self._markets)

    @property
    def pending(self) -> int:
        """Ids that wait for a feed to deliver them, or for an answer what they mean."""
        return sum(market.waiting for market in self._markets.values())

    def oldest_at(self) -> float | None:
        """When the oldest of them was named first (monotonic seconds); None without any."""
        times = [at for market in self._markets.values() for at in market.oldest()]
        return min(times, default=None)

    def top_id(self, symbol: str) -> int:
        """Return the highest id that is known to be real, 0 before the first."""
        market = self._markets.get(symbol)
        return 0 if market is None else market.top_id

    def trade(self, variant: str, symbol: str, trade_id: int, seen: SeenTrade) -> None:
        """Take one trade of one feed."""
        market = self._markets.setdefault(symbol, Market())
        if trade_id <= market.newest_id[variant]:
            if market.looks_renumbered(variant, trade_id, seen):
                self._suspect(symbol, market, variant, trade_id, seen)
                return
            if market.delivered(variant, trade_id):
                self._repeated(variant, symbol, trade_id)
                return
        elif market.suspicions:
            self._goes_on(market, variant, seen.at_seconds)
        market.newest_id[variant] = max(market.newest_id[variant], trade_id)
        market.newest_seconds[variant] = max(market.newest_seconds[variant], seen.venue_seconds)
        self._take(symbol, market, variant, trade_id, seen)

    def expire(self, now: float) -> None:
        """Open a dispute for every id that is later than the bound; `now` is monotonic seconds."""
        for symbol, market in list(self._markets.items()):
            self._expire_suspicions(symbol, market, now)
            for variant in (CCXT, NATIVE):
                self._expire_pending(symbol, market, variant, now)
            self._expire_unseen(symbol, market, now)
            waited = market.first_at is not None and now - market.first_at > START_SECONDS
            if market.start_id is None and waited:
                # one feed may be dead from the start: whatever happens from now on must come
                # from both, and what happened before that is nobody's fault. The lower one: an
                # id that one feed made up must not put the start off for ever
                newest_id = min(i for i in market.newest_id.values() if i)
                self._start(market, newest_id + 1, top_id=newest_id)

    # ---- what the venue says ---------------------------------------------------------------------

    def confirm(self, symbol: str, trade_id: int, at: float) -> None:
        """Take an id that the venue lists as real: what is below it must have been delivered."""
        market = self._markets.get(symbol)
        if market is not None:
            self._reach(symbol, market, trade_id, at)

    def renumber(self, symbol: str) -> None:
        """Begin anew: the ids mean other trades. What still waited cannot be judged any more."""
        old = self._markets.get(symbol, Market())
        suspected = [
            (seen.at_seconds, variant, trade_id, seen)
            for variant, suspicion in old.suspicions.items()
            for trade_id, seen in suspicion.trades
        ]
        old.suspicions.clear()
        self.renumberings += 1
        self._markets[symbol] = Market()
        if old.start_id is not None and old.waiting:
            self._drop(symbol, old.waiting, "the venue numbered the market anew")
        self._renumbered(symbol)
        for _, variant, trade_id, seen in sorted(suspected, key=lambda told: told[0]):
            self.trade(variant, symbol, trade_id, seen)

    def refute(self, symbol: str, variant: str) -> None:
        """The numbering goes on: old ids that this feed told before were repeats."""
        market = self._markets[symbol]
        suspicion = market.suspicions.pop(variant, None)
        for trade_id, seen in suspicion.trades if suspicion else ():
            if market.delivered(variant, trade_id):
                self._repeated(variant, symbol, trade_id)
            else:
                self._take(symbol, market, variant, trade_id, seen)

    def suspects(self, symbol: str, variant: str) -> bool:
        """Whether it is open what old ids of this feed mean."""
        market = self._markets.get(symbol)
        return market is not None and variant in market.suspicions

    def give_up(self, symbol: str, variant: str) -> int:
        """Nobody says what its old ids mean; return how many they were."""
        suspicion = self._markets[symbol].suspicions.pop(variant, None)
        return len(suspicion.trades) if suspicion else 0

    # ---- old ids of later trades -----------------------------------------------------------------

    def _suspect(
        self, symbol: str, market: Market, variant: str, trade_id: int, seen: SeenTrade
    ) -> None:
        later_than, above_id = market.newest_seconds[variant], market.top_id
        suspicion = market.suspicions.setdefault(
            variant, Suspicion(seen.at_seconds, later_than, above_id)
        )
        if len(suspicion.trades) < self.max_pending:
            suspicion.trades.append((trade_id, seen))
        else:
            self._drop(symbol, 1, "more trades waited than memory has room for")
        if len(market.suspicions) == len(OTHER):
            self.renumber(symbol)

    def _goes_on(self, market: Market, variant: str, now: float) -> None:
        """A feed that is in time would have told of a new numbering by now."""
        suspicion = market.suspicions.get(OTHER[variant])
        if suspicion is not None and now - suspicion.since > self.lateness_seconds:
            suspicion.refuted = True

    def _expire_suspicions(self, symbol: str, market: Market, now: float) -> None:
        for variant, suspicion in list(market.suspicions.items()):
            if suspicion.refuted:
                self.refute(symbol, variant)
            elif not suspicion.asked and now - suspicion.since > self.lateness_seconds:
                suspicion.asked = True
                trade_id, seen = suspicion.trades[0]
                said = {variant: seen, OTHER[variant]: None}
                self._dispute(
                    TradeDispute(symbol, trade_id, said, now, suspicion.question(variant))
                )

    # ---- one id ----------------------------------------------------------------------------------

    def _take(
        self, symbol: str, market: Market, variant: str, trade_id: int, seen: SeenTrade
    ) -> None:
        market.recent[variant].append(trade_id)
        if market.first_at is None:
            market.first_at = seen.at_seconds
        if market.start_id is not None and trade_id < market.start_id:
            return
        partner = market.pending[OTHER[variant]].pop(trade_id, None)
        if partner is not None:
            self._both(symbol, market, trade_id, {variant: seen, OTHER[variant]: partner})
        elif trade_id in market.closed:
            # judged already: it came too late. But now both have named it, so it is real
            self._reach(symbol, market, trade_id, seen.at_seconds)
        elif not market.judged(trade_id):
            market.unseen.pop(trade_id, None)
            self._wait(symbol, market, variant, trade_id, seen)

    def _wait(
        self, symbol: str, market: Market, variant: str, trade_id: int, seen: SeenTrade
    ) -> None:
        pending = market.pending[variant]
        if len(pending) < self.max_pending:
            pending[trade_id] = seen
        elif market.start_id is None:
            del pending[next(iter(pending))]
            pending[trade_id] = seen
        else:
            # not late yet, so nobody can be blamed for it. The ones that wait keep their place:
            # they are a sample that comes to be judged, however many a dead feed leaves waiting
            self._close(market, trade_id)
            self._drop(symbol, 1, "more trades waited than memory has room for")

    def _both(self, symbol: str, market: Market, trade_id: int, said: dict[str, SeenTrade]) -> None:
        if market.start_id is None:
            self._start(market, trade_id, top_id=trade_id)
        self._reach(symbol, market, trade_id, min(seen.at_seconds for seen in said.values()))
        if said[NATIVE].same(said[CCXT]):
            self.agreed += 1
            self._matched(symbol, said[NATIVE], said[CCXT])
            return
        now = max(seen.at_seconds for seen in said.values())
        self._open(symbol, market, trade_id, said, now)

    def _start(self, market: Market, start_id: int, *, top_id: int) -> None:
        """Everything older was before the comparison."""
        market.start_id, market.top_id = start_id, top_id
        for pending in market.pending.values():
            for trade_id in [i for i in pending if i < start_id]:
                del pending[trade_id]

    def _reach(self, symbol: str, market: Market, trade_id: int, at: float) -> None:
        """Note the ids that were skipped on the way up to this one."""
        beyond = market.reach(trade_id, at, self.max_pending)
        if beyond:
            self._drop(symbol, beyond, "more ids were skipped than memory has room for")

    def _expire_pending(self, symbol: str, market: Market, variant: str, now: float) -> None:
        pending = market.pending[variant]
        while pending:
            trade_id, seen = next(iter(pending.items()))
            if now - seen.at_seconds <= self.lateness_seconds:
                return
            del pending[trade_id]
            if market.start_id is not None:
                self._open(symbol, market, trade_id, {variant: seen, OTHER[variant]: None}, now)

    def _expire_unseen(self, symbol: str, market: Market, now: float) -> None:
        while market.unseen:
            trade_id, at = next(iter(market.unseen.items()))
            if now - at <= self.lateness_seconds:
                return
            del market.unseen[trade_id]
            self._open(symbol, market, trade_id, {CCXT: None, NATIVE: None}, now)

    def _open(
        self,
        symbol: str,
        market: Market,
        trade_id: int,
        said: Mapping[str, SeenTrade | None],
        now: float,
    ) -> None:
        self._close(market, trade_id)
        self.disagreed += 1
        self._dispute(TradeDispute(symbol, trade_id, said, now))

    def _close(self, market: Market, trade_id: int) -> None:
        market.close(trade_id, self.max_pending)

    def _drop(self, symbol: str, count: int, why: str) -> None:
        self.disagreed += count
        self._dropped(symbol, count, why)
