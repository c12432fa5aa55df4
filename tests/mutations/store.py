"""Mutations of what the ledger and its store rely on: turns at streams, what its errors mean, work that ends."""

from tests.mutations.mutation import Mutation

STORE: tuple[Mutation, ...] = (
    Mutation(
        "a turn is waited for at every stream that is recorded in",
        "api/ledger.py",
        "streams = frozenset(stream for stream, _ in decision.events)",
        "streams = frozenset(stream for stream, _ in decision.events[:1])",
        "tests/api/test_ledger.py",
    ),
    Mutation(
        "streams are taken in one order",
        "api/stream_locks.py",
        "for stream in sorted(set(streams)):",
        "for stream in streams:",
        "tests/api/test_stream_locks.py",
    ),
    Mutation(
        "whoever comes last waits behind those who wait",
        "api/ledger.py",
        "if wanted := self._locks.contended([view.stream for view in views]):",
        "if wanted := self._locks.contended([]):",
        "tests/api/test_ledger.py",
    ),
    Mutation(
        "a database that lacks room or time is not away",
        "domain/store_failures.py",
        "if not is_connected or sqlstate.startswith((CONNECTION_CLASS, SHUTDOWN)):",
        'if not is_connected or sqlstate.startswith((CONNECTION_CLASS, "53", "57", SHUTDOWN)):',
        "tests/adapters/postgres/test_answered_errors.py",
    ),
    Mutation(
        "what one request brings about is not told to all that came with it",
        "adapters/postgres/group_writer.py",
        "if len(open_requests) <= 1 or asyncio",
        "if len(open_requests) <= 500 or asyncio",
        "tests/adapters/postgres/test_answered_errors.py",
    ),
    Mutation(
        "an event that is too large for one read model stops only that",
        "projections/runner.py",
        "return failure is not None and not isinstance(failure, TooLargeToStore)",
        "return failure is not None",
        "tests/projections/test_runner.py -k too_large",
    ),
    Mutation(
        "a step at which something unforeseen happens ends",
        "api/steps/attending.py",
        "            except (StoreFailed, Undone):",
        "            except Exception:",
        "tests/api/test_worker.py -k unforeseen",
    ),
    Mutation(
        "a command at which something unforeseen happens ends",
        "api/steps/jobs.py",
        "        except StoreFailed:\n            raise\n",
        "        except Exception:\n            raise\n",
        "tests/api/test_jobs.py -k unforeseen",
    ),
    Mutation(
        "a command that still runs gives way to another",
        "api/worker.py",
        "async with asyncio.timeout(JOB_TURN_S):",
        "async with asyncio.timeout(None):",
        "tests/api/test_worker.py -k long_commands",
    ),
    Mutation(
        "jobs that are leased or postponed are left out of the queue",
        "projections/compute_work.py",
        "WHERE scope = 'job' AND",
        "WHERE scope = 'none' AND",
        "tests/projections/test_compute_work.py",
    ),
    Mutation(
        "accounts take turns in the queue of jobs",
        "projections/compute_work.py",
        "ORDER BY row_number() OVER (PARTITION BY account_id ORDER BY requested_at), requested_at LIMIT",
        "ORDER BY requested_at LIMIT",
        "tests/projections/test_compute_work.py",
    ),
    Mutation(
        "a mail that cannot be made counts as a try",
        "api/alerts/sending.py",
        "    except StoreFailed:\n        raise\n",
        "    except Exception:\n        raise\n",
        "tests/api/alerts/test_sending.py -k cannot_be_made",
    ),
)
