"""The ceiling of a page that is read from the database: the statements alone, and nothing made of their rows.

    python -m bench.bare HOST PORT USER PASSWORD DATABASE STATEMENTS

STATEMENTS is a pickle of (pages, [SQL, …]): what the application sent for so many pages. For every line of
standard input, a number of seconds, the statements run round and round over 16 connections; then one line
says pages, seconds, processor seconds. The client is asyncmy's C (Cython) code, without our pool or anything
else around it. mysqlclient, which is libmariadb itself, needs that library's headers to be built; in threads
it cost more (285 µs beside 182 for a page of 20 rows).
"""

import asyncio
import os
import pickle
import sys
import time
from collections.abc import Sequence
from itertools import cycle
from pathlib import Path

import asyncmy

from bench.load import CONNECTIONS


def main() -> None:
    host, port, user, password, database, statements = sys.argv[1:]
    pages, texts = pickle.loads(Path(statements).read_bytes())
    asyncio.run(_serve(host, int(port), user, password, database, pages, texts))


async def _serve(
    host: str, port: int, user: str, password: str, database: str, pages: int, texts: Sequence[str]
) -> None:
    connections = [
        await asyncmy.connect(
            host=host, port=port, user=user, password=password.encode(), db=database, autocommit=True
        )
        for _ in range(CONNECTIONS)
    ]
    shared = cycle(texts)
    while line := await asyncio.to_thread(sys.stdin.readline):
        before, cpu_before = time.monotonic(), sum(os.times()[:2])
        until = before + float(line)

        async def work(connection: asyncmy.Connection, until: float = until) -> int:
            done = 0
            async with connection.cursor() as cursor:
                while time.monotonic() < until:
                    await cursor.execute(next(shared))
                    await cursor.fetchall()
                    done += 1
            return done

        done = sum(await asyncio.gather(*map(work, connections)))
        seconds, cpu_s = time.monotonic() - before, sum(os.times()[:2]) - cpu_before
        print(done * pages / len(texts), seconds, cpu_s, flush=True)


if __name__ == "__main__":
    main()
