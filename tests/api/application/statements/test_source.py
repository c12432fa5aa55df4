"""What the read models say of a month is what a wallet's own events fold into."""

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from api.application.statements.issuing import issue_due
from api.application.statements.source import ComputedStatement
from domain.ids import AccountId, VpsId
from domain.money import MicroUsd
from domain.statements.month import Month
from domain.time import MINUTE, Instant
from domain.wallet.events import FundsCorrected
from tests.api.application.statements.months import DECEMBER, NOVEMBER, Months, eventful_november, months
from tests.api.application.statements.reference import folded_statement
from tests.databases import Databases

pytestmark = pytest.mark.anyio


@pytest.fixture
async def here(databases: Databases) -> AsyncIterator[Months]:
    """An eventful November."""
    async with months(databases) as made:
        await eventful_november(made)
        yield made


async def drawn(here: Months, month: Month) -> ComputedStatement:
    """Return the statement of a month; it is what the wallet's events come to."""
    found = await here.house.runtime.statements.compute(here.ann.id, month)
    assert found is not None
    assert found.statement == await folded_statement(here.house.runtime, here.ann.id, month)
    return found


async def test_a_month_is_what_its_events_come_to(here: Months) -> None:
    november = (await drawn(here, NOVEMBER)).statement

    assert november.entries[0].reason == "a test"
    assert [entry.of_charge for entry in november.entries if entry.kind == "correction"] == [True]


async def test_a_credit_that_is_put_right_is_no_charge(here: Months) -> None:
    before = (await drawn(here, NOVEMBER)).statement
    credit = next(entry for entry in before.entries if entry.kind == "credit")
    await here.record(FundsCorrected(here.ann.id, uuid4(), credit.event_id, "goodwill", MicroUsd(-5), "a typo"))
    after = (await drawn(here, NOVEMBER)).statement

    assert [entry.of_charge for entry in after.entries if entry.kind == "correction"] == [True, False]
    assert after.charges == before.charges


async def test_the_month_after_begins_where_it_ended(here: Months) -> None:
    await here.until(Instant(DECEMBER.begins))
    await here.ann.credit(5)
    december = (await drawn(here, DECEMBER)).statement

    assert (december.opening, december.closing) == (4_786_700, 4_786_705)


async def test_minutes_on_both_sides_of_a_months_end_are_in_the_month_in_which_they_were_recorded(
    here: Months,
) -> None:
    web = await here.vps("late")
    await here.until(Instant(NOVEMBER.ends - 1))
    await here.minutes(web, 1, 5)
    await here.until(NOVEMBER.ends)
    await here.minutes(web, 6, 7)
    for month, minutes in ((NOVEMBER, 5), (DECEMBER, 2)):
        charged = (await drawn(here, month)).statement.charged
        assert [line.minutes for line in charged if line.vps_id == web] == [minutes]


async def test_there_is_no_month_before_the_wallet(here: Months) -> None:
    statements = here.house.runtime.statements

    assert await statements.compute(here.ann.id, NOVEMBER.previous) is None
    assert await statements.compute(AccountId(here.plan_id), NOVEMBER) is None


async def test_a_statement_is_due_once_its_month_is_over_until_it_was_issued(here: Months) -> None:
    statements = here.house.runtime.statements
    bob = await here.house.register()
    await bob.credit(7)
    await here.until(Instant(NOVEMBER.ends + MINUTE))
    assert await statements.due(NOVEMBER, None, 10) == []
    due = [(account_id, NOVEMBER) for account_id in sorted([here.ann.id, bob.id])]
    assert await statements.due(DECEMBER, None, 10) == due
    assert await statements.due(DECEMBER, None, 1) == due[:1]

    assert await issue_due(here.house.runtime) == 2
    assert await statements.due(DECEMBER, None, 10) == []
    issued = await statements.issued(here.ann.id)
    assert [one.statement.month for one in issued] == ["2026-11"]
    assert (await drawn(here, NOVEMBER)).issued == issued[0]


async def test_a_statement_whose_numbers_contradict_each_other_keeps_no_other_from_being_issued(
    here: Months,
) -> None:
    statements = here.house.runtime.statements
    bob = await here.house.register()
    await bob.credit(7)
    await here.until(Instant(NOVEMBER.ends + MINUTE))
    assert len(await statements.due(DECEMBER, None, 10)) == 2
    await here.house.sql("UPDATE read_models.entry SET balance_after = 1 WHERE account_id = %s", [here.ann.id])

    assert await issue_due(here.house.runtime) == 1
    assert await statements.due(DECEMBER, None, 10) == [(here.ann.id, NOVEMBER)]
    assert len(await statements.issued(bob.id)) == 1


async def test_vpss_are_known_by_their_names(here: Months) -> None:
    vps_ids = {VpsId(line.vps_id) for line in (await drawn(here, NOVEMBER)).statement.charged}
    names = await here.house.runtime.statements.names(here.ann.id, vps_ids, NOVEMBER)

    assert sorted(names.values()) == ["mail", "web-01"]


async def test_a_statement_keeps_the_names_of_its_month_whatever_a_vps_is_called_later(here: Months) -> None:
    statements = here.house.runtime.statements
    vps_ids = {VpsId(line.vps_id) for line in (await drawn(here, NOVEMBER)).statement.charged}
    names = await statements.names(here.ann.id, vps_ids, NOVEMBER)
    (mail,) = [vps_id for vps_id, name in names.items() if name == "mail"]
    await here.rename(mail, "post")
    await here.until(Instant(NOVEMBER.ends + MINUTE))
    await here.rename(mail, "letters")

    assert await statements.names(here.ann.id, [mail], NOVEMBER) == {mail: "post"}
    assert await statements.names(here.ann.id, [mail], DECEMBER) == {mail: "letters"}
