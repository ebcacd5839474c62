"""A listing request: read strictly, refused by name, and one value however it is spelled."""

from datetime import UTC, datetime, timedelta, timezone
from itertools import combinations
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farmlokal.catalog.listing import CATEGORIES, FACET_PARAMETERS, IDS, PARAMETERS, SORTS, ListingQuery
from farmlokal.errors import Invalid
from farmlokal.platform.keyset.cursor import fingerprint
from farmlokal.platform.keyset.parameters import LIMIT_CEILING
from farmlokal.platform.web.parameters import FIELDS, QUERY_BYTES

FULL = (
    "limit=50",
    "sort=-distance",
    "search=red+tomato",
    "category=Fruits",
    "category=Vegetables",
    "minPrice=20",
    "maxPrice=99.50",
    "state=Kerala",
    "district=Thrissur",
    "seller=7",
    "organic=true",
    "inStock=false",
    "harvestedAfter=2026-01-31",
    "near=10.52,76.21",
    "radiusKm=25",
    "ids=3,1,2",
    "updatedSince=2026-01-31T00:00:00Z",
    "fields=id,name",
    "lang=ml",
    "facets=category,state",
    "count=exact",
)
"""A request that uses nearly everything."""


def parse(query: str) -> ListingQuery:
    """A query string in UTF-8, as a browser would send it."""
    return ListingQuery.parse(query.encode())


def faults(query: str | bytes) -> dict[str, str]:
    """What is refused of a query: the code by parameter."""
    with pytest.raises(Invalid) as caught:
        ListingQuery.parse(query.encode() if isinstance(query, str) else query)
    assert caught.value.faults
    assert all(fault.accepted for fault in caught.value.faults)
    return {fault.parameter: fault.code for fault in caught.value.faults}


def test_nothing_given_is_the_first_page_by_id() -> None:
    """Without parameters a listing is the first 20 products by id."""
    assert parse("") == ListingQuery(sort="id", descending=False, limit=20, lang="en")


def test_everything_given() -> None:
    """Every parameter arrives in its canonical form: paise, metres, millionths of a degree, microseconds."""
    assert parse("&".join(FULL)) == ListingQuery(
        sort="distance",
        descending=True,
        search=("red", "tomato"),
        category=("fruits", "vegetables"),
        min_price=2000,
        max_price=9950,
        state="kerala",
        district="thrissur",
        seller=7,
        organic=True,
        in_stock=False,
        harvested_after="2026-01-31",
        near=(10_520_000, 76_210_000),
        radius_m=25_000,
        ids=(1, 2, 3),
        updated_since=1_769_817_600_000_000,
        limit=50,
        fields=("id", "name"),
        lang="ml",
        facets=("category", "state"),
        count=True,
    )


@pytest.mark.parametrize("sort", SORTS)
@pytest.mark.parametrize("spelling", ["sort=-{0}", "sort={0}&order=desc", "order=desc&sort=-{0}"])
def test_descending_has_two_spellings(sort: str, spelling: str) -> None:
    """`-` before a sort and `order=desc` say the same, alone or together."""
    needed = {"distance": "&pincode=680001", "relevance": "&q=tomato"}.get(sort, "")
    query = parse(spelling.format(sort) + needed)
    assert (query.sort, query.descending) == (sort, True)
    assert not parse(f"sort={sort}&order=asc{needed}").descending


@pytest.mark.parametrize(
    "spellings",
    [
        ["", "limit=20", "sort=id", "order=asc", "lang=en", "count=none", "&&", "search=", "q=", "category="],
        ["", "search=&search=", "category=&category=&q=", "sort=id&order=asc&limit=020&lang=en&count=none"],
        ["category=Fruits", "category=fruits", "category=FRUITS", "category=%20Fruits+", "category=Fru%69ts"],
        [
            "category=Fruits",
            "category=Fruits&category=fruits",
            "category=&category=Fruits",
            "%63ategory=Fruits",
        ],
        [
            "category=a&category=b",
            "category=b&category=a",
            "category=b&category=a&category=A&category=%C3%A1",
        ],
        ["state=Kerala", "state=Keralam", "state=KERALA", "state=+keralam", "state=%EF%BC%ABerala"],
        ["state=Tamil+Nadu", "state=Tamil%20Nadu", "state=tamil++nadu", "state=Tamil%C2%A0Nadu"],
        [
            "search=red+tomato",
            "q=red%20tomato",
            "search=Red,TOMATO!",
            "search=red+tomato+red",
            "q=&search=red-tomato",
        ],
        ["search=tomato", "search=tomato&q=tomato", "search=T%C3%B3mato&q=TOMATO", "search=%20tomato%20"],
        ["search=ज़ीरा", f"search={quote('ज़ीरा')}", f"search={quote('जीरा')}"],
        ["minPrice=20", "minPrice=20.0", "minPrice=20.00", "minPrice=020", "minPrice=%32%30"],
        [
            "near=10.5,76.25",
            "near=10.500000,76.25",
            "near=10.5%2C76.25",
            "near=10.5,+76.25",
            "near=010.5,076.25",
        ],
        ["near=0,0", "near=-0,0.0", "near=0.0000001,-0.0000001"],
        ["pincode=680001&radiusKm=2.5", "radiusKm=2.500&pincode=680001"],
        ["ids=1,2,3", "ids=3,2,1", "ids=3,2,1,1,2", "ids=1%2C2,003"],
        ["updatedSince=2026-01-31T00:00:00Z", "updatedSince=2026-01-31T05:30:00%2B05:30"],
        ["updatedSince=2026-01-31T00:00:00Z", "updatedSince=2026-01-31T05:30:00.000+05:30"],
        ["updatedSince=2026-01-31T00:00:00Z", "updatedSince=2026-01-30t20:00:00-04:00"],
        ["sort=-price", "sort=price&order=desc", "order=desc&sort=-price"],
        ["sort=price", "sort=price&order=asc", "order=asc&&sort=price&"],
        ["facets=state", "facets=state,state"],
    ],
)
def test_spellings_of_one_request(spellings: list[str]) -> None:
    """Two spellings of one request are one value, and so share cached pages and cursors."""
    first, *others = map(parse, spellings)
    for spelling, query in zip(spellings[1:], others, strict=True):
        assert query == first, spelling
        assert hash(query) == hash(first)


@given(pairs=st.permutations(FULL), data=st.data())
def test_order_and_escapes_do_not_count(pairs: list[str], data: st.DataObject) -> None:
    """Neither the order of parameters nor which characters are percent-encoded makes another request."""
    escaped = data.draw(st.sets(st.sampled_from("acdeiknoprstTKV0123456789.-:")))

    def escape(text: str) -> str:
        return "".join(f"%{ord(char):02x}" if char in escaped else char for char in text)

    spelled = "&".join("=".join(map(escape, pair.split("=", 1))) for pair in pairs)
    assert parse(spelled) == parse("&".join(FULL))


DIFFERENT = [
    "",
    *(f"sort={sort}" for sort in SORTS if sort not in ("id", "distance", "relevance")),
    *("sort=-id", "sort=-price", "sort=distance&pincode=680001", "sort=relevance&q=a", "pincode=680001"),
    *("search=a", "search=b", "search=ab", "search=a+b", "search=b+a", "category=a", "state=a", "district=a"),
    *("category=a&category=b", "category=a,b", "category=a%26b", "category=ab", "category=a+b"),
    *("category=a%26category%3Db", "category=a%01b", "category=a%7Cb", "category=%5B'a','b'%5D"),
    *("category=a%22,%22b", "category=a%27,+%27b", "category=a;b", "category=a%02b", "state=a&district=b"),
    *("state=b&district=a", "state=a%26district%3Db", "state=ab", "district=ab", "category=a&state=b"),
    *(
        "minPrice=1",
        "maxPrice=1",
        "minPrice=1&maxPrice=1",
        "minPrice=0.01",
        "seller=1",
        "seller=100",
        "ids=1",
    ),
    *("ids=1,2", "ids=12", "ids=100", "organic=true", "organic=false", "inStock=true", "inStock=false"),
    *("near=1,2", "near=2,1", "near=1,2&radiusKm=1", "near=1,2&radiusKm=0", "pincode=680001&radiusKm=1"),
    *("harvestedAfter=2026-01-31", "updatedSince=2026-01-31T00:00:00Z", "updatedSince=1970-01-01T00:00:00Z"),
    *("state=None", "state=true", "category=None", "search=none", "district=1", "near=-1,2", "near=1,-2"),
]
"""Requests for other rows, or for rows in another order; many try to pass one value off as two."""


def test_different_requests_differ() -> None:
    """Requests for other rows or another order never share an identity, whatever their values contain."""
    identities = {text: parse(text).identity() for text in DIFFERENT}
    prints = {text: fingerprint("products", identity) for text, identity in identities.items()}
    for one, other in combinations(DIFFERENT, 2):
        assert identities[one] != identities[other], (one, other)
        assert prints[one] != prints[other], (one, other)


@given(
    names=st.lists(st.text("ab,&=|;'\"[]%\x1f\n ", min_size=1, max_size=6), max_size=4),
    others=st.lists(st.text("ab,&=|;'\"[]%\x1f\n ", min_size=1, max_size=6), max_size=4),
)
def test_values_cannot_pass_for_several(names: list[str], others: list[str]) -> None:
    """No separator inside a value makes it look like two values, or two like one."""
    one, other = (
        ListingQuery(category=tuple(sorted({value.strip() for value in values})))
        for values in (names, others)
    )
    same = fingerprint("products", one.identity()) == fingerprint("products", other.identity())
    assert same == (one.category == other.category)


@pytest.mark.parametrize(
    "shown", ["limit=7", "fields=id", "lang=hi", "facets=state", "count=exact", "cursor=v1.a.b"]
)
def test_how_rows_are_shown_is_no_part_of_the_identity(shown: str) -> None:
    """`limit`, `cursor`, `fields`, `lang`, `facets` and `count` may change on the way through a listing."""
    filtered = "search=tomato&category=a&sort=-price"
    assert parse(f"{filtered}&{shown}") != parse(filtered)
    assert parse(f"{filtered}&{shown}").identity() == parse(filtered).identity()


def test_every_filter_and_sort_is_part_of_the_identity() -> None:
    """Whatever chooses or orders rows is part of the identity, in the order of the canonical form."""
    query = parse("&".join(FULL))
    assert query.identity() == [
        *("distance", True, ("red", "tomato"), ("fruits", "vegetables"), 2000, 9950, "kerala", "thrissur", 7),
        *(True, False, "2026-01-31", (10_520_000, 76_210_000), None, 25_000, (1, 2, 3)),
        1_769_817_600_000_000,
    ]


@pytest.mark.parametrize(
    ("facet", "lifted"), [("category", ()), ("state", None), ("district", None), ("organic", None)]
)
def test_a_facet_is_counted_without_its_own_filter(facet: str, lifted: object) -> None:
    """`without` lifts the filter of one facet and keeps every other."""
    query = parse("&".join(FULL))
    freed = query.without(facet)
    assert getattr(freed, facet) == lifted
    assert [(a, b) for a, b in zip(query.identity(), freed.identity(), strict=True) if a != b] == [
        (getattr(query, facet), lifted)
    ]


@pytest.mark.parametrize(
    ("misspelt", "meant"),
    [("minPrise", "minPrice"), ("Limit", "limit"), ("categorys", "category"), ("in_stock", "inStock")],
)
def test_an_unknown_parameter_comes_with_a_suggestion(misspelt: str, meant: str) -> None:
    """An unknown parameter is a 400 that suggests the one that was probably meant."""
    with pytest.raises(Invalid, match=misspelt) as caught:
        parse(f"{misspelt}=1")
    [fault] = caught.value.faults
    assert (fault.parameter, fault.code, fault.accepted) == (misspelt, "unknown", f"did you mean {meant}?")


@pytest.mark.parametrize("name", ["", "zzz", "आम", "__class__", "%20"])
def test_a_parameter_like_no_other_gets_the_whole_list(name: str) -> None:
    """An unknown parameter that resembles none is a 400 that lists those there are."""
    with pytest.raises(Invalid) as caught:
        parse(f"{name}=1")
    [fault] = caught.value.faults
    assert all(parameter.name in fault.accepted for parameter in PARAMETERS)


@pytest.mark.parametrize("parameter", PARAMETERS, ids=lambda parameter: parameter.name)
def test_a_single_valued_parameter_may_not_be_repeated(parameter: object) -> None:
    """A parameter that takes one value is refused when it comes twice, even with the same value."""
    known = next(each for each in PARAMETERS if each is parameter)
    example = quote(str("v1.a.b" if known.example is None else known.example))
    twice = f"{known.name}={example}&{known.name}={example}"
    if known.repeatable:
        assert known.name == "category"
        assert parse(twice).category
    else:
        assert faults(twice) == {known.name: "repeated"}


@pytest.mark.parametrize(
    ("parameter", "values"),
    [
        (
            "limit",
            ["0", "101", "-1", "+5", "1.0", "1e1", "1_0", "１０", "१०", "0x10", " 5", "ten", "", str(10**30)],
        ),
        ("cursor", ["é", "x" * 1025]),
        ("sort", ["", "-", "--price", "Price", "price,-id", "rating", "+price"]),
        ("order", ["", "DESC", "descending", "-"]),
        ("search", ["-", "^", "%20", "%E2%80%8D", "a" * 101, "a+b+c+d+e+f+g+h+i"]),
        ("q", ["!", "a" * 101]),
        ("category", ["%20", "%E2%80%8D", "a" * 101]),
        ("state", ["", "%20", "a" * 101]),
        ("district", ["", "%09", "a" * 101]),
        (
            "minPrice",
            ["", "-1", "1,5", "1_0", "１０", "1.234", "100000000.01", "1e3", "NaN", "Infinity", ".5", "5."],
        ),
        ("maxPrice", ["", "-0.01", "0x1", "１", "1.001", "100000001", str(10**30), "%2B1", "--1"]),
        ("seller", ["", "0", "-1", str(2**63), "१", "1.0", "1_0", "９"]),
        ("organic", ["", "1", "yes", "True", "TRUE", "null"]),
        ("inStock", ["", "0", "no", "False"]),
        (
            "harvestedAfter",
            ["", "2026-02-30", "2026-1-1", "20260131", "2026-01-31T00:00", "0000-01-01", "２０２６-01-31"],
        ),
        (
            "near",
            [
                "",
                "10",
                "10,",
                ",76",
                "10,76,3",
                "91,0",
                "0,181",
                "-90.000001,0",
                "nan,0",
                "1e1,0",
                "１,2",
                "a,b",
            ],
        ),
        ("pincode", ["", "68000", "6800011", "068001", "68000a", "６８０００１", "680%20001", "%2B68001"]),
        (
            "ids",
            [
                "",
                "0",
                "1,,2",
                "1,",
                "a",
                "-1",
                "1 2",
                str(2**63),
                "1_0",
                ",".join(map(str, range(1, IDS + 2))),
            ],
        ),
        (
            "updatedSince",
            ["", "2026-01-31", "2026-01-31T00:00:00", "1769817600", "2026-13-01T00:00:00Z", "now"],
        ),
        ("fields", ["", "id,", "nope", "id,secret", "ID", "*"]),
        ("lang", ["", "EN", "ta", "en,hi"]),
        ("facets", ["", "price", "category,", "Category"]),
        ("count", ["", "true", "estimate", "1"]),
    ],
)
def test_values_out_of_range_or_form(parameter: str, values: list[str]) -> None:
    """A value that does not fit is a 400 that names the parameter and what would be accepted."""
    for value in values:
        assert list(faults(f"{parameter}={value}")) == [parameter], value


@pytest.mark.parametrize("value", ["", "-1", "5000.001", "1_0", "１", "1.2345", str(10**30), "1e2", "inf"])
def test_a_radius_out_of_range(value: str) -> None:
    """A radius is a plain decimal of kilometres from 0 to 5000."""
    assert list(faults(f"near=1,2&radiusKm={value}")) == ["radiusKm"]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("limit=1", 1),
        (f"limit={LIMIT_CEILING}", LIMIT_CEILING),
    ],
)
def test_limits_are_inclusive(query: str, expected: int) -> None:
    """`limit` goes from 1 to 100, both included."""
    assert parse(query).limit == expected


def test_greatest_values_are_accepted() -> None:
    """The stated maxima are accepted themselves."""
    assert parse("maxPrice=100000000").max_price == 10_000_000_000
    assert parse("near=90,-180&radiusKm=5000").radius_m == 5_000_000
    assert parse(f"seller={2**63 - 1}").seller == 2**63 - 1
    assert len(parse("ids=" + ",".join(map(str, range(1, IDS + 1)))).ids or ()) == IDS
    assert len(parse("&".join(f"category=c{number}" for number in range(CATEGORIES))).category) == CATEGORIES
    assert len(parse("search=a+b+c+d+e+f+g+h").search) == 8


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("sort=distance", {"sort": "no place"}),
        ("sort=-distance&radiusKm=5", {"sort": "no place", "radiusKm": "no place"}),
        ("sort=relevance", {"sort": "no search"}),
        ("sort=relevance&search=", {"sort": "no search"}),
        ("near=1,2&pincode=680001", {"pincode": "contradiction"}),
        ("radiusKm=5", {"radiusKm": "no place"}),
        ("minPrice=2&maxPrice=1.99", {"minPrice": "out of range"}),
        ("sort=-price&order=asc", {"order": "contradiction"}),
        ("sort=-id&order=asc", {"order": "contradiction"}),
        ("search=tomato&q=potato", {"q": "contradiction"}),
        ("&".join(f"category=c{number}" for number in range(CATEGORIES + 1)), {"category": "too many"}),
        (
            "sort=-relevance&order=asc&radiusKm=1&minPrice=3&maxPrice=2",
            {
                "sort": "no search",
                "order": "contradiction",
                "radiusKm": "no place",
                "minPrice": "out of range",
            },
        ),
    ],
)
def test_parameters_that_do_not_go_together(query: str, expected: dict[str, str]) -> None:
    """Parameters that are fine one by one and not together are a 400 that names each that has to go."""
    assert faults(query) == expected


def test_all_faults_are_named_at_once() -> None:
    """One answer names every wrong parameter, so that a caller mends them in one go."""
    assert faults("minPrise=1&limit=0&organic=yes&sort=price&sort=name&ids=&lang=en") == {
        "minPrise": "unknown",
        "limit": "out of range",
        "organic": "not a boolean",
        "sort": "repeated",
        "ids": "not an integer",
    }


def test_contradictions_are_named_beside_other_faults() -> None:
    """A contradiction between two parameters is named in the same answer as a malformed third."""
    assert set(faults("minPrice=3&maxPrice=2&limit=0&near=1,2&pincode=680001")) == {
        "minPrice",
        "limit",
        "pincode",
    }


@pytest.mark.parametrize(
    ("query", "code"),
    [
        (b"search=%FF", "encoding"),
        (b"search=\xe0\xa4", "encoding"),
        (b"search=%C0%AF", "encoding"),
        (b"search=%ED%A0%80", "encoding"),
        (b"%FF=1", "encoding"),
        (b"search=tomato%00", "encoding"),
        (b"search=\x00", "encoding"),
        (b"li%00mit=1", "encoding"),
        (b"&".join([b"category=a"] * (FIELDS + 1)), "too many"),
        (b"search=" + b"a" * QUERY_BYTES, "too long"),
        (b"&" * (QUERY_BYTES + 1), "too long"),
    ],
)
def test_queries_that_cannot_be_read(query: bytes, code: str) -> None:
    """A query that is not UTF-8, holds a NUL, has too many parts or is too long is a 400 as a whole."""
    assert faults(query) == {"query": code}


def test_facets_take_the_filters_only() -> None:
    """What orders, pages and shows rows is unknown where only facets are counted."""
    accepted = {parameter.name for parameter in FACET_PARAMETERS}
    query = ListingQuery.parse(b"facets=state&category=a&near=1,2&radiusKm=5", FACET_PARAMETERS)
    assert query == parse("facets=state&category=a&near=1,2&radiusKm=5")
    for name in ("limit", "cursor", "sort", "order", "fields", "lang", "count"):
        assert name not in accepted
        with pytest.raises(Invalid, match=name):
            ListingQuery.parse(f"{name}=1".encode(), FACET_PARAMETERS)


@given(
    when=st.datetimes(datetime(1, 1, 3), datetime(9999, 12, 29)),  # noqa: DTZ001  the zone is drawn beside it
    offset=st.one_of(st.none(), st.integers(-23 * 60 - 59, 23 * 60 + 59)),
    digits=st.integers(0, 9),
    nanoseconds=st.integers(0, 10**9 - 1),
    letters=st.sampled_from([("T", "Z"), ("t", "z"), (" ", "Z")]),
)
def test_instants(
    when: datetime, offset: int | None, digits: int, nanoseconds: int, letters: tuple[str, str]
) -> None:
    """An instant has any offset and up to nine decimals; what is finer than a microsecond is cut off."""
    fraction = f"{nanoseconds:09d}"[:digits]
    hours, minutes = divmod(abs(offset or 0), 60)
    zone = letters[1] if offset is None else f"{'-' if offset < 0 else '+'}{hours:02}:{minutes:02}"
    text = f"{when.date()}{letters[0]}{when:%H:%M:%S}{'.' + fraction if fraction else ''}{zone}"
    expected = when.replace(
        microsecond=int(fraction.ljust(6, "0")[:6]), tzinfo=timezone(timedelta(minutes=offset or 0))
    ) - datetime(1970, 1, 1, tzinfo=UTC)
    since = expected // timedelta(microseconds=1)
    assert parse(f"updatedSince={quote(text)}").updated_since == since
    # A plus that was not escaped is a space by the time it is read.
    assert parse(f"updatedSince={text.replace(' ', '%20')}").updated_since == since


@pytest.mark.parametrize(
    "text",
    [
        *("2026-01-31T00:00Z", "2026-01-31T00:00:00", "2026-01-31T00:00:00.Z", "2026-01-31T00:00:00,5Z"),
        *("2026-01-31T00:00:00.0000000001Z", "2026-01-31T23:59:60Z", "2026-01-31T25:00:00Z"),
        *("2026-01-31T00:60:00Z", "2026-02-29T00:00:00Z", "2026-06-31T00:00:00Z", "0000-01-01T00:00:00Z"),
        *("0001-01-01T00:00:00+05:30", "9999-12-31T23:59:59-05:30", "2026-01-31T00:00:00+24:00"),
        *("2026-01-31T00:00:00+0530", "2026-01-31T00:00:00+05", "2026-01-31T00:00:00 Z"),
        *("2026-01-31T00:00:00ZZ", "2026-01-31T00:00:00Z%0A", "２０２６-01-31T00:00:00Z"),
        *("2026-01-31T00:00:00−05:30", "20260131T000000Z", "2026-01-31T00:00:00+05:30:15"),
    ],
)
def test_instants_that_do_not_exist(text: str) -> None:
    """An instant that no calendar and no clock shows, or without its offset, is refused."""
    assert faults(f"updatedSince={text}") == {"updatedSince": "not an instant"}


@pytest.mark.parametrize("offset", ["+05:60", "+05:99", "-00:75"])
def test_offsets_have_minutes_below_sixty(offset: str) -> None:
    """The minutes of an offset go from 00 to 59 (RFC 3339)."""
    assert faults(f"updatedSince=2026-01-31T00:00:00{offset}") == {"updatedSince": "not an instant"}


PIECES = st.one_of(
    st.sampled_from([parameter.name.encode() for parameter in PARAMETERS]),
    st.sampled_from([b"=", b"&", b"%", b"%00", b"%ff", b"+", b",", b"-", b".", b"1", b"a", b"T", b"Z", b":"]),
    st.sampled_from(
        [b"10.5,76.2", b"2026-01-31T00:00:00Z", b"true", b"id,name", b"680001", b"99999999999999999999"]
    ),
    st.binary(max_size=6),
)


@given(pieces=st.lists(PIECES, max_size=30))
def test_any_bytes_are_a_request_or_a_refusal(pieces: list[bytes]) -> None:
    """Whatever bytes a query is made of, it is understood or refused by name."""
    try:
        query = ListingQuery.parse(b"".join(pieces))
    except Invalid as refusal:
        assert refusal.faults  # noqa: PT017  both ways out are right
    else:
        fingerprint("products", query.identity())
