"""What the demo does to a state directory before it starts anything."""

import fcntl
import socket

import pytest

from tools.demo.layout import DemoError, Layout, free_port_base, require_free_ports
from tools.demo.stack import LOCK, empty_home, require_demo_home, running_stack


def test_deployment_of_another_origin_is_refused(tmp_path):
    """A production state directory is never emptied."""
    (tmp_path / "deployment.yaml").touch()
    with pytest.raises(DemoError, match="another BACKPACK_HOME"):
        require_demo_home(Layout(tmp_path))


def test_own_leftovers_go_and_caches_stay(tmp_path):
    """The second demo starts from nothing but the caches of the first."""
    layout = Layout(tmp_path / "var")
    empty_home(layout)
    (layout.home / "journal.db").touch()
    (layout.home / "cache" / "pip").mkdir()
    empty_home(layout)
    assert not (layout.home / "journal.db").exists()
    assert (layout.home / "cache" / "pip").is_dir()


def test_directory_with_foreign_files_is_refused(tmp_path):
    """Marked as the demo's own, it would be emptied by the next demo."""
    (tmp_path / "notes.txt").touch()
    with pytest.raises(DemoError, match=r"notes\.txt"):
        require_demo_home(Layout(tmp_path))


def test_what_set_up_made_is_no_foreign_file(tmp_path):
    """The first demo of a clone finds the package cache and nothing else."""
    (tmp_path / "cache").mkdir()
    require_demo_home(Layout(tmp_path))


def test_file_in_place_of_the_directory_is_refused(tmp_path):
    """The error names it, where a traceback would end in mkdir."""
    (tmp_path / "var").touch()
    with pytest.raises(DemoError, match="is no directory"):
        require_demo_home(Layout(tmp_path / "var"))


@pytest.mark.parametrize("base", [-5, 80, 65530, 99999])
def test_impossible_port_base_is_refused(tmp_path, base):
    """Ports that do not exist, or belong to the system, are named before anything starts."""
    with pytest.raises(DemoError, match=f"PORT_BASE is {base}"):
        require_free_ports(Layout(tmp_path, port_base=base))


def test_path_too_long_for_a_socket_is_refused_by_name(tmp_path):
    """Supervisord's own error would name neither the directory nor the remedy."""
    with pytest.raises(DemoError, match="shorter BACKPACK_HOME"):
        require_demo_home(Layout(tmp_path / ("x" * 100)))


def test_taken_port_is_named_with_its_part_and_a_remedy(tmp_path):
    """Who starts a second demo learns which port, and how to choose others."""
    layout = Layout(tmp_path, port_base=free_port_base())
    expected = rf"{layout.prometheus_port} \(Prometheus\).*PORT_BASE"
    with (
        socket.create_server(("127.0.0.1", layout.prometheus_port)),
        pytest.raises(DemoError, match=expected),
    ):
        require_free_ports(layout)


def test_a_second_demo_in_the_same_home_is_refused(tmp_path, monkeypatch):
    """It neither stops nor empties the first one."""
    layout = Layout(tmp_path, port_base=free_port_base())
    monkeypatch.setattr("shutil.which", lambda _: "/bin/true")
    empty_home(layout)
    (tmp_path / "report.json").touch()
    with (tmp_path / LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with (
            pytest.raises(DemoError, match="another demo runs"),
            running_stack(layout, tmp_path / "plan.yaml", print),
        ):
            pass
    assert (tmp_path / "report.json").exists()
