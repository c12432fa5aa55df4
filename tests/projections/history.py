"""A history for tests: events put into a store as the service would record them."""

from collections import defaultdict
from uuid import UUID, uuid4

from adapters.sealing.key_tables import MemoryKeyTable
from adapters.sealing.master_key import MasterKey
from adapters.sealing.sealer import AccountSealer
from adapters.simulated.clock import ManualClock
from domain import ids
from domain.accounts.account import EMAIL_CLAIM
from domain.accounts.events import AccountRegistered, RolesSet, SshKeyAdded
from domain.alerts.events import AddressGiven, AddressVerified, AlertRaised, MailSent, VerificationRequested
from domain.blobs import Blobs, offload
from domain.codec import decode_metadata, encode
from domain.compute.events import (
    VpsDeleteRequested,
    VpsLaunched,
    VpsPlaced,
    VpsPrepared,
    VpsRequested,
    VpsRunning,
    VpsStopRequested,
)
from domain.events import Actor, Event, Metadata
from domain.exec.events import JobFinished, JobRequested
from domain.ids import AccountId, EventId, HostId, JobId, PaymentId, PlanId, RefundId, SshKeyId, StreamId, VpsId
from domain.money import MicroUsd, charge_for_minutes
from domain.payments.events import CheckoutRequested, PaymentReceived, RefundRequested, RefundSettled
from domain.ports import Append, Appended, Claim, EventStore, NewEvent
from domain.statements.events import StatementIssued
from domain.statements.month import month_of
from domain.time import MINUTE, Instant
from domain.wallet.events import (
    FundsAdded,
    FundsCorrected,
    FundsCredited,
    FundsTaken,
    MeterStarted,
    MinuteLine,
    MinutesMetered,
    VpsAdmitted,
    WalletOpened,
)
from domain.wallet.minutes import minute_claims

PLAN = PlanId(UUID(int=7))
HOST = HostId(UUID(int=9))
HOURLY = MicroUsd(4_200)


class History:
    """Records events one append after the other, and remembers the version of each stream."""

    def __init__(self, store: EventStore, sealer: AccountSealer | None = None, blobs: Blobs | None = None) -> None:
        self.store, self.blobs = store, blobs
        self.sealer = sealer or AccountSealer(MasterKey(bytes(32)), MemoryKeyTable())
        self.clock = ManualClock()
        self._versions: defaultdict[StreamId, int] = defaultdict(int)

    async def record(
        self, account_id: AccountId, *events: tuple[StreamId, Event], claims: tuple[Claim, ...] = ()
    ) -> Appended:
        """Record these events in one append, as done by the account itself."""
        await self.sealer.load([account_id], create=True)
        new = tuple(self._encoded(account_id, stream, event) for stream, event in events)
        minutes = tuple(claim for _, event in events for claim in minute_claims(event))
        return await self.store.append(Append(events=new, claims=claims, minutes=minutes))

    def _encoded(self, account_id: AccountId, stream: StreamId, event: Event) -> NewEvent:
        self._versions[stream] += 1
        actor = Actor(kind="account", id=account_id)
        metadata = Metadata(id=EventId(uuid4()), actor=actor, account_id=account_id, address="192.0.2.7")
        return encode(stream, self._versions[stream], event, metadata, self.clock.now(), self.sealer)

    async def registered(self, micros: int = 0, email: str = "ada@example.com") -> AccountId:
        """Record an account with a wallet, and funds in it."""
        account_id = AccountId(uuid4())
        wallet = ids.wallet_stream(account_id)
        events: list[tuple[StreamId, Event]] = [
            (
                ids.account_stream(account_id),
                AccountRegistered(account_id=account_id, email=email, password_hash="$argon2id$…"),
            ),
            (wallet, WalletOpened(account_id=account_id)),
        ]
        if micros:
            credit = FundsCredited(account_id=account_id, credit_id=uuid4(), amount=MicroUsd(micros), reason="a gift")
            events.append((wallet, credit))
        # Not the hash of the address, so that a test may use one address for many.
        claim = Claim(EMAIL_CLAIM, account_id.bytes, account_id)
        await self.record(account_id, *events, claims=(claim,))
        return account_id

    async def money_moved(self, account_id: AccountId) -> None:
        """Record a payment, half of it refunded, a correction of a credit, and last month's statement."""
        wallet, payment_id, refund_id = ids.wallet_stream(account_id), PaymentId(uuid4()), RefundId(uuid4())
        amount, half = MicroUsd(10_000_000), MicroUsd(5_000_000)
        payment = ids.payment_stream(payment_id)
        await self.record(
            account_id,
            (payment, CheckoutRequested(account_id, payment_id, amount, self.clock.now())),
            (payment, PaymentReceived(account_id, payment_id, "cs_1", "pi_1", "ch_1", amount)),
            (wallet, FundsAdded(account_id, payment_id, amount)),
        )
        await self.record(
            account_id,
            (wallet, FundsTaken(account_id, payment_id, "refund", str(refund_id), half, MicroUsd(0), MicroUsd(0))),
            (payment, RefundRequested(account_id, payment_id, refund_id, half, "requested")),
            (payment, RefundSettled(account_id, payment_id, str(refund_id), half)),
        )
        credit = FundsCredited(account_id, uuid4(), MicroUsd(2_000), "too much")
        await self.record(account_id, (wallet, credit))
        [*_, credited] = await self.store.read_streams([(wallet, 0)])
        corrects = decode_metadata(credited).id
        corrected = FundsCorrected(account_id, uuid4(), corrects, "goodwill", MicroUsd(-1_000), "a typo")
        await self.record(account_id, (wallet, corrected))
        month = month_of(credited.recorded_at).previous
        nothing = MicroUsd(0)
        issued = StatementIssued(
            account_id, str(month), f"{month}-000001", "LiteVPS", nothing, nothing, nothing, (), credited.position
        )
        await self.record(account_id, (ids.statements_stream(str(month)), issued))

    async def given_roles(self, account_id: AccountId, *roles: str) -> None:
        """Record the roles of an account."""
        event = RolesSet(account_id=account_id, roles=roles)  # type: ignore[arg-type]
        await self.record(account_id, (ids.account_stream(account_id), event))

    async def key_added(self, account_id: AccountId, name: str) -> None:
        """Record an SSH key."""
        event = SshKeyAdded(
            account_id=account_id,
            ssh_key_id=SshKeyId(uuid4()),
            name=name,
            public_key="ssh-ed25519 AAAA",
            fingerprint="SHA256:abc",
            at=self.clock.now(),
        )
        await self.record(account_id, (ids.ssh_keys_stream(account_id), event))

    async def vps_requested(self, account_id: AccountId, name: str = "web-01") -> VpsId:
        """Record a VPS that was asked for and admitted."""
        vps_id, now = VpsId(uuid4()), self.clock.now()
        requested = VpsRequested(
            vps_id=vps_id,
            account_id=account_id,
            name=name,
            plan_id=PLAN,
            vcpu=1,
            memory_mb=512,
            disk_gb=10,
            image="lite",
            ssh_key_ids=(),
            authorized_keys="",
            user_data=None,
            labels=None,
            token_id=None,
            created_at=now,
        )
        admitted = VpsAdmitted(
            account_id=account_id, vps_id=vps_id, generation=1, plan_id=PLAN, token_id=None, created_at=now
        )
        wallet = ids.wallet_stream(account_id)
        await self.record(account_id, (wallet, admitted), (ids.vps_stream(vps_id), requested))
        return vps_id

    async def vps_running(self, account_id: AccountId, vps_id: VpsId) -> None:
        """Record that a VPS was made, and first logged in to."""
        now, stream = self.clock.now(), ids.vps_stream(vps_id)
        await self.record(
            account_id,
            (stream, VpsPlaced(host_id=HOST, ssh_host="127.0.0.1", ssh_port=22_000, at=now)),
            (stream, VpsPrepared(host_key_public="ssh-ed25519 AAAA", at=now)),
            (stream, VpsLaunched(generation=1, start_id="boot/1", at=now)),
            (stream, VpsRunning(generation=1, start_id="boot/1", cpu_ns=1, at=now)),
            (ids.wallet_stream(account_id), MeterStarted(vps_id=vps_id, generation=1, at=now)),
        )

    async def vps_delete_requested(self, account_id: AccountId, vps_id: VpsId) -> None:
        """Record that a VPS is to go."""
        event = VpsDeleteRequested(generation=1, at=self.clock.now())
        await self.record(account_id, (ids.vps_stream(vps_id), event))

    async def alerted(self, account_id: AccountId, vps_id: VpsId) -> None:
        """Record an address that is verified, a stop that was told of, one that was not yet, and a mail that waits."""
        stream, now, notice_id = ids.alerts_stream(account_id), self.clock.now(), uuid4()
        stop = (ids.vps_stream(vps_id), VpsStopRequested("unpaid", 1, now))
        await self.record(
            account_id,
            (stream, AddressGiven(account_id, "ops@example.com")),
            (stream, VerificationRequested(account_id, notice_id, "digest", now, Instant(now + MINUTE))),
            (stream, MailSent(account_id, notice_id, now)),
            (stream, AddressVerified(account_id, notice_id)),
        )
        told = await self.record(account_id, stop)
        cause = (EventId(uuid4()), told.last_position)
        await self.record(account_id, (stream, AlertRaised(account_id, uuid4(), "vps-unpaid", *cause, now)), stop)

    async def minutes_metered(self, account_id: AccountId, vps_id: VpsId, n_from: int, n_to: int) -> MicroUsd:
        """Record paid minutes of a VPS; return what they cost."""
        amount = charge_for_minutes(HOURLY, n_from, n_to)
        at = Instant(self.clock.now() + (n_from - 1) * MINUTE)
        line = MinuteLine(vps_id, n_from, n_to, at, PLAN, 1, HOURLY, amount)
        event = MinutesMetered(account_id=account_id, lines=(line,))
        await self.record(account_id, (ids.wallet_stream(account_id), event))
        return amount

    async def job_requested(
        self, account_id: AccountId, vps_id: VpsId, command: str, stdin: str | None = None
    ) -> JobId:
        """Record a command that is to run; its input is kept beside it."""
        job_id = JobId(uuid4())
        await self.sealer.load([account_id], create=True)
        texts = {"command": command, "stdin": stdin}
        offloaded = offload(ids.job_stream(job_id), account_id, texts, self.sealer, always=("stdin",))
        if offloaded:
            assert self.blobs is not None, "a history with input is given a place for it"
            await self.blobs.keep([one.kept for one in offloaded.values()])
        told = {field: one.blob for field, one in offloaded.items()}
        event = JobRequested(
            job_id=job_id,
            account_id=account_id,
            vps_id=vps_id,
            token_id=None,
            generation=1,
            requested_at=self.clock.now(),
            command=told.get("command", command),
            timeout_seconds=30,
            background=False,
            stdin=told.get("stdin"),
        )
        await self.record(account_id, (ids.job_stream(job_id), event))
        return job_id

    async def job_finished(self, account_id: AccountId, vps_id: VpsId, job_id: JobId, exit_code: int) -> None:
        """Record that a command has ended."""
        event = JobFinished(
            job_id=job_id,
            account_id=account_id,
            vps_id=vps_id,
            end="done",
            exit_code=exit_code,
            duration_ms=142,
            stdout_bytes=6,
            stdout_sha256="00" * 32,
            stderr_bytes=0,
            stderr_sha256="11" * 32,
            truncated=False,
            at=self.clock.now(),
        )
        await self.record(account_id, (ids.job_stream(job_id), event))
