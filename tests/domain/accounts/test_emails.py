"""E-mail addresses: which are taken, and how two are compared."""

import pytest

from domain.accounts.emails import checked_email, email_form
from domain.errors import Invalid


@pytest.mark.parametrize(
    "email",
    [
        "a@b.c",
        "Ann.O'Hara+vps@mail.example.com",
        "x@1.2",
        "!#$%&'*+/=?^_`{|}~-@example.com",
        "a@xn--bcher-kva.example",
        "a" * 64 + "@example.com",
        "a@" + "b." * 125 + "cc",
    ],
)
def test_addresses_are_compared_without_regard_to_case(email: str) -> None:
    assert checked_email(email) == email_form(email) == email.lower()


@pytest.mark.parametrize(
    "email",
    [
        "", "ann", "ann@", "@b.c", "a@b", "a@-b.c", "a@b-.c", "a b@c.d", "a@b.c\n", "a@b.c ", "a@b..c",
        "a@b.c.", "a@.b.c",
        "ops..team@example.com", ".ops@example.com", "ops.@example.com", "ä@b.c", "a@bücher.example", "a@ｂ.example",
        '"a b"@example.com', "a@[192.0.2.1]", "(a)b@example.com", "a@b@example.com", "a,b@example.com",
        "a;b@example.com",
        "Ann <ann@example.com>", "a@b.c\r\nBcc: d@e.f", "a\x00@b.c", "a@b_c.example",
        "a" * 65 + "@example.com", "a@" + "b" * 64 + ".example", "a@" + "b." * 126 + "cc",
    ],
)  # fmt: skip
def test_what_no_mail_can_be_sent_to_is_refused(email: str) -> None:
    with pytest.raises(Invalid) as refused:
        checked_email(email, "address")

    assert isinstance(refused.value.facts["fields"], dict)
    assert set(refused.value.facts["fields"]) == {"address"}


def test_an_internationalised_domain_is_told_how_it_is_written() -> None:
    with pytest.raises(Invalid) as refused:
        checked_email("a@bücher.example")

    assert "xn--" in str(refused.value.facts["fields"])
