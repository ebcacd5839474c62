"""The statements of a MySQL transaction, each run on the connection that has it."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from farmlokal.platform.database.mysql_link import Link
from farmlokal.platform.database.port import Parameters, Row

PACKET_CHARACTERS = 1_000_000
"""Most of one statement of a bulk write: at four bytes a character a quarter of MariaDB's 16 MiB packet."""


class MysqlTransaction:
    """The statements of one write transaction."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def fetch_all(self, sql: str, parameters: Parameters | Sequence[Any] | None = None) -> list[Row]:
        """Read inside the transaction: what it wrote itself is visible, and what others have committed."""
        return list((await self._link.run(sql, parameters)).rows)

    async def execute(self, sql: str, parameters: Parameters | Sequence[Any] | None = None) -> int:
        """Write; returns the number of rows that the condition selected."""
        return (await self._link.run(sql, parameters)).touched

    async def execute_many(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        """Run one statement for many rows, as many statements a packet as fit."""
        for packet in self._packets(sql, rows):
            await self._link.run(";".join(packet))

    async def insert_many(self, sql: str, rows: Sequence[Sequence[Any]], *, wait: bool = True) -> list[int]:
        """Insert many rows, as many a statement as fit; returns their ids. MySQL waits for a second at least.

        InnoDB takes the ids of a statement whose number of rows it knows all at once, in row order, in each
        of its lock modes, and says the first; `auto_increment_increment` is the step from one to the next. A
        node of Galera sets that anew for each statement, so there a row is a statement that says its own id.
        """
        head, _, one = sql.rpartition(" VALUES ")
        if not wait and self._link.engine.is_mariadb:
            head = f"SET STATEMENT innodb_lock_wait_timeout = 0 FOR {head}"
        step, ids = self._link.id_step, list[int]()
        if step is None:
            for packet in self._packets(f"{head} VALUES {one}", rows):
                ids += (await self._link.run(";".join(packet))).first_ids
            return ids
        for packet in self._packets(one, rows):
            [first] = (await self._link.run(f"{head} VALUES {','.join(packet)}")).first_ids
            ids += range(first, first + step * len(packet), step)
        return ids

    def _packets(self, template: str, rows: Iterable[Sequence[Any]]) -> Iterator[list[str]]:
        packet: list[str] = []
        characters = 0
        for row in rows:
            written = template % self._link.literal(row)
            if packet and characters + len(written) > PACKET_CHARACTERS:
                yield packet
                packet, characters = [], 0
            packet.append(written)
            characters += len(written) + 1
        if packet:
            yield packet
