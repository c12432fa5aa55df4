"""Payments over several real processes: told of fifty times or never, killed in between, disputed, paid again."""

import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from domain.books.postings import postings
from domain.compute.events import HostRegistered
from domain.events import Event
from domain.payments.events import PaymentReceived, StripeBalanceMoved, StripeEventApplied, StripeEventReceived
from domain.wallet.events import FundsAdded, FundsTaken, MinutesMetered, ReceivablePaid
from tests.browser import Browser
from tests.journeys.paying_processes import Payer, Ports, Processes, waiting
from tests.ports import free_port

pytestmark = pytest.mark.slow

TIMES = 50
SETTLED_S = 90.0
TEN_USD = 10_000_000


@pytest.fixture
def processes(database_url: str, owner_url: str, tmp_path: Path) -> Iterator[Processes]:
    (tmp_path / "home").mkdir()
    made = Processes(tmp_path, database_url, owner_url, Ports(free_port(), free_port(), free_port()))
    try:
        yield made
    except BaseException:
        print(made.log_tail())
        raise
    finally:
        made.close()


def test_one_payment_told_fifty_times_over_two_processes_one_of_them_killed_is_credited_once(
    processes: Processes,
) -> None:
    processes.start_stripe()
    processes.start_api(0)
    processes.start_api(1)
    ann = Payer(processes, "ann@example.com")
    ann.pay(10)
    told = processes.told()
    deliveries = [(event, number % 2) for event in told for number in range(TIMES)]
    random.Random(3).shuffle(deliveries)

    with ThreadPoolExecutor(16) as pool:
        answers = [pool.submit(processes.deliver, event, number) for event, number in deliveries]
        answers[4].result()
        processes.kill("api 1")
        answers[len(answers) // 3].result()
        processes.start_api(1)
        processes.kill("api 0")
        answers[len(answers) * 2 // 3].result()
        processes.start_api(0)
        statuses = [answer.result() for answer in answers]

    assert set(statuses) <= {200, None}, "Stripe is answered, or finds nobody there"
    assert statuses.count(None) > 0, "nobody was killed in between"
    assert statuses.count(200) > len(told)
    processes.start_work()
    _until(lambda: len(processes.events(StripeEventApplied)) == len(told), "everything that was told is applied")
    assert ann.balance(0) == ann.balance(1) == TEN_USD
    assert [event.amount for event in processes.events(FundsAdded)] == [TEN_USD]
    assert len(processes.events(PaymentReceived)) == 1
    assert len(processes.events(StripeEventReceived)) == len(told)
    _check_books(processes)


def test_a_payment_of_which_no_webhook_ever_tells_is_credited_by_the_sweep(processes: Processes) -> None:
    processes.start_stripe()
    processes.start_api(0)
    processes.start_work()
    ann = Payer(processes, "ann@example.com")
    ann.pay(10)
    _until(lambda: ann.balance() == TEN_USD, "the sweep finds the payment")
    processes.act("make-available")
    processes.act("pay-out")

    _until(lambda: _assets(processes).get("assets:bank") == TEN_USD - 590_000, "the payout is in the books")
    held = _assets(processes)
    assert {name: amount for name, amount in held.items() if amount} == {"assets:bank": TEN_USD - 590_000}
    _check_books(processes)


def test_what_goes_back_beyond_the_balance_freezes_the_account_until_it_is_paid(processes: Processes) -> None:
    processes.start_stripe(webhook=f"{processes.apis[0]}/api/billing/webhook")
    processes.start_api(0)
    processes.start_work()
    ann = Payer(processes, "ann@example.com")
    first, second = ann.pay(10), ann.pay(5)
    _until(lambda: ann.balance() == 15_000_000, "both payments are credited")
    plan = ann.ask("GET", "/api/pricing").json()[0]["id"]
    _until(lambda: len(processes.events(HostRegistered)) == 1, "there is a host with room")
    vps_id = ann.ask("POST", "/api/vps", {"name": "web", "plan_id": plan}).json()["id"]
    _until(lambda: ann.vps(vps_id)["state"] == "running", "the VPS runs")
    _until(lambda: ann.vps(vps_id)["metered_minutes"] >= 1, "a minute is paid")

    processes.act("refund", payment=first)
    _until(lambda: len(processes.events(FundsTaken)) == 1, "the refund of the dashboard is seen")
    assert ann.balance() > 0
    processes.act("open-dispute", payment=second)
    _until(lambda: ann.vps(vps_id)["state"] == "stopped", "the VPS of the frozen account is stopped")
    owed = sum(event.owed for event in processes.events(FundsTaken))
    assert owed == sum(line.amount for event in processes.events(MinutesMetered) for line in event.lines) > 0
    assert ann.balance() == 0
    assert ann.ask("POST", f"/api/vps/{vps_id}/start").json()["code"] == "account_frozen"

    ann.pay(50)
    _until(lambda: ann.balance() == 50_000_000 - owed, "the debt is paid first")
    assert [event.amount for event in processes.events(ReceivablePaid)] == [owed]
    assert ann.ask("POST", f"/api/vps/{vps_id}/start").status_code == 202
    _check_books(processes)


def test_somebody_pays_in_a_browser_and_the_balance_changes(processes: Processes) -> None:
    processes.have_own_stand_in()
    processes.start_all_in_one()
    ann = Payer(processes, "ann@example.com")
    url = ann.ask("POST", "/api/billing/add-funds", {"amount": 12.5}).json()["url"]
    assert url.startswith(f"{processes.apis[0]}/development/stripe/checkout/")
    assert ann.balance() == 0

    with Browser() as browser:
        page = browser.open(url)
        assert page.title == "Pay $12.50 · development checkout"
        page.click("Pay $12.50")
        page.wait_for("Thank you. Your balance changes within moments")
        assert page.complaints() == []

    _until(lambda: ann.balance() == 12_500_000, "the balance changes")
    _check_books(processes)


def test_processes_of_one_home_share_what_stands_in_for_stripe(processes: Processes) -> None:
    processes.have_own_stand_in()
    processes.start_api(0)
    processes.start_api(1)
    ann = Payer(processes, "ann@example.com")
    url = ann.ask("POST", "/api/billing/add-funds", {"amount": 5}).json()["url"]
    elsewhere = url.replace(processes.apis[0], processes.apis[1])
    assert httpx.post(elsewhere, data={"choice": "pay"}).status_code == httpx.codes.SEE_OTHER
    _until(lambda: ann.balance() == 5_000_000, "one of them tells of it, by its own webhook")

    processes.start_work()
    _until(lambda: len(processes.events(StripeBalanceMoved)) == 1, "who only works sweeps without any HTTP")
    _check_books(processes)


def _check_books(processes: Processes) -> None:
    """Postings of everything sum to zero, and the audit finds nothing."""
    assert sum(posting.amount for event in processes.events(Event) for posting in postings(event)) == 0
    verified = processes.run("audit", "verify")
    assert verified.returncode == 0, verified.stdout + verified.stderr


def _assets(processes: Processes) -> dict[str, int]:
    held: dict[str, int] = {}
    for event in processes.events(Event):
        for posting in postings(event):
            if posting.account.startswith("assets:"):
                held[posting.account] = held.get(posting.account, 0) + posting.amount
    return held


def _until(true: Callable[[], bool], what: str) -> None:
    for _ in waiting(SETTLED_S):
        if true():
            return
    raise AssertionError(f"never: {what}")
