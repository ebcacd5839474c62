"""Runs statements that were compiled once: the only thing between a question and the database."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy.engine import Dialect

from farmlokal.catalog.statements import Build
from farmlokal.platform.database.compilers import Statement
from farmlokal.platform.database.port import Database, Row

STATEMENTS = 512
"""Compiled statements kept, about 4 kB each: more shapes than shop pages use. When full, all are dropped."""


class Reader:
    """Statements by shape, over one database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._statements: dict[tuple[object, ...], Statement] = {}

    @property
    def dialect(self) -> Dialect:
        """What statements are compiled for."""
        return self._database.dialect

    async def fetch(
        self,
        shape: tuple[object, ...],
        build: Build,
        parameters: Mapping[str, Any],
        limit_s: float | None = None,
        *,
        stale_ok: bool = False,
    ) -> list[Row]:
        """Run the statement of this shape, built when it is new.

        Raises `StatementTimeout` past `limit_s`; `stale_ok` lets a replica answer.
        """
        statement = self._statements.get(shape)
        if statement is None:
            if len(self._statements) >= STATEMENTS:
                self._statements.clear()
            statement = self._statements[shape] = build(self.dialect)
        return await self._database.fetch_all(
            statement.sql, {**statement.constants, **parameters}, limit_s=limit_s, stale_ok=stale_ok
        )
