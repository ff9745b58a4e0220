"""Who is to blame: each feed is held against the venue by itself. Pure.

The venue has two voices, its stream (as a third listener hears it) and REST. Where they contradict
each other the venue is to blame and no feed is; where the venue does not answer, nobody is.
"""

from collections.abc import Mapping

from backpack_feed.process.parity.values import (
    ALTERED,
    BOOK,
    EXTRA,
    HOLE,
    MISSING,
    VARIANTS,
    VENUE,
    BookDispute,
    Finding,
    SeenTrade,
    Top,
    TradeDispute,
)


def judge_trade(
    dispute: TradeDispute, listed: SeenTrade | None, streamed: SeenTrade | None
) -> tuple[Finding, ...]:
    """Hold both feeds against `listed`, REST's word; None means that REST has no such trade.

    `streamed` is what a third listener heard of it, None when it heard nothing.
    """
    if streamed is not None and not _equal(streamed, listed):
        return ((dispute.kind, VENUE),)
    if dispute.kind == HOLE and listed is None:
        return ((HOLE, VENUE),)
    wrong = {variant: _wrong(dispute.said[variant], listed) for variant in VARIANTS}
    return tuple((kind, variant) for variant, kind in wrong.items() if kind)


def judge_book(dispute: BookDispute, truth: Top) -> tuple[Finding, ...]:
    """Hold both books against the venue's at that sequence number."""
    return _unlike(dispute.tops, truth)


def _unlike(tops: Mapping[str, Top], truth: Top) -> tuple[Finding, ...]:
    return tuple((BOOK, variant) for variant in VARIANTS if tops[variant] != truth)


def _wrong(said: SeenTrade | None, listed: SeenTrade | None) -> str:
    if _equal(said, listed):
        return ""
    if said is None:
        return MISSING
    return EXTRA if listed is None else ALTERED


def _equal(one: SeenTrade | None, other: SeenTrade | None) -> bool:
    if one is None or other is None:
        return one is other
    return one.same(other)
