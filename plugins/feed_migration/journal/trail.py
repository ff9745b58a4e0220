"""Heads in the database beside those anchored outside it: whether they agree, and who signed."""

from collections.abc import Iterable, Iterator
from math import inf

from feed_migration.journal.chain import Mark
from feed_migration.journal.keys import Head, Trusted

DATABASE = "the database's head"
ANCHORED = "the anchored head"
# A signature takes as long to check as five events: of a very long log's heads no more than so many
# are checked, evenly spread, and the last one always
MOST_SIGNATURES = 100_000

type Flaw = tuple[int, str]


class Signatures:
    """Checks who signed `count` heads, given in order; those before the first key may be unsigned.

    That one is where `trusted` says, or else where the first signature is. `flaw` is the first head
    that no key of `trusted` has signed, `first_seq` the first good one; one in `stride` is checked.
    """

    def __init__(self, trusted: Trusted, count: int) -> None:
        self.flaw: Flaw | None = None
        self.first_seq = 0
        self._trusted = trusted.keys
        self._since = inf if trusted.since is None else trusted.since
        self.stride = 1 + count // MOST_SIGNATURES
        self._unchecked: list[Head] = []
        self._good = (0, 0)

    def add(self, head: Head) -> None:
        """Take the next head."""
        if not self._trusted or self.flaw:
            return
        if head.key in self._trusted:
            self._unchecked.append(head)
            # the first one by its own signature: from it on all must have one
            if not self.first_seq or len(self._unchecked) >= self.stride:
                self._check()
            return
        self._check()
        if self.first_seq or head.key or head.signature or head.seq >= self._since:
            self.flaw = self.flaw or _unsigned(head)

    def finish(self, count: int) -> int:
        """Check what is left; return the event up to `count` that a good signature covers."""
        self._check()
        return max(seq for seq in (0, *self._good) if seq <= count)

    def _check(self) -> None:
        heads, self._unchecked = self._unchecked, []
        if not heads:
            return
        # the last one stands for the others, unless it is bad: then the first bad one is told
        if not heads[-1].is_signed_by(self._trusted):
            bad = next(head for head in heads if not head.is_signed_by(self._trusted))
            self.flaw = _unsigned(bad)
            heads = heads[: heads.index(bad)]
        if heads:
            self.first_seq = self.first_seq or heads[0].seq
            self._good = (self._good[1], heads[-1].seq)


class HeadTrail:
    """Goes along both lists of heads at once; `flaw` is where they first tell different things."""

    def __init__(
        self, heads: Iterable[Head], anchors: Iterable[Head | None], signatures: Signatures
    ) -> None:
        self.flaw: Flaw | None = None
        self._heads, self._signatures = heads, signatures
        self._anchors = enumerate(anchors, start=1)
        self._anchored_seq = 0

    def marks(self) -> Iterator[Mark]:
        """Yield what both say of the chain, in the order of events."""
        anchor = self._next_anchor()
        for head in self._heads:
            while anchor is not None and anchor.seq < head.seq:
                yield self._missed(anchor)
                anchor = self._next_anchor()
            self._signatures.add(head)
            yield Mark(head.seq, head.hash, DATABASE)
            if anchor is not None and anchor.seq == head.seq:
                mark = Mark(anchor.seq, anchor.hash, ANCHORED)
                yield mark if anchor == head else self._missed(anchor)
                anchor = self._next_anchor()
        while anchor is not None:
            yield self._missed(anchor)
            anchor = self._next_anchor()

    def _missed(self, anchor: Head) -> Mark:
        reason = f"the head of event {anchor.seq} is not the one that was anchored"
        self.flaw = self.flaw or (anchor.seq, reason)
        return Mark(anchor.seq, anchor.hash, ANCHORED)

    def _next_anchor(self) -> Head | None:
        for number, anchor in self._anchors:
            if anchor is not None and anchor.seq > self._anchored_seq:
                self._anchored_seq = anchor.seq
                return anchor
            what = "is no head" if anchor is None else "is out of order"
            reason = f"line {number} of the anchors {what}"
            self.flaw = self.flaw or (self._anchored_seq + 1, reason)
        return None


def earliest(flaws: Iterable[Flaw | None]) -> Flaw | None:
    """Return the flaw of the lowest event, the first of equal ones; None where there is none."""
    return min((flaw for flaw in flaws if flaw), key=lambda flaw: flaw[0], default=None)


def _unsigned(head: Head) -> Flaw:
    if head.key and head.is_signed_by(frozenset({head.key})):
        by = f"signed by the key {head.key[:12]}…, which is not in trusted.keys here"
        return head.seq, f"the head of event {head.seq} is {by} (add it, if it is one of yours)"
    return head.seq, f"the head of event {head.seq} is not signed by a trusted key"
