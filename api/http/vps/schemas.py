"""What requests about VPSs take and tell."""

from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from api.application.vps import VpsDetails, VpsQuote, VpsSpecification
from api.application.vps_queries import VpsListQuery
from api.http.pages import Cursor, Page, cursor_of
from api.http.pipeline.errors import STATUS
from api.http.rendering import (
    Amount,
    Balance,
    Micros,
    Required,
    Time,
    amount_number,
    balance_number,
    optional_amount,
    optional_time,
    required_number,
)
from domain import codec
from domain.compute.boot_script import SCRIPT_BYTES_MAX
from domain.compute.commands import ChangeVps
from domain.compute.egress import ALLOWED_MAX, NAME_CHARACTERS_MAX, Egress, WantedEgress
from domain.compute.labels import LABEL_CHARACTERS_MAX, LABELS_MAX
from domain.compute.status import StatusReason, status_reason, told_error
from domain.compute.ttl import TTL_MINUTES_MAX
from domain.compute.vps import Pending, State, UserDataState, Vps, egress_of, labels_of
from domain.errors import Invalid
from domain.events import personal_fields
from domain.ids import AccountId, PlanId, SshKeyId, TokenId, VpsId
from domain.money import ZERO
from domain.ports import Recorded
from domain.time import MINUTE, Instant, to_rfc3339

SSH_KEYS_MAX = 32

Label = Annotated[str, msgspec.Meta(max_length=LABEL_CHARACTERS_MAX)]
Size = Annotated[int, msgspec.Meta(ge=1, le=2**31)]
Minutes = Annotated[int, msgspec.Meta(ge=1, le=TTL_MINUTES_MAX)]
SSH_USER: Literal["root"] = "root"

VPS_EXAMPLE: dict[str, Any] = {
    "id": "01937b1e-5c00-7000-8000-000000000003",
    "name": "web-01",
    "state": "running",
    "status_reason": None,
    "pending": None,
    "plan_id": "01937b1e-5c00-7000-8000-0000000000aa",
    "template": None,
    "vcpu": 1,
    "memory_mb": 512,
    "disk_gb": 10,
    "price_hourly": 0.0042,
    "ip": None,
    "ssh_host": "203.0.113.7",
    "ssh_port": 22001,
    "ssh_user": "root",
    "ssh_host_key": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEXAMPLEHOSTKEYEXAMPLEHOSTKEYEXAMPLEHOSTKEYEX",
    "ssh_key_ids": ["01937b1e-5c00-7000-8000-000000000002"],
    "labels": {},
    "egress": "open",
    "created_at": "2026-11-23T17:00:00Z",
    "started_at": "2026-11-23T17:00:09.214Z",
    "expires_at": None,
    "user_data": None,
    "user_data_output": None,
    "metered_minutes": 3,
    "cost": 0.00021,
    "error": None,
}
CREATING_EXAMPLE = VPS_EXAMPLE | {
    "state": "creating",
    "status_reason": "scheduling",
    "ssh_host_key": None,
    "started_at": None,
    "metered_minutes": 0,
    "cost": 0,
}
QUOTE_EXAMPLE: dict[str, Any] = {
    "dry_run": True,
    "plan_id": "01937b1e-5c00-7000-8000-0000000000aa",
    "plan": "Nano",
    "price_hourly": 0.0042,
    "balance": 10.5,
    "balance_micros": 10_500_000,
    "required": 0.0042,
    "sufficient": True,
    "would_be": 201,
    "code": None,
    "error": None,
    "shortfall": 0,
    "owed": 0,
    "token_left": None,
    "token_required": None,
    "lasts_until": "2027-03-07T21:00:00Z",
    "lasts_minutes": 150_000,
}


class AllowedEgress(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a guest may reach, and nothing else."""

    allow: Annotated[
        tuple[Annotated[str, msgspec.Meta(max_length=NAME_CHARACTERS_MAX + 4)], ...],
        msgspec.Meta(
            max_length=ALLOWED_MAX,
            description="Host names, `*.` before one for all below it, and public networks of IPv4.",
        ),
    ]


EgressField = Annotated[
    Literal["open", "none"] | AllowedEgress,
    msgspec.Meta(
        description=(
            "What the guest may reach, where its host lets guests out: the internet, nothing, or a list:"
            ' `{"allow": ["example.org", "*.debian.org", "93.184.216.0/24"]}`, where `*.` is all below a name.'
            " It holds from the first packet on, and a change of it at once."
        )
    ),
]


class NewVps(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A VPS to be made. Without a plan, the cheapest that covers the sizes; sizes in MiB and GiB."""

    name: Annotated[str, msgspec.Meta(description="A host name label: `a-z`, `0-9`, `-` inside, at most 63.")]
    template: Annotated[
        str | None,
        msgspec.Meta(
            description=(
                "The name of a template, whose fields are the defaults of these; with `plan_id`, its sizes are not"
                " asked for. It also says which image is started; without one, that is `debian-12-lite`."
            )
        ),
    ] = None
    plan_id: Annotated[
        UUID | None,
        msgspec.Meta(description="A plan on offer, or it is a 400; null: the cheapest that covers the sizes."),
    ] = None
    ssh_key_ids: Annotated[
        tuple[UUID, ...], msgspec.Meta(max_length=SSH_KEYS_MAX, description="Of yours, which root logs in with.")
    ] = ()
    vcpu: Annotated[Size | None, msgspec.Meta(description="At least so many processors.")] = None
    memory_mb: Annotated[Size | None, msgspec.Meta(description="At least so much memory, MiB.")] = None
    disk_gb: Annotated[Size | None, msgspec.Meta(description="At least so much disk, GiB.")] = None
    user_data: Annotated[
        str | None,
        msgspec.Meta(
            description=(
                f"A script that runs in the guest once, at its first boot, as root. It begins with `#!` and the path of"
                f" its interpreter, its lines end in LF, and it has at most {SCRIPT_BYTES_MAX} bytes. With an image"
                f" that has cloud-init, it may be `#cloud-config` as well."
            )
        ),
    ] = None
    labels: Annotated[
        dict[Label, Label],
        msgspec.Meta(max_length=LABELS_MAX, description="Key and value. A key is not empty and has no `=`."),
    ] = {}
    ttl_minutes: Annotated[
        Minutes | UnsetType | None,
        msgspec.Meta(
            description="It is deleted so many minutes from now; null: not by itself. Left out: as its template says."
        ),
    ] = UNSET
    egress: EgressField = "open"

    def to_command(self) -> VpsSpecification:
        """Return what this asks for."""
        return VpsSpecification(
            name=self.name,
            template=self.template,
            plan_id=None if self.plan_id is None else PlanId(self.plan_id),
            ssh_key_ids=tuple(SshKeyId(id_) for id_ in self.ssh_key_ids),
            vcpu=self.vcpu,
            memory_mb=self.memory_mb,
            disk_gb=self.disk_gb,
            user_data=self.user_data,
            labels=self.labels,
            ttl_minutes=self.ttl_minutes,
            egress=_wanted(self.egress),
        )


class ChangedVps(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be otherwise; what is left out stays as it is."""

    name: Annotated[
        str | UnsetType,
        msgspec.Meta(description="A host name label, as at the creation; the guest has it from its next start on."),
    ] = UNSET
    labels: Annotated[
        Annotated[dict[Label, Label], msgspec.Meta(max_length=LABELS_MAX)] | UnsetType,
        msgspec.Meta(description="All labels that it is to have; those before are gone."),
    ] = UNSET
    ttl_minutes: Annotated[
        Minutes | UnsetType | None,
        msgspec.Meta(description="It is deleted so many minutes from now; null: not by itself any more."),
    ] = UNSET

    egress: EgressField | UnsetType = UNSET

    plan_id: Annotated[
        UUID | UnsetType,
        msgspec.Meta(
            description=(
                "A plan on offer, of a VPS that is stopped: its sizes and its price hold from the next start on. The"
                " disk may grow, and never shrinks. A minute that was paid for one plan covers no run of another."
            )
        ),
    ] = UNSET

    def to_command(self, vps_id: VpsId, account_id: AccountId, asked_by: TokenId | None) -> ChangeVps:
        """Return what this asks for."""
        return ChangeVps(
            vps_id=vps_id,
            account_id=account_id,
            name=self.name,
            labels=self.labels,
            egress=UNSET if self.egress is UNSET else _wanted(self.egress),
            ttl_minutes=self.ttl_minutes,
            plan_id=UNSET if self.plan_id is UNSET else PlanId(self.plan_id),
            asked_by=asked_by,
        )


class VpsQuery(Page, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which VPSs are wanted."""

    state: Literal["creating", "running", "stopped", "error"] | None = None
    name: str | None = None
    label: Annotated[str, msgspec.Meta(description="``key`` or ``key=value``; the first `=` ends the key.")] | None = (
        None
    )

    def to_query(self) -> VpsListQuery:
        """Return which part of the list this asks for. Raises Invalid."""
        cursor = cursor_of(self)
        place = None if cursor is None else _place(cursor)
        return VpsListQuery(
            state=self.state,
            matches=None if self.name is None and self.label is None else self._matches,
            limit=self.limit,
            offset=self.offset,
            before=place if cursor is not None and cursor.side == "before" else None,
            after=place if cursor is not None and cursor.side == "after" else None,
        )

    def _matches(self, vps: Vps) -> bool:
        if self.name is not None and vps.name != self.name:
            return False
        if self.label is None:
            return True
        key, equals, value = self.label.partition("=")
        labels = labels_of(vps)
        return key in labels and (not equals or labels[key] == value)


class DryRun(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whether it is meant."""

    dry_run: Annotated[
        bool, msgspec.Meta(description="``true``: only tell what it would come to; nothing is done or recorded.")
    ] = False


class VpsResponse(msgspec.Struct, frozen=True, kw_only=True):
    """A VPS; sizes in MiB and GiB."""

    id: UUID
    name: str
    state: State
    status_reason: StatusReason | None
    """Why it is in this state, as a stable word; null where it just runs."""
    pending: Pending | None
    plan_id: UUID
    template: str | None
    vcpu: int
    memory_mb: int
    disk_gb: int
    price_hourly: Amount
    ip: str | None
    """An address of its own; without one, it is reached by ``ssh_host`` and ``ssh_port``."""
    ssh_host: str | None
    ssh_port: int | None
    """Of the VPS while it is on; null while it is off, for the port may lead to another one by then."""
    ssh_user: str
    ssh_host_key: str | None
    ssh_key_ids: tuple[UUID, ...]
    labels: dict[str, str]
    egress: Literal["open", "none"] | AllowedEgress
    created_at: Time
    started_at: Time | None
    expires_at: Time | None
    user_data: UserDataState | None
    """How the user data that it was given has ended, as its guest tells; null where it was given none."""
    user_data_output: str | None
    """The last lines of what came of it, once it has ended."""
    metered_minutes: int
    cost: Amount
    error: str | None
    """Where ``state`` is ``error``: the cause, and what its owner can do about it."""

    @classmethod
    def of(cls, details: VpsDetails) -> "VpsResponse":
        """Return a VPS as its owner is told of it."""
        vps, meter = details.vps, details.meter
        return cls(
            id=vps.vps_id,
            name=vps.name,
            state=vps.state,
            status_reason=status_reason(vps),
            pending=vps.pending,
            plan_id=vps.plan_id,
            template=vps.template,
            vcpu=vps.vcpu,
            memory_mb=vps.memory_mb,
            disk_gb=vps.disk_gb,
            price_hourly=amount_number(details.price_hourly),
            ip=None,
            ssh_host=vps.ssh_host if vps.reachable else None,
            ssh_port=vps.ssh_port if vps.reachable else None,
            ssh_user=SSH_USER,
            ssh_host_key=vps.host_key_public,
            ssh_key_ids=vps.ssh_key_ids,
            labels=labels_of(vps),
            egress=_egress(egress_of(vps)),
            created_at=to_rfc3339(vps.created_at),
            started_at=optional_time(vps.started_at),
            user_data=vps.user_data_state,
            user_data_output=vps.user_data_output,
            expires_at=optional_time(vps.expires_at),
            metered_minutes=meter.paid_n if meter else 0,
            cost=amount_number(meter.paid if meter else ZERO),
            error=told_error(vps),
        )


class VpsEventResponse(msgspec.Struct, frozen=True):
    """Something that was recorded of a VPS."""

    position: int
    event: str
    at: Time
    by: str
    """Who acted: ``account``, ``token``, ``operator`` or ``service``."""
    facts: dict[str, Any]

    @classmethod
    def of(cls, recorded: Recorded) -> "VpsEventResponse":
        """Return an event of a VPS as it is told; what is personal is left out."""
        event = codec.decode(recorded)
        facts = msgspec.to_builtins(event)
        hidden = {"type", "account_id", "vps_id", *personal_fields(type(event))}
        return cls(
            position=recorded.position,
            event=recorded.type,
            at=to_rfc3339(recorded.happened_at),
            by=codec.decode_metadata(recorded).actor.kind,
            facts={name: _readable(name, fact) for name, fact in facts.items() if name not in hidden},
        )


class QuoteResponse(msgspec.Struct, frozen=True, kw_only=True):
    """What a request would come to; nothing was done."""

    dry_run: Literal[True] = True
    plan_id: UUID
    plan: str
    """Its name."""
    price_hourly: Amount
    balance: Balance
    balance_micros: Micros
    required: Required
    """What the account's balance must be: an hour of this VPS and of each that is on; rounded up."""
    sufficient: bool
    would_be: int
    """The status of the real answer."""
    code: str | None
    """Of the refusal that it would be."""
    error: str | None
    shortfall: Amount
    """What has to be paid in for the account: what it owes, and what the balance then lacks. No funds mend a limit."""
    owed: Amount
    """What the account owes, which is why it is frozen; it is part of the shortfall."""
    token_left: Amount | None
    """What is left of the limit of the token that the VPS counts against; null where it has none."""
    token_required: Amount | None
    """What must be left of it: an hour of this VPS and of each of that token that is on."""
    lasts_until: Time | None
    """When the balance will not cover a minute any more, with this VPS and all others that are on."""
    lasts_minutes: int | None
    """The same as whole minutes from now on."""

    @classmethod
    def of(cls, quoted: VpsQuote, accepted: int) -> "QuoteResponse":
        """Return a quote as it is told; ``accepted``: the status where something would change."""
        made, wallet = quoted.quote, quoted.wallet
        refusal = made.refusal
        would_be = STATUS[type(refusal)] if refusal is not None else accepted if made.changes else 200
        return cls(
            plan_id=quoted.plan.id,
            plan=quoted.plan.name,
            price_hourly=amount_number(made.price_hourly),
            balance=balance_number(wallet.balance),
            balance_micros=wallet.balance,
            required=required_number(made.required),
            sufficient=refusal is None,
            would_be=would_be,
            code=None if refusal is None else refusal.code,
            error=None if refusal is None else refusal.sentence,
            shortfall=amount_number(made.shortfall),
            owed=amount_number(made.owed),
            token_left=optional_amount(made.token_left),
            token_required=optional_amount(made.token_required),
            lasts_until=optional_time(made.lasts_until),
            lasts_minutes=None if made.lasts_until is None else max(0, made.lasts_until - quoted.at) // MINUTE,
        )


def _wanted(egress: Literal["open", "none"] | AllowedEgress) -> WantedEgress:
    return egress.allow if isinstance(egress, AllowedEgress) else egress


def _egress(policy: Egress) -> Literal["open", "none"] | AllowedEgress:
    return AllowedEgress(allow=(*policy.names, *policy.networks)) if policy.mode == "allow" else policy.mode


def _readable(name: str, fact: object) -> object:
    is_instant = isinstance(fact, int) and (name in ("at", "since") or name.endswith("_at"))
    return to_rfc3339(Instant(int(str(fact)))) if is_instant else fact


def _place(cursor: Cursor) -> int:
    if not (cursor.key.isdecimal() and len(cursor.key) <= 18):
        raise Invalid(fields={"cursor": "is none of this list"})
    return int(cursor.key)
