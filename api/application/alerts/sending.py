"""Sending: each mail that is due is handed over, and what came of it is recorded."""

from collections.abc import Callable, Sequence
from uuid import UUID

import structlog

from api.application.alerts.texts import MailContext, account_name, alert_mail, code_mail
from api.application.fail_points import fail_point
from api.application.queues import Queue
from api.application.repository import CommandContext
from api.application.runtime import Runtime
from domain.accounts.account import Account, account_ref
from domain.alerts import sending
from domain.alerts.alerts import Alerts, Notice, alerts_ref
from domain.alerts.codes import OWN_CODES, code_under
from domain.alerts.ports import Mail, Mailer, MailRefused, MailUnavailable
from domain.compute.vps import vps_ref
from domain.deciding import Decision
from domain.events import Actor
from domain.ids import AccountId, VpsId
from domain.ports import StoreFailed
from domain.pricing.price_book import PRICES
from domain.time import Instant
from domain.wallet.forecast import exhausts_at
from domain.wallet.wallet import wallet_ref

AT_ONCE_MAX = 8
LEASE_S = 90.0
"""Longer than any mailer tries; as long after a crash a mail is left alone that may or may not have been sent."""
LEASE_SCOPE = "mail"

_log = structlog.get_logger(__name__)

Record = Callable[[Alerts, Instant], Decision]


async def send_due(runtime: Runtime) -> int:
    """Send every mail whose time has come; return how many. Without a mail server they wait.

    A mail is sent at least once, and with its lease normally just once, however many processes send.
    """
    mailer = runtime.mailer
    if mailer is None:
        return 0

    async def waiting(after: tuple[AccountId, UUID] | None, limit: int) -> Sequence[tuple[AccountId, UUID]]:
        return await runtime.alert_work.due_mails(runtime.clock.now(), None if after is None else after[1], limit)

    async def send(mail: tuple[AccountId, UUID]) -> bool:
        return await _send(runtime, mailer, *mail)

    queue = Queue(
        LEASE_SCOPE,
        runtime.worker.leases,
        waiting,
        send,
        lease_key=lambda mail: mail[1],
        lease_s=LEASE_S,
        at_once_max=AT_ONCE_MAX,
    )
    return await queue.work_off()


async def _send(runtime: Runtime, mailer: Mailer, account_id: AccountId, notice_id: UUID) -> bool:
    ref, owner, now = alerts_ref(account_id), account_ref(account_id), runtime.clock.now()
    loaded = await runtime.aggregates.load(ref, owner)
    alerts, account = loaded.of(ref), loaded.of(owner)
    notice = sending.due_notice(alerts, notice_id, now)
    if notice is None:
        return False  # The read model was a moment behind.

    async def record(decide: Record) -> None:
        context = CommandContext(actor=Actor("service", part="alerts"), account_id=account_id, step="mail-end")
        await runtime.aggregates.execute((ref,), lambda loaded, at: decide(loaded.of(ref), at), context)

    if sending.is_stale(account, alerts, notice, now):
        await record(lambda seen, at: sending.given_up(seen, account_id, notice_id, "stale", "", at))
        return False
    try:
        mail = await _mail_of(runtime, account, alerts, notice)
        fail_point("mail:before-server")
        await mailer.send(mail)
        fail_point("mail:after-server")
    except MailUnavailable as away:
        reason = str(away)
        _log.warning("mail waits", notice_id=str(notice_id), attempts=notice.attempts + 1)
        await record(lambda seen, at: sending.failed(seen, account_id, notice_id, reason, at))
        return False
    except MailRefused as refused:
        reason = str(refused)
        _log.warning("mail refused", notice_id=str(notice_id))
        await record(lambda seen, at: sending.given_up(seen, account_id, notice_id, "refused", reason, at))
        return False
    except StoreFailed:
        raise
    except Exception as problem:  # noqa: BLE001 Whatever it is, it counts as a try, with its pause and its end.
        _log.exception("mail not made", notice_id=str(notice_id))
        reason = type(problem).__name__
        await record(lambda seen, at: sending.failed(seen, account_id, notice_id, reason, at))
        return False
    await record(lambda seen, at: sending.sent(seen, account_id, notice_id, at))
    return True


async def _mail_of(runtime: Runtime, account: Account, alerts: Alerts, notice: Notice) -> Mail:
    url = runtime.settings.url
    if notice.kind == "alert":
        assert alerts.email is not None, "without an address there are no such notices"
        return alert_mail(notice, alerts.email, url, await _mail_context(runtime, account, notice))
    to = account.email if notice.kind in OWN_CODES else alerts.email
    assert to is not None, "without an address no code is mailed to it"
    code = code_under(runtime.sealer, notice.kind, notice.id)
    return code_mail(notice, to, url, code, alerts.codes[notice.kind].expires_at)


async def _mail_context(runtime: Runtime, account: Account, notice: Notice) -> MailContext:
    vps_ids = {alert.vps_id for alert in notice.alerts if alert.vps_id is not None}
    assert account.id is not None, "nobody else is told of anything"
    wallet, now = wallet_ref(account.id), runtime.clock.now()
    loaded = await runtime.aggregates.load(wallet, PRICES)
    return MailContext(
        account=account_name(account.id, account.email),
        names=await _names(runtime, vps_ids),
        now=now,
        lasts_until=exhausts_at(loaded.of(wallet), loaded.of(PRICES), now),
    )


async def _names(runtime: Runtime, vps_ids: set[VpsId]) -> dict[VpsId, str]:
    refs = {vps_id: vps_ref(vps_id) for vps_id in vps_ids}
    loaded = await runtime.aggregates.load(*refs.values())
    return {vps_id: vps.name for vps_id, ref in refs.items() if (vps := loaded.of(ref)) is not None}
