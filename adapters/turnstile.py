"""The captcha of Cloudflare Turnstile: its siteverify call, and its documented test keys verified locally."""

import httpx
import msgspec

from domain.accounts.ports import CaptchaUnavailable
from domain.errors import InvariantBroken

SITEVERIFY_URL = "https://challenges.cloudflare.com/turnstile/v0/siteverify"
TOKEN_CHARACTERS_MAX = 2048
TIMEOUT_S = 5.0

# https://developers.cloudflare.com/turnstile/troubleshooting/testing/
TEST_SECRET_PASSES = "1x0000000000000000000000000000000AA"  # noqa: S105
TEST_SECRET_FAILS = "2x0000000000000000000000000000000AA"  # noqa: S105
TEST_SECRET_SPENT = "3x0000000000000000000000000000000AA"  # noqa: S105
TEST_SECRETS = frozenset({TEST_SECRET_PASSES, TEST_SECRET_FAILS, TEST_SECRET_SPENT})
TEST_TOKEN = "XXXX.DUMMY.TOKEN.XXXX"  # noqa: S105


class _Verdict(msgspec.Struct):
    success: bool


class TurnstileCaptcha:
    """Asks siteverify. An answer that cannot be read is no pass."""

    def __init__(self, secret: str, url: str = SITEVERIFY_URL) -> None:
        self._secret = secret
        self._url = url
        self._client = httpx.AsyncClient(timeout=TIMEOUT_S, trust_env=False)

    async def passed(self, token: str, address: str | None) -> bool:
        """Tell whether Turnstile vouches for the token. Raises CaptchaUnavailable."""
        if not token or len(token) > TOKEN_CHARACTERS_MAX:
            return False
        form = {"secret": self._secret, "response": token}
        if address is not None:
            form["remoteip"] = address
        try:
            response = await self._client.post(self._url, data=form)
            return msgspec.json.decode(response.content, type=_Verdict).success
        except (httpx.HTTPError, msgspec.MsgspecError) as error:
            raise CaptchaUnavailable from error

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()


class DevelopmentCaptcha:
    """Does what siteverify does for Cloudflare's test secrets, without asking it: for development only."""

    def __init__(self, secret: str = TEST_SECRET_PASSES) -> None:
        if secret not in TEST_SECRETS:
            raise InvariantBroken("only the documented test secrets are known locally")
        self._secret = secret

    async def passed(self, token: str, address: str | None) -> bool:  # noqa: ARG002
        """Tell whether the token is the documented test token and the secret the one that passes."""
        return self._secret == TEST_SECRET_PASSES and token == TEST_TOKEN

    async def close(self) -> None:
        """Nothing is open."""
