"""Events in the shapes that earlier releases stored, and in today's, to the byte: recorded history is read for ever."""

from adapters.sealing.sealer import AccountSealer
from domain import codec
from domain.blobs import Blob
from domain.codec import decode, decode_metadata, encode, misplaced_fields
from domain.compute.events import HostRegistered, VpsDeleteRequested, VpsRequested
from domain.exec.events import JobRequested
from domain.ids import HostId, JobId, VpsId
from domain.wallet.events import MeterStarted
from tests.domain.conftest import ALICE
from tests.domain.test_codec import (
    BOB,
    EVENT,
    FIRST_METADATA_OF_ALICE,
    NOW,
    OF_ALICE,
    PLAIN,
    ROOM,
    recorded,
    stored,
)

# Golden: written once, by the release that first stored them. If one of these tests fails, history would be lost.
FIRST_METER_STARTED = (
    '{"type":"wallet.meter-started.v1","vps_id":"018f0000-0000-7000-8000-00000000000a","generation":2,'
    '"at":1700000000000000}'
)
SECOND_METER_STARTED = (
    '{"type":"wallet.meter-started.v2","vps_id":"018f0000-0000-7000-8000-00000000000a","generation":2,'
    '"at":1700000000000000,"host_id":"018f0000-0000-7000-8000-00000000000c","start_id":"boot/1"}'
)
FIRST_HOST_REGISTERED = (
    '{"type":"compute.host-registered.v1","host_id":"018f0000-0000-7000-8000-00000000000c","name":"host-1",'
    '"ssh_host":"127.0.0.1","port_from":22000,"port_to":22999,"memory_mb":2048}'
)


FIRST_VPS_REQUESTED = (
    '{"type":"compute.vps-requested.v1","vps_id":"018f0000-0000-7000-8000-00000000000c",'
    '"account_id":"018f0000-0000-7000-8000-00000000000a","name":"web",'
    '"plan_id":"018f0000-0000-7000-8000-00000000000b","vcpu":1,"memory_mb":256,"disk_gb":5,"image":"lite",'
    '"ssh_key_ids":[],"authorized_keys":"","user_data":"#!/bin/sh\\ntrue\\n","labels":null,"token_id":null,'
    '"created_at":1700000000000000}'
)
FIRST_JOB_REQUESTED = (
    '{"type":"exec.job-requested.v1","job_id":"018f0000-0000-7000-8000-00000000000c",'
    '"account_id":"018f0000-0000-7000-8000-00000000000a","vps_id":"018f0000-0000-7000-8000-00000000000b",'
    '"token_id":null,"generation":1,"requested_at":1700000000000000,"command":"SEALED","timeout_seconds":30,'
    '"background":false,"cwd":null,"env":null,"stdin":"SEALED","user":null}'
)
SECOND_JOB_REQUESTED = (
    '{"type":"exec.job-requested.v2","job_id":"018f0000-0000-7000-8000-00000000000c",'
    '"account_id":"018f0000-0000-7000-8000-00000000000a","vps_id":"018f0000-0000-7000-8000-00000000000b",'
    '"token_id":null,"generation":1,"requested_at":1700000000000000,'
    '"command":{"size_bytes":5000,"sha256":"c0ffee"},"timeout_seconds":30,'
    '"background":false,"cwd":null,"env":null,"stdin":{"size_bytes":7,"sha256":"c0ffee"},"user":null}'
)


FIRST_VPS_DELETE_REQUESTED = '{"type":"compute.vps-delete-requested.v1","generation":2,"at":1700000000000000}'
SECOND_VPS_DELETE_REQUESTED = (
    '{"type":"compute.vps-delete-requested.v2","generation":2,"at":1700000000000000,"reason":"ttl"}'
)


def test_a_vps_that_was_to_go_before_it_was_told_why_was_asked_to_by_its_owner() -> None:
    requested = decode(stored("compute.vps-delete-requested.v1", FIRST_VPS_DELETE_REQUESTED))

    assert requested == VpsDeleteRequested(2, NOW, "requested")


def test_why_a_vps_is_to_go_is_told_in_the_same_bytes_as_at_first(sealer: AccountSealer) -> None:
    requested = VpsDeleteRequested(2, NOW, "ttl")

    new = encode(ROOM, 1, requested, PLAIN, NOW, sealer)

    assert (new.type, new.payload) == ("compute.vps-delete-requested.v2", SECOND_VPS_DELETE_REQUESTED)
    assert decode(recorded(new)) == requested


def test_a_meter_that_was_started_before_it_told_its_host_leaves_it_open() -> None:
    started = decode(stored("wallet.meter-started.v1", FIRST_METER_STARTED))

    assert started == MeterStarted(VpsId(ALICE), 2, NOW, host_id=None, start_id=None)


def test_a_host_that_was_registered_before_it_told_its_processors_and_disk_leaves_them_open() -> None:
    registered = decode(stored("compute.host-registered.v1", FIRST_HOST_REGISTERED))

    assert registered == HostRegistered(
        HostId(ROOM), "host-1", "127.0.0.1", 22_000, 22_999, 2_048, vcpu=None, disk_gb=None
    )


def test_a_vps_that_was_asked_for_before_scripts_could_stand_beside_the_event_has_its_script_in_it() -> None:
    requested = decode(stored("compute.vps-requested.v1", FIRST_VPS_REQUESTED))

    assert isinstance(requested, VpsRequested)
    assert (requested.name, requested.user_data) == ("web", "#!/bin/sh\ntrue\n")


def test_a_command_that_was_asked_for_before_its_input_stood_beside_the_event_has_it_in_it(
    sealer: AccountSealer,
) -> None:
    payload = FIRST_JOB_REQUESTED
    for field in ("command", "stdin"):
        sealed = sealer.seal(ALICE, EVENT, field, f"its {field}")
        payload = payload.replace("SEALED", sealed, 1)

    requested = decode(stored("exec.job-requested.v1", payload, FIRST_METADATA_OF_ALICE), sealer)

    assert isinstance(requested, JobRequested)
    assert (requested.command, requested.stdin, requested.env) == ("its command", "its stdin", None)


def test_a_command_whose_texts_are_kept_beside_it_is_stored_in_the_same_bytes_as_at_first(
    sealer: AccountSealer,
) -> None:
    command, stdin = Blob(5_000, "c0ffee"), Blob(7, "c0ffee")
    requested = JobRequested(JobId(ROOM), ALICE, VpsId(BOB), None, 1, NOW, command, 30, False, stdin=stdin)

    new = recorded(encode(ROOM, 1, requested, OF_ALICE, NOW, sealer))

    assert (new.type, new.payload) == ("exec.job-requested.v2", SECOND_JOB_REQUESTED)
    assert decode(new, sealer) == requested == decode(new)
    assert list(codec.blobs_of(requested)) == [("command", command), ("stdin", stdin)]
    assert list(misplaced_fields(decode(new), decode_metadata(new))) == []


def test_a_meter_tells_where_its_vps_runs_in_the_same_bytes_as_at_first(sealer: AccountSealer) -> None:
    started = MeterStarted(VpsId(ALICE), 2, NOW, HostId(ROOM), "boot/1")

    new = encode(ROOM, 1, started, PLAIN, NOW, sealer)

    assert (new.type, new.payload) == ("wallet.meter-started.v2", SECOND_METER_STARTED)
    assert decode(recorded(new)) == started
