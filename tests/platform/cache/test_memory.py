"""The cache in the process: bounded, whatever is asked for."""

import tracemalloc

from farmlokal.platform.cache import CacheCounts, Generations, Loaded, MemoryCache, Outcome
from farmlokal.platform.cache.memory import BYTES, ENTRIES, PACKED_BYTES
from farmlokal.platform.web.content import Content, ContentCodec
from tests.support.cache import Source, key
from tests.support.catalogue import run
from tests.support.clock import ManualClock

KEYS = 30_000
"""Half as many again as entries are kept. A million leave the same behind and take a minute."""


def opened(clock: ManualClock, source: Source) -> MemoryCache[Content]:
    """A cache of pages."""
    return MemoryCache(Generations(source.read_generation, clock), ContentCodec(), clock, CacheCounts())


def test_any_number_of_keys_stays_within_fifty_megabytes() -> None:
    """Keys without end, each with a page of its own, compressed forms and all, take bounded memory."""

    async def go() -> None:
        clock = ManualClock()
        cache = opened(clock, Source())
        await cache.open()
        for size in (30, 5_000):
            tracemalloc.start()
            for number in range(KEYS if size < 900 else KEYS // 6):

                async def load(number: int = number, size: int = size) -> Loaded[Content]:
                    content = Content(b"%0*d" % (size, number), "next" * 30, "prev" * 30)
                    for coding in ("gzip", "br", "zstd"):
                        if number % 100 == 0:
                            content.coded(coding)
                    return Loaded(content)

                await cache.get_or_load(key(f"{size} {number}"), load)
            taken, _ = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            assert taken < 50_000_000, (size, taken)
        await cache.close()

    run(go())


def test_what_was_used_last_is_kept() -> None:
    """A key that is asked for again and again stays, while others come and go."""

    async def go() -> None:
        cache = opened(ManualClock(), Source())
        await cache.open()

        async def load() -> Loaded[Content]:
            return Loaded(Content(b"x" * 1000))

        await cache.get_or_load(key("hot"), load)
        for number in range(ENTRIES + 1000):
            await cache.get_or_load(key(str(number)), load)
            if number % 100 == 0:
                assert (await cache.get_or_load(key("hot"), load)).outcome is Outcome.HIT
        assert (await cache.get_or_load(key("0"), load)).outcome is Outcome.MISS
        await cache.close()

    run(go())


def test_one_answer_does_not_push_out_all_others() -> None:
    """An answer that would take a good part of the memory is not kept."""

    async def go() -> None:
        cache = opened(ManualClock(), Source())
        await cache.open()

        async def load() -> Loaded[Content]:
            return Loaded(Content(b"x" * (PACKED_BYTES // 16)))

        for _ in range(2):
            assert (await cache.get_or_load(key("large"), load)).outcome is Outcome.MISS
        await cache.close()

    run(go())


def test_what_is_pushed_out_is_packed() -> None:
    """Pages past the memory for those in full are kept packed, and are hits with the same bytes."""

    async def go() -> None:
        cache = opened(ManualClock(), Source())
        await cache.open()
        body = b'{"name":"Nendran banana"},' * 400
        pages = 2 * BYTES // (3 * len(body))

        async def load(number: int) -> Loaded[Content]:
            return Loaded(Content(body + b"%d" % number))

        first = (await cache.get_or_load(key("0"), lambda: load(0))).value
        forms = {coding: first.coded(coding) for coding in ("zstd", "br", "gzip")}
        for number in range(1, pages):
            await cache.get_or_load(key(str(number)), lambda number=number: load(number))  # type: ignore[misc]
        found = await cache.get_or_load(key("0"), lambda: load(0))
        assert (found.outcome, found.value) == (Outcome.HIT, first)
        assert cache.still(key("0"), first)
        assert first.size < len(body) // 10
        assert first.body == body + b"0"
        assert {coding: first.coded(coding) for coding in forms} == forms
        assert first.size < len(body) // 10
        await cache.close()

    run(go())
