"""Refusals that use cases give beside those of the domain, whoever asks."""

from domain.errors import Refusal


class RateLimited(Refusal):
    """More requests than the quota allows."""

    code = "rate_limited"
    sentence = "too many requests"


class CaptchaFailed(Refusal):
    """Nothing proves that a person asks."""

    code = "captcha_failed"
    sentence = "CAPTCHA verification failed"


class CommandTimedOut(Refusal):
    """A command ran past its time limit, and nothing of it runs any more."""

    code = "command_timed_out"
    sentence = "command timed out"


class Ending(Refusal):
    """The service ends; a command that was awaited goes on, and is there under its job when the service is back."""

    code = "ending"
    sentence = "service is ending"


class WebhookRefused(Refusal):
    """Nothing proves that Stripe tells it now; nothing of it is kept."""

    code = "bad_signature"
    sentence = "webhook signature is not valid"


class NotReady(Refusal):
    """Some part is not fit to serve; the facts say which."""

    code = "not_ready"
    sentence = "not ready"
