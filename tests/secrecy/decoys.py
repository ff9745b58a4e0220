"""Two secrets that are none, to be planted and found."""

import base64
import random

from tests.secrecy.encodings import Secret, key
from tests.secrecy.search import Place, Search

# every character that some encoding changes is in both halves of both
RAW = b'\\"\0\xff\xfb\xef' + random.Random(7).randbytes(20) + b'\\"\0\xff\xfb\xef'
TEXT = base64.b64encode(RAW).decode()
SEED = key("the seed", TEXT)
PASSWORD = Secret("the password", '+/="<&>%\\é correct horse +/="<&>%\\é')
SEARCH = Search([SEED, PASSWORD])


def found(*places: Place) -> set[tuple[str, str]]:
    """Kind of place and name of each secret that is found."""
    return {(finding.kind, finding.secret) for finding in SEARCH.findings(places)}
