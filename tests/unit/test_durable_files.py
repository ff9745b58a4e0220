"""Small files change atomically, and on a full disk too."""

import errno
import os
from pathlib import Path

import pytest

from feed_migration.durable import write_text


def test_a_file_is_replaced_as_a_whole(tmp_path):
    """Longer and shorter content, and no temporary file left."""
    path = tmp_path / "new" / "epoch"
    for text in ("1\n", "a longer text\n", "2\n"):
        write_text(path, text)
        assert path.read_text() == text
    assert [file.name for file in path.parent.iterdir()] == ["epoch"]


def test_on_a_full_disk_the_file_is_rewritten_in_place(tmp_path, monkeypatch):
    """No new block can be had, so the old one is used: the flag must change."""
    path = tmp_path / "feed-00.conf"
    write_text(path, "true and longer\n")
    _no_new_files(monkeypatch)

    write_text(path, "false\n")

    assert path.read_text() == "false\n"


def test_a_file_that_never_was_cannot_be_made_on_a_full_disk(tmp_path, monkeypatch):
    """The error names the disk."""
    _no_new_files(monkeypatch)
    with pytest.raises(OSError, match="No space left"):
        write_text(tmp_path / "epoch", "1\n")


def _no_new_files(monkeypatch):
    real = os.open

    def full(path, flags, mode=0o777):
        if flags & os.O_CREAT and not Path(path).exists():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        return real(path, flags, mode)

    monkeypatch.setattr(os, "open", full)
