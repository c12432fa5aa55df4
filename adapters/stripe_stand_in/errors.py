"""What the stand-in answers when it says no, in the shape of Stripe's API errors."""

from http import HTTPStatus
from typing import Any


class ApiError(Exception):
    """A no, as https://docs.stripe.com/api/errors describes it. `kept` says whether an idempotency key remembers it."""

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        status: int = HTTPStatus.BAD_REQUEST,
        kind: str = "invalid_request_error",
        kept: bool = False,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.param = param
        self.status = int(status)
        self.kind = kind
        self.kept = kept

    def body(self) -> dict[str, Any]:
        """Return what is answered."""
        error = {"type": self.kind, "message": self.message, "code": self.code, "param": self.param}
        return {"error": {name: value for name, value in error.items() if value is not None}}


def missing(noun: str, id_: str, param: str = "id") -> ApiError:
    """Return the no to an id that names nothing."""
    message = f"No such {noun}: '{id_}'"
    return ApiError(message, code="resource_missing", param=param, status=HTTPStatus.NOT_FOUND)


def refused(message: str, code: str | None = None, param: str | None = None) -> ApiError:
    """Return the no to a well-formed request that the state of things does not allow."""
    return ApiError(message, code=code, param=param, kept=True)
