"""Ask a whole fleet at once, and be through in time whoever does not answer."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import wait as futures_wait

# Of a thousand instances so many are asked beside each other
MAX_THREADS = 64


def ask_at_once[One, Said](
    fleet: Sequence[One], ask: Callable[[One], Said], *, seconds: float
) -> list[Future[Said] | None]:
    """Return what `ask` came to for each, in order; None of whom it did not by `seconds`.

    Who is late is left to a thread that nobody waits for: no time-out ends a search for a name.
    """
    if not fleet:
        return []
    pool = ThreadPoolExecutor(max_workers=min(MAX_THREADS, len(fleet)))
    asked = [pool.submit(ask, one) for one in fleet]
    heard = futures_wait(asked, timeout=seconds).done
    pool.shutdown(wait=False, cancel_futures=True)
    return [answer if answer in heard else None for answer in asked]
