"""What can go wrong between a request and its reply, by name. Each fault gets the honest reply and spoils
it."""

import asyncio
import gzip
import re
from collections.abc import Awaitable, Callable
from functools import lru_cache

from farmlokal.suppliers.simulator.wire import Line, Reply

Fault = Callable[[Line, Reply], Awaitable[None]]

DRIP_S = 0.05
"""Pause between two bytes of a drip: no time limit of a single read ever fires."""

BOMB_BYTES = 128 * 1024 * 1024
"""What the gzip bomb unpacks to; it travels as half a megabyte, made in a tenth of a second."""

HUGE_BYTES = 1 << 30
"""A body of a gigabyte."""


async def hang(_line: Line, _reply: Reply) -> None:
    """Say nothing, for ever."""
    await asyncio.Event().wait()


async def reset(line: Line, _reply: Reply) -> None:
    """Reset the connection in place of a reply."""
    line.reset()


async def close(_line: Line, _reply: Reply) -> None:
    """Close the connection in place of a reply."""


async def drip(line: Line, reply: Reply) -> None:
    """Send the head, then a byte at a time without end."""
    await line.send(reply.head(1_000_000))
    while True:
        await line.send(b" ")
        await asyncio.sleep(DRIP_S)


async def drip_head(line: Line, reply: Reply) -> None:
    """Send a head that never ends, a header at a time."""
    await line.send(reply.head().partition(b"\r\n")[0] + b"\r\n")
    while True:
        await line.send(b"x-more: 1\r\n")
        await asyncio.sleep(DRIP_S)


async def huge_head(line: Line, reply: Reply) -> None:
    """Send a head that never ends, as fast as it is read."""
    await line.send(reply.head().partition(b"\r\n")[0] + b"\r\n")
    while True:
        await line.send(b"x-more: " + b"a" * 8_000 + b"\r\n")


async def endless(line: Line, reply: Reply) -> None:
    """Send a body without end, as fast as it is read."""
    await line.send(reply.head(-1)[:-2] + b"transfer-encoding: chunked\r\n\r\n")
    while True:
        await line.send(b"4000\r\n" + b" " * 0x4000 + b"\r\n")


async def too_short(line: Line, reply: Reply) -> None:
    """Promise more than is sent, and close."""
    await line.send(reply.head(len(reply.body) + 1000) + reply.body)


async def too_long(line: Line, reply: Reply) -> None:
    """Promise less than is sent."""
    await line.send(reply.head(len(reply.body) // 2) + reply.body)


async def huge_body(line: Line, reply: Reply) -> None:
    """Promise a gigabyte, and send it as fast as it is read."""
    await line.send(reply.head(HUGE_BYTES))
    for _ in range(HUGE_BYTES // 0x10000):
        await line.send(b" " * 0x10000)


async def empty_blocks(line: Line, reply: Reply) -> None:
    """Send a gzip stream without end that unpacks to nothing."""
    await line.send(reply.head(-1)[:-2] + b"content-encoding: gzip\r\ntransfer-encoding: chunked\r\n\r\n")
    await line.send(b"a\r\n" + gzip.compress(b"")[:10] + b"\r\n")
    while True:
        await line.send(b"3ffc\r\n" + b"\x00\x00\x00\xff\xff" * 0x0CCC + b"\r\n")


async def not_a_number(line: Line, reply: Reply) -> None:
    """Send NaN for the first price, Infinity for the second, 1e999 for the third."""
    body = reply.body
    for wrong in (b"NaN", b"-Infinity", b"1e999"):
        body = _NUMBER.sub(lambda found, wrong=wrong: found[1] + wrong, body, count=1)  # type: ignore[misc]
    spoilt = Reply(body, reply.status, reply.headers)
    await line.send(spoilt.head() + spoilt.body)


async def gzip_bomb(line: Line, reply: Reply) -> None:
    """Send a small body that unpacks to `BOMB_BYTES`, though nobody asked for a coding."""
    bomb = _bomb()
    await line.send(reply.head(len(bomb))[:-2] + b"content-encoding: gzip\r\n\r\n" + bomb)


async def deep_json(line: Line, _reply: Reply) -> None:
    """Send JSON that is nested 30,000 deep."""
    deep = Reply(b"[" * 30_000 + b"]" * 30_000)
    await line.send(deep.head() + deep.body)


async def html(line: Line, _reply: Reply) -> None:
    """Send a page in place of data, with a 200: what captive portals and broken gateways do."""
    page = Reply(b"<!doctype html><title>Welcome</title>", headers=(("content-type", "text/html"),))
    await line.send(page.head() + page.body)


async def garbage(line: Line, _reply: Reply) -> None:
    """Send bytes that are no HTTP."""
    await line.send(b"\x16\x03\x01 no HTTP at all \xff\xfe\r\n\r\n")


async def redirect(line: Line, _reply: Reply) -> None:
    """Send the caller elsewhere: to `/canary`, which counts those who come."""
    moved = Reply(b"", 307, (("location", "/canary"),))
    await line.send(moved.head())


FAULTS: dict[str, Fault] = {
    "hang": hang,
    "reset": reset,
    "close": close,
    "drip": drip,
    "drip-head": drip_head,
    "huge-head": huge_head,
    "endless": endless,
    "too-short": too_short,
    "too-long": too_long,
    "huge-body": huge_body,
    "empty-blocks": empty_blocks,
    "nan": not_a_number,
    "gzip-bomb": gzip_bomb,
    "deep-json": deep_json,
    "html": html,
    "garbage": garbage,
    "redirect": redirect,
}


_NUMBER = re.compile(rb'("(?:price|modal_price|expires_in)": ?)"?[0-9][0-9.]*"?')


@lru_cache(maxsize=1)
def _bomb() -> bytes:
    return gzip.compress(bytes(BOMB_BYTES), 1)
