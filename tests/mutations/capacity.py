"""Mutations of capacity: no host promises more than it has, what is off holds nothing, and accounts have limits."""

from tests.mutations.mutation import Mutation

_DOMAIN = "tests/domain/compute/test_capacity.py"
_OUTCOMES = "tests/domain/compute"
_API = "tests/api/application/test_capacity.py"
_LOST = "tests/api/workers/test_lost_hosts.py"
_HTTP = "tests/api/http/test_capacity.py"
_SNAPSHOTS = "tests/domain/compute/test_snapshots.py"
_LIMITS = "tests/domain/wallet/test_vps_limits.py"
_CAPACITY = "domain/compute/capacity.py"
_WALLET = "domain/wallet/vps_limits.py"

CAPACITY: tuple[Mutation, ...] = (
    Mutation(
        "memory that a host has",
        _CAPACITY,
        "return _within(memory_mb, self.host.memory_mb) and ",
        "return ",
        _DOMAIN,
    ),
    Mutation("processors that a host has", _CAPACITY, " and _within(vcpu, self.vcpu)", "", _DOMAIN),
    Mutation("disk that a host has", _CAPACITY, " and room.has_disk_for(sizes)]", "]", _DOMAIN),
    Mutation(
        "a drained host takes nothing new",
        _CAPACITY,
        "return self.is_for(plan) and not self.reserved.drained",
        "return self.is_for(plan)",
        _DOMAIN,
    ),
    Mutation(
        "a drain outlives what is reserved beside it",
        _CAPACITY,
        "    return msgspec.structs.replace(\n        reserved,\n        by_vps=by_vps,",
        "    return Reservations(\n        by_vps=by_vps,",
        _DOMAIN,
    ),
    Mutation(
        "a host that is for some plans takes no others",
        "domain/compute/admission.py",
        "capacity.reserve(rooms, command, 1, book.plan(command.plan_id).name)",
        "capacity.reserve(rooms, command, 1)",
        "tests/domain/compute/test_admission.py",
    ),
    Mutation(
        "nothing is started on a host that is lost",
        _CAPACITY,
        "if room is None or room.host.lost_at is not None or not",
        "if room is None or not",
        _LOST,
    ),
    Mutation(
        "a host that another service sees is not lost",
        "domain/compute/host.py",
        "since = max(silent_since, host.observed_at or silent_since)",
        "since = silent_since",
        _LOST,
    ),
    Mutation(
        "a look waits for no host that hangs",
        "api/workers/reconciler.py",
        "await asyncio.wait(looks, timeout=self._look_s)",
        "await asyncio.wait(looks, timeout=30)",
        _LOST,
    ),
    Mutation(
        "an old answer brings no host back",
        "domain/compute/host.py",
        "if host.lost_at is not None and seen.collected_at > host.lost_at:",
        "if host.lost_at is not None:",
        "tests/domain/compute/test_host.py",
    ),
    Mutation("a port leads to one VPS", _CAPACITY, "taken.get(preferred, vps_id) == vps_id", "True", _DOMAIN),
    Mutation(
        "a start needs room",
        _CAPACITY,
        "if room is None or room.host.lost_at is not None or not room.has_power_for(sizes):",
        "if room is None:",
        _DOMAIN,
    ),
    Mutation(
        "the reservation is in the append of the admission",
        "domain/compute/admission.py",
        "return Decision(events=(reserved, *decision.events))",
        "return decision",
        _API,
    ),
    Mutation(
        "a VPS is resized to no plan that its host is not for",
        "domain/compute/changing.py",
        "        check_plan(rooms, vps.host_id, plan.name)\n",
        "        pass\n",
        "tests/domain/compute/test_changing.py",
    ),
    Mutation(
        "a VPS is changed so often an hour",
        "domain/compute/change_limit.py",
        "changed + count > CHANGES_PER_HOUR_MAX",
        "False",
        "tests/domain/compute/test_change_limit.py",
    ),
    Mutation(
        "snapshots count against the account's disk",
        _WALLET,
        ".disk_gb + meter.snapshots_gb for",
        ".disk_gb for",
        _SNAPSHOTS,
    ),
    Mutation(
        "what snapshots count outlives a start",
        "domain/wallet/meter.py",
        "snapshots_gb=before.snapshots_gb if before else 0,",
        "",
        _SNAPSHOTS,
    ),
    Mutation(
        "a snapshot needs disk of its host",
        _CAPACITY,
        "if room is None or held is None or not _within(room.reserved.disk_gb + disk_gb, room.disk_gb):",
        "if room is None or held is None:",
        _SNAPSHOTS,
    ),
    Mutation(
        "a start keeps what snapshots hold",
        _CAPACITY,
        "msgspec.structs.replace(place.event, disk_gb=held.disk_gb)",
        "place.event",
        _SNAPSHOTS,
    ),
    Mutation(
        "a VPS has so many snapshots",
        "domain/compute/snapshots.py",
        "if len(vps.snapshots) >= snapshots_max:",
        "if False:",
        _SNAPSHOTS,
    ),
    Mutation(
        "a restore of what runs is admitted",
        "domain/compute/snapshots.py",
        "        admit(_folded(",
        "        (_folded(",
        _SNAPSHOTS,
    ),
    Mutation(
        "what is being restored takes no commands",
        "domain/compute/vps.py",
        "self.wanted_on and self.restoring is None and not self.gone",
        "self.wanted_on and not self.gone",
        _SNAPSHOTS,
    ),
    Mutation(
        "a late worker restores nothing of a later start",
        "adapters/simulated/hypervisor.py",
        "if guest.generation > generation:",
        "if False:",
        "tests/contracts/test_hypervisor.py",
    ),
    Mutation(
        "what is off holds no memory",
        "domain/compute/outcomes.py",
        "return _with_release(decision, vps, reserved, removed=False)",
        "return decision",
        _API,
    ),
    Mutation(
        "nothing is freed on absence alone",
        "domain/compute/outcomes.py",
        "    if shown_off:\n        decision",
        "    if True:\n        decision",
        _OUTCOMES,
    ),
    Mutation(
        "an absent guest is watched for the grace",
        "api/workers/reconciler.py",
        "if seen.collected_at - since < seconds(self._orphan_grace_s):\n                        continue",
        "if seen.collected_at - since < 0:\n                        continue",
        _API,
    ),
    Mutation(
        "a late release looks at what is wanted now",
        "domain/compute/outcomes.py",
        'if vps is None or not (vps.power == "off" and not vps.wanted_on) or collected_at <= vps.changed_at:',
        "if vps is None:",
        _API,
    ),
    Mutation(
        "VPSs that were there before are counted",
        "api/application/capacity.py",
        "    await adopt(worker, wanted.host_id, await worker.work.vpss_on(wanted.host_id))\n",
        "",
        _API,
    ),
    Mutation(
        "no port is told of what is off",
        "domain/compute/vps.py",
        'return self.power != "off"',
        "return True",
        _HTTP,
    ),
    Mutation("VPSs an account", _WALLET, "if len(kept) >= limits.vps_max:", "if False:", _LIMITS),
    Mutation("disk an account", _WALLET, "if kept_gb + disk_gb > limits.vps_disk_gb_max:", "if False:", _LIMITS),
    Mutation("deleted VPSs free the limit", _WALLET, " if not meter.deleted]", "]", _LIMITS),
    Mutation(
        "limits are checked at a create",
        "domain/compute/admission.py",
        "    check_vps_limits(wallet, book, limits, command.disk_gb)\n",
        "",
        _HTTP,
    ),
)
