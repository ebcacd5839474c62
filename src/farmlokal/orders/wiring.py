"""Orders, put together over one database: events in, orders out, repair, and what is forgotten."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from farmlokal.orders.commits import SharedCommits
from farmlokal.orders.event import STANDARD
from farmlokal.orders.inbox import Inbox
from farmlokal.orders.letters import DeadLetters
from farmlokal.orders.order_routes import Authorize, OrderRoutes
from farmlokal.orders.reading import OrderReader
from farmlokal.orders.receiver import Receiver, Source
from farmlokal.orders.repair import Repair
from farmlokal.orders.repair_routes import RepairRoutes
from farmlokal.orders.retention import Retention
from farmlokal.orders.routes import Charge, WebhookRoutes
from farmlokal.orders.service import Orders
from farmlokal.orders.signature import StandardWebhooks
from farmlokal.orders.sources import SENDERS
from farmlokal.platform.clock import SystemClock
from farmlokal.platform.database.port import Database
from farmlokal.platform.keyset.cursor import CursorCodec
from farmlokal.platform.metrics import WebhookCounts
from farmlokal.platform.web.openapi import Operation


class OrdersFeature(NamedTuple):
    """Its endpoints, and what lives as long as the application does."""

    operations: list[Operation]
    commits: SharedCommits
    retention: Retention
    repair: Repair


def sources(secrets: Sequence[bytes], foreign: Sequence[tuple[str, bytes]]) -> Mapping[str, Source]:
    """Who may send: with `secrets` as Standard Webhooks has it, and others by (name, secret); who has none
    is not among these. Without `secrets`, which only development may be, our own form needs no
    signature."""
    found = {STANDARD: Source(STANDARD, StandardWebhooks(secrets) if secrets else None)}
    for name, sender in SENDERS.items():
        own = [secret for each, secret in foreign if each == name]
        if own:
            found[name] = Source(name, sender.scheme(own), sender.id_headers, sender.translate)
    return found


def orders(
    database: Database,
    clock: SystemClock,
    counts: WebhookCounts,
    keys: Sequence[bytes],
    authorize: Authorize,
    charge: Charge,
    senders: Mapping[str, Source],
    retention_days: int,
) -> OrdersFeature:
    """All of it. Nothing happens before the parts are opened."""
    commits, letters = SharedCommits(Inbox(database, clock).record), DeadLetters(database, clock)
    receiver, cursors = Receiver(commits.submit, letters, counts, clock), CursorCodec(keys)
    repair = Repair(letters, receiver, cursors)
    operations = [
        *WebhookRoutes(receiver, senders, charge).operations,
        *OrderRoutes(authorize, Orders(OrderReader(database), cursors)).operations,
        *RepairRoutes(authorize, repair).operations,
    ]
    return OrdersFeature(operations, commits, Retention(database, clock, retention_days), repair)
