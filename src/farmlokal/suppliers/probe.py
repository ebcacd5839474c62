"""Asking a supplier for one page, to see whether it would answer: the only way to know."""

from collections.abc import Mapping
from random import Random
from typing import NamedTuple

from farmlokal.platform.clock import SystemClock
from farmlokal.platform.resilience.attempts import Attempts
from farmlokal.platform.resilience.bulkhead import Bulkhead
from farmlokal.platform.resilience.call import TOTAL_S
from farmlokal.platform.resilience.deadline import Deadline
from farmlokal.platform.resilience.failures import CallFailed, UpstreamRefused
from farmlokal.suppliers.fetching import Source

_MENDS: Mapping[str, str] = {
    "address": "none of its addresses is allowed: see FARMLOKAL_SUPPLIER_ALLOWED_NETWORKS",
    "connection": "no connection: is the host of {setting} right, and may this machine reach it?",
    "certificate": "its certificate is not trusted: is the host of {setting} right?",
    "timeout": "no answer in time: ask the supplier; until it answers, old answers are served and syncs fail",
    "unreadable": "its first page is not of this format: is the path of {setting} right, and the format?",
    "no token": "it was not asked, since there is no token for it: see the provider above",
    "status 401": "it refuses us (401): see FARMLOKAL_UPSTREAM_TOKEN_URL, or the key in {setting}",
    "status 403": "it refuses us (403): is our account, or the key in {setting}, allowed this?",
    "status 404": "it has no such page (404): is the path of {setting} right?",
}
_ALIKE = {"no answer in time": "timeout", "no token in time": "no token"}


class Probe(NamedTuple):
    """Whether a supplier gave its first page, and what it held, or why not with what mends it."""

    ok: bool
    told: str


async def probe(source: Source, setting: str, clock: SystemClock, random: Random) -> Probe:
    """Ask for the first page, as a sync would: at most three attempts and 4 s. `setting` names where the
    supplier is set."""
    form, query = source.format, source.format.first
    work = source.client.asking(query, lambda body: form.read(body, query, source.supplier, clock.today()))
    attempts = Attempts(source.breaker, Bulkhead(), clock, random)
    try:
        page, _ = await attempts.idempotent(work, Deadline.after(clock, TOTAL_S))
    except UpstreamRefused as refusal:
        return _failed(str(refusal), setting)
    except CallFailed as failure:
        return _failed(failure.reason, setting)
    refused = f", {len(page.refused)} refused" if page.refused else ""
    return Probe(True, f"answers; {len(page.offers)} offers on its first page{refused}")


def _failed(reason: str, setting: str) -> Probe:
    mend = _MENDS.get(_ALIKE.get(reason, reason), "no good answer ({reason}): ask the supplier")
    return Probe(False, mend.format(reason=reason, setting=setting))
