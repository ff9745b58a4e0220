"""A gate whose judge is killed anywhere ends as if it never was; in memory, so every moment counts.

`make judge SHOW=restarts` does the same with SIGKILL over the real journal; there, chance decides
whether a judge dies before a question, between two rows, or idle.
"""

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.judge.restarts import AFTER, START, TICKS, run_of, to_the_end, trace_of
from tests.support.gate_traces import KINDS, MemoryLog, Recording

LOOKS = 2 * TICKS + 2
# good ticks are the rule, or every gate would be over at once
KIND = st.sampled_from([*["good"] * 24, *["bad"] * 3, *KINDS, "bad?"])
# None: no look at all; else how many questions and rows it lives for
FATE = st.one_of(st.none(), st.integers(0, 6), st.just(1000))


class KilledError(Exception):
    """The judge is no more."""


@dataclass
class Life:
    """What is left of a judge's: each question and each write takes one."""

    left: int = 0

    def spend(self) -> None:
        if not self.left:
            raise KilledError
        self.left -= 1


@dataclass
class MortalLog(MemoryLog):
    """Rows that outlive their judge."""

    life: Life = field(default_factory=Life)

    def record(self, *arguments, **more):
        self.life.spend()
        return super().record(*arguments, **more)


@dataclass
class MortalSource:
    """Answers as recorded, to a judge that is alive."""

    recording: Recording
    life: Life

    def answer(self, *arguments, **more):
        self.life.spend()
        return self.recording.answer(*arguments, **more)

    def history(self, *arguments):
        self.life.spend()
        return self.recording.history(*arguments)


@settings(max_examples=300, deadline=None)
@given(
    kinds=st.lists(KIND, min_size=TICKS, max_size=TICKS),
    fates=st.lists(FATE, min_size=LOOKS, max_size=LOOKS),
)
def test_a_judge_killed_anywhere_gives_the_verdict_that_fell(kinds, fates):
    """Every tick and every second sample is looked at by a judge of its own, or by none."""
    recording = trace_of(kinds)
    uninterrupted = to_the_end(run_of(recording, MemoryLog()), START)
    life = Life()
    log, source = MortalLog(life=life), MortalSource(recording, life)
    for half, fate in enumerate(fates):
        if fate is None:
            continue
        life.left = fate
        try:
            # 5 s after a tick its second sample is due
            run_of(source, log).tick(START + (half // 2) * 15.0 + (half % 2) * 5.0)
        except KilledError:
            continue
    life.left = 10**9
    assert to_the_end(run_of(source, log), AFTER) == uninterrupted
