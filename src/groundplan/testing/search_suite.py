"""What every engine of text search must do. An adapter's test subclasses the suite and says how to make one."""

from collections.abc import Iterable
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from groundplan.core.errors import Invalid, TenantMissing, TransactionMissing
from groundplan.data.database.database import Database
from groundplan.data.search.port import Document, Found, Search

KIND = "thing"
LOWEST, HIGHEST = UUID(int=0), UUID(int=2**128 - 1)
NASTY = (
    "'",
    '"',
    "''; DROP TABLE search_documents; --",
    '") OR 1 = 1 --',
    "milk\0",
    "\ud800",
    "title : milk",
    "NEAR(a b)",
    "a OR b AND NOT c",
    "a:* & !b | (c <-> d)",
    "^milk*",
    "-milk +soy",
    "\\",
    "%_\\%",
    "🥛 👩‍🍳 🇩🇪",
    "milk " * 2_000,
    "x" * 10_000,
    "ﷺ" * 10_000,
    "'" * 10_000,
    "½ ① ² ﬁ ẞ İ ﷽",
    "\u202e\u0300\u0301",
)


def thing(title: str, text: str = "", *, tag: str = "", rank: int = 0, id: UUID | None = None) -> Document:
    return Document(id=id or uuid4(), title=title, text=text, tag=tag, rank=rank)


@pytest.mark.anyio
class SearchSuite:
    """A subclass has the fixtures ``database``, open and migrated, and ``search`` in it, bound to nothing yet."""

    @pytest.fixture
    def tenant(self) -> UUID:
        return uuid4()

    async def keep(
        self, database: Database, search: Search, tenant: UUID, *documents: Document, kind: str = KIND
    ) -> None:
        async with database.transaction(tenant) as transaction:
            await search.bind(tenant, transaction.session, writes=True).index(kind, documents)

    async def find(
        self,
        database: Database,
        search: Search,
        tenant: UUID,
        text: str,
        *,
        kind: str = KIND,
        tag: str = "",
        **page: int,
    ) -> Found:
        reader = database.reader(tenant)
        try:
            return await search.bind(tenant, reader.session, writes=False).find(kind, text, tag=tag, **page)
        finally:
            await reader.release()

    async def titles(
        self, database: Database, search: Search, tenant: UUID, documents: Iterable[Document], text: str
    ) -> list[str]:
        known = {document.id: document.title for document in documents}
        return [known[hit.id] for hit in (await self.find(database, search, tenant, text, limit=100)).hits]

    async def test_every_word_is_needed_and_the_last_may_be_begun_only(
        self, database: Database, search: Search, tenant: UUID
    ) -> None:
        things = [thing("Chocolate milk", "Northside"), thing("Milk", "Maker"), thing("Chocolate", "Maker")]
        await self.keep(database, search, tenant, *things)
        for text, found in (
            ("MILK northside", ["Chocolate milk"]),
            ("chocolate mi", ["Chocolate milk"]),
            ("  maker,milk!", ["Milk"]),
            ("ilk", []),
            ("milk butter", []),
        ):
            assert await self.titles(database, search, tenant, things, text) == found, text

    async def test_an_earlier_word_is_begun_only_where_nothing_else_is_found(
        self, database: Database, search: Search, tenant: UUID
    ) -> None:
        things = [thing("Chocolate milk"), thing("Choc milkshake")]
        await self.keep(database, search, tenant, *things)
        assert await self.titles(database, search, tenant, things, "choc milk") == ["Choc milkshake"]
        assert await self.titles(database, search, tenant, things, "choco milk") == ["Chocolate milk"]

    async def test_diacritics_case_and_apostrophes_do_not_count(
        self, database: Database, search: Search, tenant: UUID
    ) -> None:
        titles = [
            "Crème Brûlée",
            "Smørrebrød",
            "Kellogg’s flakes",
            "Straße",
            "Тёплый хлеб",
            "牛乳",
            "İstanbul",
            "Chocolate 72 %",
        ]
        things = [thing(title) for title in titles]
        await self.keep(database, search, tenant, *things)
        for text, title in (
            ("creme brulee", "Crème Brûlée"),
            ("CRE\u0300ME", "Crème Brûlée"),
            ("smorre", "Smørrebrød"),
            ("kelloggs", "Kellogg’s flakes"),
            ("kellogg's", "Kellogg’s flakes"),
            ("STRASSE", "Straße"),
            ("теплый", "Тёплый хлеб"),
            ("牛", "牛乳"),
            ("istanbul", "İstanbul"),
            ("%", "Chocolate 72 %"),
            ("72%", "Chocolate 72 %"),
        ):
            assert await self.titles(database, search, tenant, things, text) == [title], text

    async def test_the_better_match_comes_first_then_the_higher_rank(
        self, database: Database, search: Search, tenant: UUID
    ) -> None:
        things = [
            thing("Begun in the text", "milkshake", rank=50),
            thing("Whole in the text", "milk", rank=40),
            thing("Milkshake", rank=30),
            thing("Milk, seldom", rank=1),
            thing("Milk, often", rank=20),
        ]
        await self.keep(database, search, tenant, *things)
        assert await self.titles(database, search, tenant, things, "milk") == [
            "Milk, often",
            "Milk, seldom",
            "Milkshake",
            "Whole in the text",
            "Begun in the text",
        ]
        assert [hit.match for hit in (await self.find(database, search, tenant, "milk")).hits] == [3, 3, 2, 1, 0]

    async def test_pages_follow_each_other_and_know_the_total(
        self, database: Database, search: Search, tenant: UUID
    ) -> None:
        things = [thing(f"Soup {number}", tag="ab"[number % 2], rank=number % 3) for number in range(11)]
        await self.keep(database, search, tenant, *things)
        whole = await self.find(database, search, tenant, "soup", limit=11)
        pages = [await self.find(database, search, tenant, "soup", limit=4, offset=offset) for offset in (0, 4, 8)]
        assert [hit for page in pages for hit in page.hits] == whole.hits
        assert {hit.id for hit in whole.hits} == {each.id for each in things}
        assert {page.total for page in [whole, *pages]} == {11}
        assert await self.find(database, search, tenant, "soup", limit=4, offset=12) == Found([], 11)
        assert (await self.find(database, search, tenant, "soup", tag="b")).total == 5
        for limit, offset in ((0, 0), (10**6, 0), (1, -1)):
            with pytest.raises(Invalid):
                await self.find(database, search, tenant, "soup", limit=limit, offset=offset)

    async def test_a_document_replaces_the_one_with_its_id(
        self, database: Database, search: Search, tenant: UUID
    ) -> None:
        id = uuid4()
        await self.keep(database, search, tenant, thing("Old name", "maker", id=id, tag="a"))
        await self.keep(database, search, tenant, thing("Twice", id=id), thing("New name", id=id, tag="b", rank=7))
        assert (await self.find(database, search, tenant, "old")).total == 0
        assert (await self.find(database, search, tenant, "maker")).total == 0
        (hit,) = (await self.find(database, search, tenant, "name", tag="b")).hits
        assert (hit.id, hit.rank) == (id, 7)

    async def test_what_was_removed_is_not_found(self, database: Database, search: Search, tenant: UUID) -> None:
        first, second = sorted((thing("One thing"), thing("Two things")), key=lambda each: each.id)
        await self.keep(database, search, tenant, first, second)
        await self.keep(database, search, tenant, thing("Thing apart"), kind="other")
        async with database.transaction(tenant) as transaction:
            bound = search.bind(tenant, transaction.session, writes=True)
            assert await bound.ids(KIND, after=LOWEST, until=HIGHEST) == [first.id, second.id]
            assert await bound.ids(KIND, after=first.id, until=second.id) == [second.id]
            await bound.remove(KIND, [first.id, uuid4()])
            await bound.remove(KIND, [])
        assert [hit.id for hit in (await self.find(database, search, tenant, "thing")).hits] == [second.id]
        async with database.transaction(tenant) as transaction:
            await search.bind(tenant, transaction.session, writes=True).clear(KIND)
        assert (await self.find(database, search, tenant, "thing")).total == 0
        assert (await self.find(database, search, tenant, "thing", kind="other")).total == 1

    async def test_what_is_rolled_back_is_not_found(self, database: Database, search: Search, tenant: UUID) -> None:
        await self.keep(database, search, tenant, thing("Kept"))
        with pytest.raises(LookupError):
            async with database.transaction(tenant) as transaction:
                bound = search.bind(tenant, transaction.session, writes=True)
                await bound.clear(KIND)
                await bound.index(KIND, [thing("Lost")])
                assert (await bound.find(KIND, "lost")).total == 1
                raise LookupError
        assert (await self.find(database, search, tenant, "kept")).total == 1
        assert (await self.find(database, search, tenant, "lost")).total == 0

    async def test_tenants_do_not_see_each_other(self, database: Database, search: Search, tenant: UUID) -> None:
        other, id = uuid4(), uuid4()
        await self.keep(database, search, tenant, thing("My apples", id=id))
        await self.keep(database, search, other, thing("Their apples", id=id), thing("More apples"))
        assert (await self.find(database, search, tenant, "apples")).total == 1
        assert (await self.find(database, search, tenant, "their")).total == 0
        async with database.transaction(tenant) as transaction:
            bound = search.bind(tenant, transaction.session, writes=True)
            assert await bound.ids(KIND, after=LOWEST, until=HIGHEST) == [id]
            await bound.clear(KIND)
        assert (await self.find(database, search, other, "apples")).total == 2

    async def test_without_a_tenant_or_a_transaction_it_refuses(
        self, database: Database, search: Search, tenant: UUID
    ) -> None:
        with pytest.raises(TenantMissing):
            await search.find(KIND, "apples")
        with pytest.raises(TenantMissing):
            await search.index(KIND, [thing("Apples")])
        bound = search.bind(tenant, database.reader(tenant).session, writes=False)
        for write in (bound.index(KIND, [thing("Apples")]), bound.remove(KIND, [uuid4()]), bound.clear(KIND)):
            with pytest.raises(TransactionMissing):
                await write

    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(title=st.text(max_size=60), text=st.text(max_size=60), query=st.text(max_size=60))
    @example(title="milk", text="", query="mi lk")
    async def test_any_text_can_be_kept_and_asked_for(
        self, database: Database, search: Search, tenant: UUID, title: str, text: str, query: str
    ) -> None:
        """No error, and what has words is found by its own title."""
        document = thing(title, text, id=UUID(int=1))
        await self.keep(database, search, tenant, document)
        assert (await self.find(database, search, tenant, query)).total in (0, 1)
        by_itself = await self.find(database, search, tenant, title)
        with_a_letter = await self.find(database, search, tenant, f"{title} {text}")
        assert by_itself.total == (1 if any(map(str.isalnum, title)) else by_itself.total)
        assert with_a_letter.total == (1 if any(map(str.isalnum, title + text)) else with_a_letter.total)

    @pytest.mark.parametrize("nasty", NASTY, ids=range(len(NASTY)))
    async def test_nasty_text_is_only_text(self, database: Database, search: Search, tenant: UUID, nasty: str) -> None:
        await self.keep(database, search, tenant, thing("Bananas"))
        assert await self.find(database, search, tenant, nasty) == Found([], 0)
        await self.keep(database, search, tenant, thing(nasty, nasty))
        assert (await self.find(database, search, tenant, nasty)).total in (0, 1)
        assert (await self.find(database, search, tenant, "bananas")).total == 1
