"""What the read models say of a month is what a wallet's own events fold into."""

from collections.abc import AsyncIterator
from uuid import uuid4

import msgspec
import psycopg
import pytest

from api.application.statements.folded import FoldedStatements
from api.application.statements.issuing import issue_due
from api.application.statements.projected import ProjectedStatements
from domain.ids import AccountId, VpsId
from domain.money import MicroUsd
from domain.statements.month import Month
from domain.time import MINUTE, Instant
from domain.wallet.events import FundsCorrected
from projections.catalogue import READ_MODELS
from projections.generation import SCHEMA
from projections.reading import ReadModels
from projections.runner import Runner
from tests.api.statements.months import DECEMBER, NOVEMBER, Months, eventful_november, months
from tests.projections.conftest import running

pytestmark = pytest.mark.anyio

Both = tuple[Months, FoldedStatements, ProjectedStatements]


@pytest.fixture
async def both(database_url: str) -> AsyncIterator[Both]:
    """An eventful November, drawn from in both ways."""
    async with months() as here:
        runtime = here.house.runtime
        reading = ReadModels(database_url)
        await reading.open()
        async with running(Runner(runtime.store, database_url, READ_MODELS, schema=SCHEMA, moved=reading.moved)):
            await eventful_november(here)
            folded = FoldedStatements(runtime.store, runtime.sealer)
            yield here, folded, ProjectedStatements(reading, runtime.store, runtime.sealer)
        await reading.close()


async def test_a_month_is_drawn_alike(both: Both) -> None:
    here, folded, projected = both
    drawn = await projected.compute(here.ann.id, NOVEMBER)

    assert drawn == await folded.compute(here.ann.id, NOVEMBER)
    assert drawn is not None
    assert drawn.statement.entries[0].reason == "a test"
    assert [entry.of_charge for entry in drawn.statement.entries if entry.kind == "correction"] == [True]


async def test_a_credit_that_is_put_right_is_no_charge(both: Both) -> None:
    here, folded, projected = both
    before = await projected.compute(here.ann.id, NOVEMBER)
    assert before is not None
    credit = next(entry for entry in before.statement.entries if entry.kind == "credit")
    await here.record(FundsCorrected(here.ann.id, uuid4(), credit.event_id, "goodwill", MicroUsd(-5), "a typo"))
    drawn = await projected.compute(here.ann.id, NOVEMBER)

    assert drawn == await folded.compute(here.ann.id, NOVEMBER)
    assert drawn is not None
    assert [entry.of_charge for entry in drawn.statement.entries if entry.kind == "correction"] == [True, False]
    assert drawn.statement.charges == before.statement.charges


async def test_the_month_after_begins_where_it_ended(both: Both) -> None:
    here, folded, projected = both
    await here.until(Instant(DECEMBER.begins))
    await here.ann.credit(5)
    drawn = await projected.compute(here.ann.id, DECEMBER)

    assert drawn == await folded.compute(here.ann.id, DECEMBER)
    assert drawn is not None
    assert (drawn.statement.opening, drawn.statement.closing) == (4_786_700, 4_786_705)


async def test_minutes_on_both_sides_of_a_months_end_are_in_the_month_in_which_they_were_recorded(both: Both) -> None:
    here, folded, projected = both
    web = await here.vps("late")
    await here.until(Instant(NOVEMBER.ends - 1))
    await here.minutes(web, 1, 5)
    await here.until(NOVEMBER.ends)
    await here.minutes(web, 6, 7)
    for month, minutes in ((NOVEMBER, 5), (DECEMBER, 2)):
        drawn = await projected.compute(here.ann.id, month)
        assert drawn == await folded.compute(here.ann.id, month)
        assert drawn is not None
        assert [line.minutes for line in drawn.statement.charged if line.vps_id == web] == [minutes]


async def test_there_is_no_month_before_the_wallet(both: Both) -> None:
    here, folded, projected = both

    assert await projected.compute(here.ann.id, NOVEMBER.previous) is None
    assert await folded.compute(here.ann.id, NOVEMBER.previous) is None
    assert await projected.compute(AccountId(here.plan_id), NOVEMBER) is None


async def test_what_is_due_and_what_was_issued_is_known_alike(both: Both) -> None:
    here, folded, projected = both
    await (await here.house.register()).credit(7)
    await here.until(Instant(NOVEMBER.ends + MINUTE))
    for month, due in ((NOVEMBER, 0), (DECEMBER, 2)):
        assert sorted(await projected.due(month, None, 10)) == sorted(await folded.due(month, None, 10))
        assert len(await projected.due(month, None, 10)) == due
    assert len(await projected.due(DECEMBER, None, 1)) == 1

    assert await issue_due(here.house.runtime) == 2
    assert await projected.due(DECEMBER, None, 10) == []
    issued = await projected.issued(here.ann.id)
    assert issued == await folded.issued(here.ann.id)
    assert [one.statement.month for one in issued] == ["2026-11"]
    drawn = await projected.compute(here.ann.id, NOVEMBER)
    assert drawn is not None
    assert drawn.issued == issued[0]


async def test_a_statement_whose_numbers_contradict_each_other_keeps_no_other_from_being_issued(
    both: Both, owner_url: str
) -> None:
    here, folded, projected = both
    bob = await here.house.register()
    await bob.credit(7)
    await here.until(Instant(NOVEMBER.ends + MINUTE))
    assert len(await projected.due(DECEMBER, None, 10)) == 2
    with psycopg.connect(owner_url) as owner:
        owner.execute("UPDATE read_models.entry SET balance_after = 1 WHERE account_id = %s", [here.ann.id])
    runtime = msgspec.structs.replace(here.house.runtime, statements=projected)

    assert await issue_due(runtime) == 1
    assert await projected.due(DECEMBER, None, 10) == [(here.ann.id, NOVEMBER)]
    assert len(await folded.issued(bob.id)) == 1


async def test_vpss_are_known_by_their_names(both: Both) -> None:
    here, folded, projected = both
    drawn = await projected.compute(here.ann.id, Month(2026, 11))
    assert drawn is not None
    vps_ids = {VpsId(line.vps_id) for line in drawn.statement.charged}
    names = await projected.names(here.ann.id, vps_ids, NOVEMBER)

    assert sorted(names.values()) == ["mail", "web-01"]
    assert names == await folded.names(here.ann.id, vps_ids, NOVEMBER)


async def test_a_statement_keeps_the_names_of_its_month_whatever_a_vps_is_called_later(both: Both) -> None:
    here, folded, projected = both
    drawn = await projected.compute(here.ann.id, NOVEMBER)
    assert drawn is not None
    (mail,) = [
        vps_id
        for vps_id, name in (
            await folded.names(here.ann.id, {line.vps_id for line in drawn.statement.charged}, NOVEMBER)
        ).items()
        if name == "mail"
    ]
    await here.rename(mail, "post")
    await here.until(Instant(NOVEMBER.ends + MINUTE))
    await here.rename(mail, "letters")

    for source in (folded, projected):
        assert await source.names(here.ann.id, [mail], NOVEMBER) == {mail: "post"}
        assert await source.names(here.ann.id, [mail], DECEMBER) == {mail: "letters"}
