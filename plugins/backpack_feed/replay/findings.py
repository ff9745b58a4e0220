"""`{"findings": […]}`: what is known of another client; there is nothing to replay."""

from collections.abc import Iterator

import msgspec

from backpack_feed.replay.report import Line, table


class Finding(msgspec.Struct):
    """One observed behaviour."""

    name: str
    what: str
    evidence: str = ""


class FindingsFile(msgspec.Struct):
    """The whole file."""

    findings: list[Finding]
    version: str = "another client"


def replay(file: FindingsFile) -> Iterator[Line]:
    """List the findings."""
    note = f"{len(file.findings)} findings about {file.version}: descriptions, nothing to replay"
    yield Line(note, {"note": note})
    for finding in file.findings:
        text = table((finding.name, 34), (finding.what, 0))
        yield Line(text, {"name": finding.name, "what": finding.what, "evidence": finding.evidence})
