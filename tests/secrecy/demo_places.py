"""Every place that a whole demo may have put a secret in."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from feed_migration.deployment import load_deployment
from feed_migration.journal.export import audit_json, audit_markdown
from feed_migration.journal.store import Journal
from tests.secrecy.demo_secrets import PASSWORD, Kept, fresh_password, kept_secrets, make_audit_key
from tests.secrecy.encodings import Secret
from tests.secrecy.files import files
from tests.secrecy.pages import OF_PROMETHEUS, AirflowPages, pages
from tests.secrecy.processes import ProcessWatch
from tests.secrecy.search import Place, Search
from tests.support.conditions import eventually_sync
from tests.support.demo_run import Demo, demos
from tools.demo.layout import Layout

ENDED = {"success", "failed"}
OF_FEEDS = ("/metrics", "/healthz", "/snapshot")
OF_GUARD = ("/metrics", "/healthz")


@dataclass
class WatchedDemo:
    """A demo of which all that it shows and leaves is kept for the search.

    Everything it writes is below `directory`: the state directory, its own output, temporary
    files, and the audit's signing key, which is mounted from outside of the state directory.
    """

    directory: Path
    demo: Demo
    audit_key_file: Path
    processes: ProcessWatch
    exit_code: int | None = None
    connection: Secret = field(default_factory=fresh_password)
    shown: list[Place] = field(default_factory=list)

    def conclude(self) -> None:
        """Keep what all parts show once the DAG run is over, then let the demo end.

        Called before that: the demo would end the stack as soon as it sees the end of the run.
        """
        layout = self.demo.layout
        with self.demo.standing_still():
            airflow = AirflowPages.of(layout.airflow_url, layout.home / "airflow")
            airflow.add_connection("pager", self.connection.text)
            eventually_sync(lambda: airflow.run_states() <= ENDED, 120, self.demo.log)
            self.shown = [*airflow.places(), *_open_pages(layout)]
        self.exit_code = self.demo.finish()

    def leaked_and_missed(self) -> tuple[list[str], set[tuple[str, str]]]:
        """Secrets outside their files; and (file, secret) where the search is blind for one."""
        allowed = {(str(one.file), secret.name) for one in self.kept() for secret in one.secrets}
        # whoever runs the demo is told how to log in
        allowed |= {(str(self.directory / "demo.log"), PASSWORD)}
        findings = Search(self.secrets()).findings(self.places())
        leaked = [str(one) for one in findings if (one.place, one.secret) not in allowed]
        return leaked, allowed - {(one.place, one.secret) for one in findings}

    def kept(self) -> list[Kept]:
        """The files that hold secrets, by design."""
        return list(kept_secrets(self.demo.layout, self.audit_key_file))

    def secrets(self) -> list[Secret]:
        """Every secret of the deployment."""
        return [self.connection, *(secret for one in self.kept() for secret in one.secrets)]

    def kinds_of_places_with(self, *texts: str) -> set[str]:
        """Where something that is no secret is told: the search is blind for the other kinds."""
        findings = Search(Secret(text, text) for text in texts).findings(self.places())
        return {finding.kind for finding in findings}

    def places(self) -> Iterator[Place]:
        """Yield all of them, after the demo's end."""
        yield from self.shown
        yield from self.processes.places()
        yield from files(self.directory)
        journal = Journal(load_deployment(self.demo.home).journal_url)
        told = journal.events(), journal.verify(), journal.heads()
        yield Place("audit export", "as JSON", audit_json(*told).encode())
        yield Place("audit export", "as Markdown", audit_markdown(*told).encode())


@contextmanager
def watched(
    directory: Path, *arguments: str, variables: Mapping[str, str] | None = None
) -> Iterator[WatchedDemo]:
    """Run a demo with secrets of its own, its processes watched from their start to their end."""
    temporary = directory / "tmp"
    temporary.mkdir()
    key_files = make_audit_key(directory / "keys")
    given = {**(variables or {}), **key_files, "TMPDIR": str(temporary)}
    with ProcessWatch() as processes, demos(directory) as start:
        demo = start(*arguments, variables=given)
        key_file = Path(given["BACKPACK_AUDIT_KEY_FILE"])
        yield WatchedDemo(directory, demo, key_file, processes)


def _open_pages(layout: Layout) -> Iterator[Place]:
    for port in layout.instances.values():
        yield from pages(f"http://127.0.0.1:{port}", OF_FEEDS)
    yield from pages(layout.guard_url, OF_GUARD)
    yield from pages(layout.prometheus_url, OF_PROMETHEUS)
