"""The fence admits actors in the order of their epochs, and never makes a rollback wait for ever."""

import errno
import fcntl

import pytest

from feed_migration.errors import FleetBusy, FleetUnavailable, StaleEpoch
from feed_migration.fence import Fence, read_epoch


@pytest.fixture
def fence(tmp_path):
    return Fence(tmp_path / "fleet" / "epoch", wait_seconds=0.1)


def admit(fence, epoch):
    with fence.admitted(epoch):
        return read_epoch(fence.path)


def test_epochs_only_grow(fence):
    """Equal or higher is admitted and kept, lower is refused."""
    assert fence.epoch() == 0
    assert [admit(fence, epoch) for epoch in (0, 1, 1, 4)] == [0, 1, 1, 4]
    with pytest.raises(StaleEpoch, match="at epoch 4, this actor at 3"):
        admit(fence, 3)


def test_an_actor_overtaken_while_it_acts_finds_out(fence):
    """`check` is asked before every single write to the fleet."""
    with fence.admitted(1):
        fence.path.write_text("2\n")
        with pytest.raises(StaleEpoch):
            fence.check(1)


def test_a_higher_epoch_does_not_wait_for_a_stopped_holder(fence):
    """A process stopped with the lock in its hand blocks its own epoch, not a rollback."""
    admit(fence, 1)
    with fence.path.with_name("epoch.lock").open("ab") as holder:
        fcntl.flock(holder, fcntl.LOCK_EX)
        with pytest.raises(FleetBusy, match="another process of epoch 1"):
            admit(fence, 1)
        assert admit(fence, 2) == 2


def test_who_has_overtaken_a_stopped_holder_goes_on_to_the_next_act(fence):
    """A rollback is more than one act, and the one in its way stays stopped; a rival is refused."""
    admit(fence, 1)
    with fence.path.with_name("epoch.lock").open("ab") as holder:
        fcntl.flock(holder, fcntl.LOCK_EX)
        assert [admit(fence, 2) for _ in range(3)] == [2, 2, 2]
        with pytest.raises(FleetBusy, match="another process of epoch 2"):
            admit(Fence(fence.path, wait_seconds=0.1), 2)
        assert admit(Fence(fence.path, wait_seconds=0.1), 3) == 3
        with pytest.raises(StaleEpoch):
            admit(fence, 2)


def test_a_stopped_holder_is_waited_for_once(tmp_path):
    """Each further act of a rollback would cost the whole wait again."""
    waits = []
    clock = iter(range(1_000))
    fence = Fence(
        tmp_path / "epoch", wait_seconds=5, monotonic=lambda: next(clock), sleep=waits.append
    )
    with fence.path.with_name("epoch.lock").open("ab") as holder:
        fcntl.flock(holder, fcntl.LOCK_EX)
        admit(fence, 2)
        assert waits
        waits.clear()
        assert [admit(fence, 2), admit(fence, 2)] == [2, 2]
    assert waits == []


class Overtaken(Fence):
    """Stopped between its look at the epoch and its own, while a rollback comes and goes."""

    def __init__(self, path, rollback_epoch):
        super().__init__(path, wait_seconds=0.1)
        self._looks, self._rollback_epoch = 0, rollback_epoch

    def epoch(self, *, repair=False):
        found = super().epoch(repair=repair)
        self._looks += 1
        # the first look is before the lock
        if self._looks == 2:
            admit(Fence(self.path, wait_seconds=0.1), self._rollback_epoch)
        return found


def test_who_was_stopped_before_it_wrote_its_epoch_does_not_lower_the_fence(fence):
    """It wakes up behind a rollback that could not wait for it, and is refused like anybody."""
    admit(fence, 40)
    with pytest.raises(StaleEpoch, match="at epoch 42, this actor at 41"):
        admit(Overtaken(fence.path, 42), 41)
    assert fence.epoch() == 42
    assert admit(fence, 43) == 43


def test_a_line_that_was_cut_short_raises_no_epoch(fence):
    """A crash in the middle of a write; the next line is one of its own."""
    admit(fence, 17)
    with fence.path.open("a") as stream:
        stream.write("1")
    assert fence.epoch() == 17
    assert admit(fence, 18) == 18
    assert fence.epoch() == 18


def no_space(*_):
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.fixture
def full_disk(monkeypatch):
    """No line can be added, and no file; what is written in place of another is."""
    monkeypatch.setattr("feed_migration.fence.append_line", no_space)
    monkeypatch.setattr("pathlib.Path.replace", no_space)


def test_a_full_disk_keeps_no_rollback_from_the_fence(fence, request):
    """The block of the file is ours already, and takes an epoch in the place of the others."""
    admit(fence, 17)
    request.getfixturevalue("full_disk")
    with fence.admitted(18, repair=True):
        assert fence.epoch() == 18
    with pytest.raises(StaleEpoch):
        admit(fence, 17)


def test_on_a_full_disk_nothing_goes_forward(fence, request):
    """Who puts its epoch in the place of others could put it in that of a rollback's."""
    admit(fence, 17)
    request.getfixturevalue("full_disk")
    with pytest.raises(FleetUnavailable, match="No space left on device"):
        admit(fence, 18)
    assert fence.epoch() == 17


def test_two_of_one_epoch_are_not_both_admitted(fence):
    """One was stopped before its line; its retry could not wait, and has gone on."""
    admit(fence, 40)
    with pytest.raises(FleetBusy, match="another process of epoch 41"):
        admit(Overtaken(fence.path, 41), 41)


def test_an_unreadable_epoch_is_an_error_with_a_remedy(fence):
    """Guessing zero would let anybody in."""
    fence.path.parent.mkdir()
    fence.path.write_text("many\n")
    with pytest.raises(FleetUnavailable, match="audit export"):
        admit(fence, 1)


@pytest.mark.parametrize("garbage", [b"many\n", b"\xff\xfe", b"1.5", b"null"])
def test_the_way_back_overwrites_an_unreadable_epoch(fence, garbage):
    """A damaged file must not keep the fleet on a bad feed; from then on it fences again."""
    fence.path.parent.mkdir()
    fence.path.write_bytes(garbage)
    with fence.admitted(4, repair=True):
        assert read_epoch(fence.path) == 4
    with pytest.raises(StaleEpoch), fence.admitted(3, repair=True):
        pass


@pytest.mark.parametrize("damage", ["\0\0\n", "many\n"])
def test_what_is_whole_of_a_damaged_file_still_counts(fence, damage):
    """A rollback of long ago is as stale as it was; a new one mends the file."""
    admit(fence, 44)
    with fence.path.open("a") as stream:
        stream.write(damage)
    with pytest.raises(StaleEpoch), fence.admitted(20, repair=True):
        pass
    with pytest.raises(FleetUnavailable, match="unreadable"):
        admit(fence, 45)
    with fence.admitted(45, repair=True):
        fence.check(45)
    assert read_epoch(fence.path) == 45


class Mending(Fence):
    """Stopped while it mends a damaged file."""

    def _mend(self, epoch):
        later = Fence(self.path, wait_seconds=0.1)
        with later.admitted(epoch + 1, repair=True):
            # without the lock it leaves the damage to the holder, and goes by what is whole
            later.check(epoch + 1)
        return super()._mend(epoch)


def test_who_mends_a_damaged_file_takes_no_epoch_out_of_it(fence):
    """A later rollback did not wait for it."""
    fence.path.parent.mkdir()
    fence.path.write_text("many\n")
    with pytest.raises(StaleEpoch), Mending(fence.path).admitted(42, repair=True):
        pass
    assert read_epoch(fence.path) == 43


def test_every_act_of_a_rollback_goes_by_what_is_whole_until_it_is_mended(fence):
    """It could not wait for the lock, so the damage is the holder's to mend; then that is gone."""
    admit(fence, 43)
    with fence.path.open("a") as stream:
        stream.write("\0\0\n")
    with fence.path.with_name("epoch.lock").open("ab") as holder:
        fcntl.flock(holder, fcntl.LOCK_EX)
        with fence.admitted(44, repair=True):
            pass
        with fence.admitted(44):
            fence.check(44)
    again = Fence(fence.path, wait_seconds=0.1)
    with again.admitted(44, repair=True):
        pass
    assert admit(again, 44) == 44


class Filled(Overtaken):
    """The disk is full by the time it wakes up."""

    def _write(self, epoch, **how):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("feed_migration.fence.append_line", no_space)
            patch.setattr("pathlib.Path.replace", no_space)
            super()._write(epoch, **how)


def test_a_rollback_of_long_ago_lowers_no_fence_on_a_full_disk(fence):
    """It was stopped before its line, and the next migration has begun."""
    admit(fence, 42)
    stale = Filled(fence.path, 45)
    with pytest.raises(StaleEpoch), stale.admitted(43, repair=True):
        pass
    assert fence.epoch() == 45


def test_a_stopped_holder_of_an_older_epoch_is_in_nobody_s_way(fence):
    """Each task of a migration is a process of its own; a rival of its own epoch it does not pass."""
    stopped = Fence(fence.path, wait_seconds=0.1)
    with stopped.admitted(40):
        for _ in range(3):
            assert admit(Fence(fence.path, wait_seconds=0.1), 43) == 43
        with pytest.raises(StaleEpoch):
            stopped.check(40)
    with Fence(fence.path).admitted(43):
        with pytest.raises(FleetBusy, match="another process of epoch 43"):
            admit(Fence(fence.path, wait_seconds=0.1), 43)
        assert admit(Fence(fence.path, wait_seconds=0.1), 44) == 44


def test_a_file_that_takes_no_line_is_replaced_by_the_way_back(fence, monkeypatch):
    """It is not ours, its folder is; forward it is an error."""
    admit(fence, 43)

    def refused(*_):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("feed_migration.fence.append_line", refused)
    with pytest.raises(FleetUnavailable, match="Permission denied"):
        admit(fence, 44)
    with fence.admitted(44, repair=True):
        assert read_epoch(fence.path) == 44


def test_a_fence_that_cannot_be_written_is_said(fence):
    """The fleet is not touched, and the reader learns which file it is."""
    fence.path.mkdir(parents=True)
    with pytest.raises(FleetUnavailable, match="epoch"), fence.admitted(4, repair=True):
        pass
