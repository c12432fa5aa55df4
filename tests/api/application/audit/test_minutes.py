"""An audit finds minutes that cannot have been: each of these ledgers is wrong in one way, and seen red for it."""

import msgspec

from domain.ids import AccountId
from domain.time import MINUTE, Instant
from domain.wallet.events import MinutesMetered, MinutesWaived
from tests.api.application.audit.ledgers import audited, minute, opened
from tests.api.application.audit.test_money import MINUTES, credit
from tests.domain.wallet.wallets import ACCOUNT

ACCOUNT_ID = AccountId(ACCOUNT)


def test_a_minute_that_begins_while_a_paid_one_lasts_is_found() -> None:
    def begun(n: int, at: int) -> MinutesMetered:
        (line,) = minute(n).lines
        return MinutesMetered(ACCOUNT_ID, (msgspec.structs.replace(line, at=Instant(at)),))

    beginning = (opened(), credit(210), minute(1))

    assert audited(*beginning, begun(2, MINUTE)) == {}
    assert MINUTES in audited(*beginning, begun(2, MINUTE - 1))
    # A waived one covers nothing: the next may begin before it would have been over, and never before a paid one is.
    waived = MinutesWaived(ACCOUNT_ID, "unproven", begun(2, MINUTE).lines)
    assert audited(*beginning, waived, begun(3, MINUTE + 1)) == {}
    assert MINUTES in audited(*beginning, waived, begun(3, MINUTE - 1))
