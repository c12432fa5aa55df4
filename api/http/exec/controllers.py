"""Commands in VPSs over HTTP: run, awaited, and told as they came out."""

from litestar import Controller, get, post
from litestar.params import FromPath

from api.application.exec import await_command, begin_command, get_job
from api.application.refusals import CommandTimedOut, Ending
from api.http.exec.schemas import DONE_EXAMPLE, JOB_EXAMPLE, Command, CommandDone, JobResponse
from api.http.openapi.docs import Docs
from api.http.pipeline.idempotency import REPLAYED, BegunUnderKey
from api.http.pipeline.request import ApiRequest
from api.http.pipeline.responses import ApiResponse, ok
from domain.compute.vps import VpsNotRunning
from domain.errors import Contended, NotFound
from domain.ids import JobId, VpsId

BODY_BYTES_MAX = 1024 * 1024


class ExecController(Controller):
    """Commands in VPSs, each of them a job."""

    path = "/api"
    tags = ["exec"]
    opt = {"scope": "exec"}

    @post(
        "/vps/{vps_id:str}/exec",
        operation_id="exec_command",
        summary="Run a command in a VPS",
        description=(
            "Answers when the command has ended. Past its time limit it is killed with everything that it"
            " started, and the answer is a 504 with the output so far."
        ),
        status_code=200,
        body=Command,
        request_max_body_size=BODY_BYTES_MAX,
        docs=Docs(
            "The command has ended, with whatever exit code; of one that a signal ended it is 128 + the signal's"
            " number. Where nobody can know how it ended, since the VPS was stopped, restarted or deleted meanwhile or"
            " did not answer any more, `exit_code` is null and `error` says why; otherwise `error` is null.",
            DONE_EXAMPLE,
            refuses=(NotFound, VpsNotRunning, CommandTimedOut, Contended, Ending),
            body_example={"command": "uname -a", "timeout_seconds": 30},
        ),
    )
    async def run(self, request: ApiRequest, vps_id: FromPath[VpsId]) -> ApiResponse[CommandDone]:
        """Run a command and tell its output and exit code; under a key, a repeat picks up the same run."""
        runtime, caller, kept = request.runtime, request.caller, BegunUnderKey(request)
        # Taken, since Litestar would hold a ``data`` of a megabyte for as long as the command runs.
        begun = await begin_command(runtime, caller, request.take(Command).to_command(vps_id), kept)
        run = await await_command(runtime, caller, begun.job_id)
        # Of a refusal, too, the headers tell the balance at its end.
        request.context.wallet = run.wallet
        run.check()
        return ok(CommandDone.of(run), *((REPLAYED,) if begun.is_resumed else ()))

    @get(
        "/jobs/{job_id:str}",
        operation_id="get_job",
        summary="What came of this command",
        docs=Docs("The command, and its output once it has ended.", JOB_EXAMPLE, refuses=(NotFound,)),
    )
    async def get_job(self, request: ApiRequest, job_id: FromPath[JobId]) -> JobResponse:
        """Tell a command and what came of it so far."""
        return JobResponse.of(await get_job(request.runtime, request.caller, job_id))
