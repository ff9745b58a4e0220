"""Products that are broken in one way each, and what the checker of the nemesis says of them."""

import itertools
import time
from collections import Counter

import pytest

from feed_migration.journal.store import Journal
from feed_migration.phases import Status
from tests.chaos.nemesis import check
from tests.chaos.nemesis import trial as trials
from tests.chaos.nemesis.check import Trades
from tests.chaos.nemesis.part import judged
from tests.chaos.nemesis.plan import DECK, HARMLESS, STEPS, make_trial
from tests.chaos.nemesis.strikes import Nemesis
from tests.chaos.nemesis.trial import Outcome, run_trial

NAMES = ("feed-00", "feed-01", "feed-02", "feed-03")
WHOLE_DECK = range(1, len(DECK) + 1)
HARMLESS_SEED = 1 + next(n for n, kinds in enumerate(DECK) if HARMLESS.issuperset(kinds))
DOUBTFUL_SEED = 1 + next(n for n, kinds in enumerate(DECK) if "answers:doubtful" in kinds)


class Product:
    """A deployment whose every DAG run is over at once, and leaves what `end` says.

    It leaves out the events of its way there whose numbers are `missing`, and shows nobody that an
    instance is on native where it is `blind`.
    """

    def __init__(self, home, end, missing=(), *, blind=False, ends_second="failed"):
        self.journal = Journal(home / "journal.db")
        self.end, self.runs, self.ends_second = end, 0, ends_second
        self._missing, self._blind = missing, blind
        self._who, self._finished = {}, False

    def calm(self):
        pass

    def fail_living_runs(self):
        self.ends_second = "failed"

    def trigger(self, dag_id, conf):
        self.runs += 1
        return f"run-{self.runs}"

    def run_state(self, dag_id, run_id):
        if run_id == "second":
            return self.ends_second
        if self.end is None:
            return "failed"
        if not self._who:
            self._begin(run_id)
            return "running"
        if not self._finished:
            self._finish()
            return "running"
        return "failed"

    def variants(self):
        state = self.journal.state(self._who.get("migration_id", ""))
        native = () if self._blind else state.exposed
        return {name: "native" if name in native else "ccxt" for name in NAMES}

    def _begin(self, run_id):
        migration_id = self.journal.begin_migration("p", "a" * 64, "airflow", run_key=run_id)
        self._who = {"migration_id": migration_id, "actor": "airflow"}
        self._say("act_intended", **moved(STEPS[0], NAMES[:2]))
        if self.end is not Status.PROMOTED:
            self._say("act_confirmed", **moved(STEPS[0], NAMES[:2]))

    def _finish(self):
        self._finished = True
        if self.end is Status.HELD:
            self._say("held", step=STEPS[0], reason="r")
        elif self.end is Status.PROMOTED:
            for number, (kind, body) in enumerate(PROMOTION):
                if number not in self._missing:
                    self._say(kind, **body)
            self._say("migration_finished", outcome="promoted")
        else:
            self._say("rollback_started", epoch=2, reason="r", instances={})
            self._say("rollback_verified", instances=dict.fromkeys(NAMES, "ccxt"))

    def _say(self, kind, **body):
        self.journal.append(kind, body=body, **self._who)


def moved(step, names):
    return {"act": "set_variant", "variant": "native", "instances": list(names), "step": step}


def promotion():
    """All that a promoted migration has been through, in order."""
    for step, names in zip(STEPS, (NAMES[:2], NAMES[2:], ()), strict=True):
        if names:
            yield "act_confirmed", moved(step, names)
        yield "verdict", {"step": step, "decision": "Promote"}
        yield "step_promoted", {"step": step}


PROMOTION = list(promotion())


@pytest.fixture
def attacked(tmp_path, monkeypatch):
    """A whole deck against a new product each; `late` strikes come after its end."""
    numbers = itertools.count(100, 100)
    monkeypatch.setattr(trials, "POLL_SECONDS", 0.0)
    monkeypatch.setattr(check, "SETTLE_SECONDS", 0.0)

    def compared(_stage):
        return Trades(compared=(number := next(numbers)), native=number // 2)

    monkeypatch.setattr(trials, "compare_trades", compared)

    def attack(end, seeds=WHOLE_DECK, *, late=False, meets=_meet, **defects):
        def turn(nemesis, _driven):
            now = "begun" in nemesis.at and not late
            for strike in [*nemesis._waiting] if now else ():
                nemesis._waiting.remove(strike)
                meets(nemesis, strike)

        def ended(nemesis):
            for strike in nemesis._waiting if "begun" in nemesis.at else ():
                meets(nemesis, strike)

        monkeypatch.setattr(Nemesis, "turn", turn)
        monkeypatch.setattr(Nemesis, "end", ended)
        outcomes, before = [], Trades()
        for seed in seeds:
            home = tmp_path / f"{next(numbers)}"
            home.mkdir()
            product = Product(home, end, **defects)
            outcomes.append(run_trial(product, make_trial(seed), before))
            before = outcomes[-1].trades
        return outcomes

    return attack


def _meet(nemesis, strike):
    nemesis.struck[strike.kind] += 1
    nemesis.struck_at.setdefault(strike.kind, time.time())
    if strike.kind.startswith("native:") and strike.seconds is None:
        nemesis.breached_at = time.time()


def test_a_product_that_never_begins_is_wrong(attacked):
    """It is started again first; no trial of it shows anything."""
    outcomes = attacked(None)
    assert all(one.illegal_end and one.status == "never begun" for one in outcomes)
    assert all("no migration began in 6 runs" in one.wrong for one in outcomes)
    assert not judged(outcomes).kept


def test_a_product_that_always_goes_back_is_wrong(attacked):
    """Where nothing was struck that it needs, and over the deck, of which nothing was promoted."""
    outcomes = attacked(Status.ROLLED_BACK)
    assert [one.trial.seed for one in outcomes if one.wrong] == [HARMLESS_SEED]
    assert not judged(outcomes).kept
    assert not judged([one for one in outcomes if not one.wrong] * 2).kept


def test_a_product_that_goes_back_before_it_is_struck_is_wrong(attacked):
    """What comes later is no reason."""
    outcomes = attacked(Status.ROLLED_BACK, late=True)
    assert all(one.illegal_end for one in outcomes)


def test_a_product_that_always_holds_is_wrong(attacked):
    """Also under a breach that lasts."""
    outcomes = attacked(Status.HELD)
    wrong = {one.trial.seed for one in outcomes if one.wrong}
    assert wrong >= {HARMLESS_SEED, *(one.trial.seed for one in outcomes if one.breached)}
    assert not judged(outcomes).kept


def test_a_product_that_always_promotes_is_wrong(attacked):
    """Under a breach that lasts, and on answers that prove nothing."""
    outcomes = attacked(Status.PROMOTED)
    wrong = {one.trial.seed for one in outcomes if one.wrong}
    assert wrong == {DOUBTFUL_SEED, *(one.trial.seed for one in outcomes if one.breached)}
    assert not judged(outcomes).kept


def test_a_product_that_does_as_it_should_is_right(attacked):
    """Back where the venue stays broken, held where nobody can judge, else promoted."""
    outcomes = []
    for seed in WHOLE_DECK:
        end = Status.ROLLED_BACK if make_trial(seed).breached else Status.PROMOTED
        outcomes += attacked(Status.HELD if seed == DOUBTFUL_SEED else end, [seed])
    assert [one.wrong for one in outcomes] == [[] for _ in DECK]
    assert judged(outcomes).kept


@pytest.mark.parametrize("number", range(len(PROMOTION)))
def test_a_promotion_that_lacks_any_of_its_proofs_is_wrong(attacked, number):
    """Each gate's Promote, each step, and each instance on native."""
    kind, body = PROMOTION[number]
    (outcome,) = attacked(Status.PROMOTED, [HARMLESS_SEED], missing=[number])
    proof = "2 of 4 instances" if kind == "act_confirmed" else body["step"]
    assert proof in outcome.wrong[-1]


def test_a_native_feed_that_brings_no_trade_is_wrong(attacked, monkeypatch):
    """Every trade is there, and ccxt brought it."""
    counted = itertools.count(100)
    monkeypatch.setattr(trials, "compare_trades", lambda _: Trades(compared=next(counted)))
    (outcome,) = attacked(Status.PROMOTED, [HARMLESS_SEED])
    assert outcome.wrong == ["promoted, but no trade came from a native feed"]


@pytest.mark.parametrize("end", [Status.PROMOTED, Status.ROLLED_BACK, Status.HELD])
def test_a_journal_that_only_says_that_instances_are_native_is_wrong(attacked, end):
    """Nobody has ever seen one there."""
    said = "the journal confirms native instances, and no instance ever said so"
    assert all(said in one.wrong for one in attacked(end, blind=True))


def test_doubt_alone_is_no_reason_to_go_back(attacked):
    """Who can judge neither way holds."""

    def doubt(nemesis, strike):
        if strike.kind == "answers:doubtful":
            _meet(nemesis, strike)

    (back,) = attacked(Status.ROLLED_BACK, [DOUBTFUL_SEED], meets=doubt)
    assert back.illegal_end
    (held,) = attacked(Status.HELD, [DOUBTFUL_SEED], meets=doubt)
    assert held.wrong == []


@pytest.mark.parametrize(("state", "met"), [("failed", 1), ("queued", 0)])
def test_a_second_run_has_met_somebody_once_it_was_refused(attacked, state, met):
    """One that was queued until the first was over has asked for nothing."""

    def ask(nemesis, strike):
        _meet(nemesis, strike)
        if strike.kind == "second_run":
            nemesis.second_runs.append("second")

    (outcome,) = attacked(Status.PROMOTED, [HARMLESS_SEED], meets=ask, ends_second=state)
    assert outcome.struck["second_run"] == met
    assert outcome.wrong == []


def test_a_trial_without_a_strike_or_a_trade_shows_nothing(attacked, monkeypatch):
    """A nemesis that meets nobody, and tapes that nobody wrote."""
    monkeypatch.setattr(trials, "compare_trades", lambda _: Trades())
    (outcome,) = attacked(Status.PROMOTED, [HARMLESS_SEED], meets=lambda *_: None)
    assert outcome.wrong[:2] == ["nothing was struck, so nothing is shown", "no trade was compared"]


def deck(*ends, missing=()):
    """Right trials of a deck, or of its beginning, in which the kinds `missing` met nobody."""
    for seed, end in enumerate(ends, 1):
        trial = make_trial(seed)
        struck = Counter({one.kind: 1 for one in trial.strikes if one.kind not in missing})
        yield Outcome(trial, status=str(end), struck=struck)


def test_a_deck_in_which_a_kind_met_nobody_is_wrong():
    """Of a part of the deck that cannot be said; of no trial at all nothing can."""
    ends = [Status.ROLLED_BACK] + [Status.PROMOTED] * (len(DECK) - 1)
    assert judged([*deck(*ends)]).wrong == []
    found = judged([*deck(*ends, missing={"native:gap"})])
    assert found.wrong == ["native:gap met nobody in any trial"]
    assert found.fields["nemesis_never_struck"] == ["native:gap"]
    assert judged([*deck(*ends[:2], missing={"native:gap"})]).kept
    assert judged([]).wrong == ["there was no trial"]


@pytest.mark.parametrize(("only", "lacks"), [("promoted", "rolled_back"), ("held", "promoted")])
def test_a_deck_of_one_end_is_wrong(only, lacks):
    """Whoever always does the same has been put to no proof."""
    found = judged([*deck(*[Status(only)] * len(DECK))])
    assert f"of {len(DECK)} trials none was {lacks}" in found.wrong
