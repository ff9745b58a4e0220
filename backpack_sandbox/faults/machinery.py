"""All that faults need of a venue, put together."""

from collections.abc import Callable, Mapping

from backpack_sandbox.errors import SandboxError
from backpack_sandbox.faults.control import ControlRest
from backpack_sandbox.faults.enforcement import Enforcer
from backpack_sandbox.faults.moments import Moments
from backpack_sandbox.faults.nasty_sender import NastySender
from backpack_sandbox.faults.old_answers import OldAnswers
from backpack_sandbox.faults.one_shots import OneShots
from backpack_sandbox.faults.player import Market as MarketSwitch
from backpack_sandbox.faults.player import ScenarioPlayer
from backpack_sandbox.faults.registry import FaultRegistry
from backpack_sandbox.faults.rest_faults import MOMENT_FAULTS, RestFaults
from backpack_sandbox.faults.scenario import find_scenario
from backpack_sandbox.faults.skew import SkewedClock
from backpack_sandbox.market.catalog import Market
from backpack_sandbox.market.matching import MatchingEngine
from backpack_sandbox.sockets.fanout import Fanout
from backpack_sandbox.truth.book_journal import BookJournal
from backpack_sandbox.truth.ledger import Ledger


class FaultMachinery:
    """Puts the faults of a registry into effect.

    `enforcer` acts on sockets, `rest` is a middleware, `clock` the venue's clock as a client sees
    it, `player` plays scenarios, `control` has the endpoints.
    """

    def __init__(
        self,
        faults: FaultRegistry,
        catalog: Mapping[str, Market],
        engines: Mapping[str, MatchingEngine],
        fanout: Fanout,
        *,
        ledger: Ledger,
        books: BookJournal,
        engine_us: Mapping[str, int],
        market: MarketSwitch,
        clock: Callable[[], float],
        monotonic: Callable[[], float],
        seed: int,
    ) -> None:
        """`clock` is unix seconds, `monotonic` monotonic ones."""
        one_shots = OneShots()
        moments = Moments(faults, MOMENT_FAULTS, engines, engine_us, monotonic)
        nasty = NastySender(fanout, faults, one_shots, tuple(engines))
        self.clock = SkewedClock(clock, faults)
        self.enforcer = Enforcer(fanout, faults, moments, monotonic, seed=seed)
        self.rest = RestFaults(
            faults,
            self.clock,
            OldAnswers(catalog, engines, ledger, books, moments),
            moments,
            one_shots,
            clock=monotonic,
        )
        self.player = ScenarioPlayer(faults, nasty, market, monotonic)
        self.control = ControlRest(faults, nasty, self.player, market)

    def play(self, name_or_file: str) -> None:
        """Begin a scenario; SandboxError when there is none or it cannot be played here."""
        try:
            self.player.play(find_scenario(name_or_file))
        except SandboxError as error:
            raise SandboxError(f"--scenario: {error}") from error
