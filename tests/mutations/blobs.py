"""Mutations of what is kept beside the events: it is there first, is what its event tells of, and can be erased."""

from tests.mutations.mutation import Mutation

_DOMAIN = "tests/domain/test_blobs.py"
_CONTRACT = "tests/contracts/test_blobs.py"
_JOBS = "tests/api/application/test_jobs.py"

BLOBS: tuple[Mutation, ...] = (
    Mutation(
        "what is kept is what its event tells of",
        "domain/blobs.py",
        "    if digest_of(sealed) != blob.sha256:\n",
        "    if False:\n",
        f"{_DOMAIN} {_JOBS}",
    ),
    Mutation(
        "an event does not tell a digest of the text itself",
        "domain/blobs.py",
        "Blob(len(text.encode()), digest_of(kept.sealed))",
        "Blob(len(text.encode()), digest_of(text))",
        _DOMAIN,
    ),
    Mutation(
        "bytes make a text large",
        "domain/blobs.py",
        "len(text.encode()) > INLINE_BYTES_MAX",
        "len(text) > INLINE_BYTES_MAX",
        _DOMAIN,
    ),
    Mutation(
        "what a command reads is never in its event",
        "api/application/jobs.py",
        'jobs.texts_of(command), always=("stdin",)',
        "jobs.texts_of(command)",
        f"{_JOBS} -k beside_its_event",
    ),
    Mutation(
        "it is kept before its event",
        "api/application/repository.py",
        'await self._keep(decision.blobs)\n            fail_point(f"{context.step}:after-blobs")\n',
        'fail_point(f"{context.step}:after-blobs")\n',
        f"{_JOBS} -k beside_its_event",
    ),
    Mutation(
        "nothing is swept that an event tells of",
        "adapters/postgres/blobs.py",
        "EXISTS (SELECT FROM ledger.stream_head AS h WHERE h.stream = b.stream)",
        "false",
        _CONTRACT,
    ),
    Mutation(
        "what no event tells of yet is left for an hour",
        "adapters/postgres/blobs.py",
        " AND b.kept_at < clock_timestamp() - interval '1 hour'",
        "",
        _CONTRACT,
    ),
    Mutation(
        "what was kept once the key was gone is swept, whatever was recorded",
        "adapters/postgres/blobs.py",
        "k.account_id = b.account_id AND k.erased_at IS NOT NULL",
        "false",
        _CONTRACT,
    ),
    Mutation(
        "what an event tells of is there, however late the event came",
        "api/application/repository.py",
        "self._clock.now() - now > KEPT_AGAIN_AFTER",
        "False",
        f"{_JOBS} -k held_up",
    ),
    Mutation(
        "a command is told of without what it read",
        "api/application/exec.py",
        "command = await jobs.command_text(runtime.worker, job)",
        'command = (await jobs.input_texts(runtime.worker, job))["command"] or ""',
        "tests/api/http/test_exec.py",
    ),
    Mutation(
        "a command is seen not to be over once its input is read",
        "api/application/jobs.py",
        "                continue\n            if late:\n",
        "            if late:\n",
        f"{_JOBS} -k run_again",
    ),
    Mutation(
        "what is kept stays as it was",
        "adapters/postgres/blobs.py",
        "ON CONFLICT (stream, field) DO NOTHING",
        "ON CONFLICT (stream, field) DO UPDATE SET sealed = excluded.sealed",
        _CONTRACT,
    ),
    Mutation(
        "what is kept goes with its account",
        "adapters/postgres/leftovers.py",
        "            await connection.execute(_BLOBS, [account_id])\n",
        "",
        "tests/journeys/test_erasure.py",
    ),
    Mutation(
        "an audit finds what is not kept, or as another",
        "api/application/audit/blobs.py",
        "self.check.expect(holds, ",
        "self.check.expect(True, ",
        "tests/journeys/test_audit.py -k beside",
    ),
)
