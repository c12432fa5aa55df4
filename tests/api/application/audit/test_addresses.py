"""An audit finds an open account without its address, and a closed one that still keeps one."""

from uuid import UUID

import pytest

from domain.accounts.events import AccountClosed, AccountRegistered
from domain.ids import AccountId
from domain.time import Instant
from tests.api.application.audit.ledgers import OTHER, audited
from tests.domain.wallet.wallets import ACCOUNT

ANN = AccountId(ACCOUNT)
ADDRESSES = "every open account holds one e-mail address, and nobody else holds any"


def registered(account_id: AccountId) -> AccountRegistered:
    return AccountRegistered(account_id, "ann@example.com", "$argon2id$…")


def closed(account_id: AccountId) -> AccountClosed:
    return AccountClosed(account_id, Instant(1))


def test_an_open_account_with_one_address_is_sound() -> None:
    assert audited(registered(ANN), address_holders=(ANN,)) == {}


def test_a_closed_account_without_an_address_is_sound() -> None:
    assert audited(registered(ANN), closed(ANN)) == {}


def test_the_address_of_a_closed_account_may_be_another_accounts() -> None:
    assert audited(registered(ANN), closed(ANN), registered(OTHER), address_holders=(OTHER,)) == {}


@pytest.mark.parametrize(
    ("holders", "finding"),
    [
        ((), f"account {ANN} holds 0 addresses"),
        ((ANN, ANN), f"account {ANN} holds 2 addresses"),
    ],
)
def test_an_open_account_without_its_one_address_is_found(holders: tuple[UUID, ...], finding: str) -> None:
    assert audited(registered(ANN), address_holders=holders) == {ADDRESSES: [finding]}


@pytest.mark.parametrize("holders", [(ANN,), (ANN, ANN)])
def test_a_closed_account_that_still_holds_an_address_is_found(holders: tuple[UUID, ...]) -> None:
    found = audited(registered(ANN), closed(ANN), address_holders=holders)

    assert found == {ADDRESSES: [f"account {ANN} is closed and still holds {len(holders)} addresses"]}


def test_an_address_held_by_nobody_we_know_is_found() -> None:
    found = audited(registered(ANN), address_holders=(ANN, OTHER))

    assert found == {ADDRESSES: [f"{OTHER} holds an address and is no account"]}
