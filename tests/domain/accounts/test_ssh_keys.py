"""SSH keys: which are taken, and what an account can do with them."""

import base64
import subprocess
from functools import reduce
from pathlib import Path
from time import thread_time
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_ssh_public_key
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.accounts.commands import AddSshKey, RemoveSshKey
from domain.accounts.events import SshKeyAdded, SshKeyRemoved
from domain.accounts.public_keys import NotAPublicKey, parse_public_key
from domain.accounts.ssh_keys import (
    FOLD,
    SSH_KEYS_MAX,
    SshKeys,
    SshKeyTaken,
    TooManySshKeys,
    add,
    authorized_keys,
    evolve,
    remove,
)
from domain.errors import Invalid, NotFound
from domain.ids import AccountId, SshKeyId
from domain.time import Instant

ANN = AccountId(UUID(int=1))
NOW = Instant(0)
ED25519 = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINYwz+hWpOwxZUNGmIDQ9lJf0HlM6lMTLl9XcjdnCvw4"


def ed25519(number: int) -> str:
    """Return a key of its own for each number."""
    blob = b"\0\0\0\x0bssh-ed25519\0\0\0\x20" + number.to_bytes(32, "big")
    return f"ssh-ed25519 {base64.b64encode(blob).decode()}"


def added(keys: SshKeys, number: int) -> SshKeys:
    """Add a key and return the keys afterwards."""
    decision = add(keys, ANN, AddSshKey(SshKeyId(UUID(int=number)), f"key {number}", ed25519(number)), NOW)
    return reduce(evolve, (event for _, event in decision.events), keys)


@pytest.mark.parametrize(
    ("kind", "bits"), [("ed25519", 256), ("rsa", 2048), ("rsa", 4096), ("ecdsa", 256), ("ecdsa", 384), ("ecdsa", 521)]
)
def test_a_key_is_told_as_ssh_keygen_tells_it(tmp_path: Path, kind: str, bits: int) -> None:
    file = tmp_path / "key"
    subprocess.run(
        ["ssh-keygen", "-q", "-t", kind, "-b", str(bits), "-N", "", "-C", "me at home", "-f", file], check=True
    )
    told = subprocess.run(["ssh-keygen", "-l", "-f", file], check=True, capture_output=True, text=True).stdout

    key = parse_public_key(file.with_suffix(".pub").read_text())

    assert key.fingerprint == told.split()[1]
    assert key.line == file.with_suffix(".pub").read_text().strip()


def test_a_key_with_an_authenticator_is_taken() -> None:
    def text(*fields: bytes) -> str:
        blob = b"".join(len(field).to_bytes(4, "big") + field for field in fields)
        return f"{fields[0].decode()} {base64.b64encode(blob).decode()}"

    point = (
        ec.generate_private_key(ec.SECP256R1()).public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    )
    parse_public_key(text(b"sk-ssh-ed25519@openssh.com", b"k" * 32, b"ssh:"))
    parse_public_key(text(b"sk-ecdsa-sha2-nistp256@openssh.com", b"nistp256", point, b"ssh:"))
    with pytest.raises(NotAPublicKey):
        parse_public_key(text(b"sk-ecdsa-sha2-nistp256@openssh.com", b"nistp256", b"\x04" + b"k" * 64, b"ssh:"))


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()], ids=lambda curve: curve.name)
@settings(max_examples=25)
@given(where=st.integers(1, 131), flipped=st.integers(0, 255))
def test_a_point_is_taken_if_cryptography_finds_it_on_the_curve(
    curve: ec.EllipticCurve, where: int, flipped: int
) -> None:
    public = ec.generate_private_key(curve).public_key()
    good = public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    kind, body = good.split()
    blob = bytearray(base64.b64decode(body))
    blob[-min(where, 2 * ((curve.key_size + 7) // 8))] ^= flipped
    text = f"{kind} {base64.b64encode(blob).decode()}"

    try:
        load_ssh_public_key(text.encode())
    except ValueError:
        with pytest.raises(NotAPublicKey):
            parse_public_key(text)
    else:
        assert parse_public_key(text).line == text


@pytest.mark.parametrize(
    "text", [ED25519 + "==", ED25519 + "=" * 9, ED25519.replace(" ", "\t"), f" \t{ED25519}\t \r\n", f"{ED25519}   "]
)
def test_what_is_kept_is_what_was_checked(text: str) -> None:
    assert parse_public_key(text).line == ED25519


def test_bits_that_base64_leaves_over_are_not_kept() -> None:
    blob = b"\0\0\0\x07ssh-rsa\0\0\0\x03\x01\0\x01\0\0\x01\x02\0" + b"\xc5" * 257
    text = base64.b64encode(blob).decode()
    assert text.endswith("xQ==")

    assert parse_public_key(f"ssh-rsa {text[:-4]}xR==").line == f"ssh-rsa {text}"


def test_a_number_in_another_form_is_refused() -> None:
    modulus = b"\0\0\x01\x01\0" + b"\xc5" * 256
    good = b"\0\0\0\x07ssh-rsa\0\0\0\x03\x01\0\x01" + modulus
    padded = b"\0\0\0\x07ssh-rsa\0\0\0\x04\0\x01\0\x01" + modulus

    parse_public_key("ssh-rsa " + base64.b64encode(good).decode())
    with pytest.raises(NotAPublicKey):
        parse_public_key("ssh-rsa " + base64.b64encode(padded).decode())


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "empty"),
        ("\ufeff" + ED25519, "byte order mark"),
        (ED25519.replace(" ", "\u00a0"), "U+00A0"),
        (ED25519 + "\u00a0me@home", "U+00A0"),
        (ED25519.replace(" ", "\u2003"), "U+2003"),
        (f'no-pty,command="sh" {ED25519}', "options"),
        (f"restrict\t{ED25519}", "options"),
        (f"{ED25519}\n{ED25519}", "several keys"),
        (ED25519[:40] + "\n" + ED25519[40:], "several lines"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNz\n-----END OPENSSH PRIVATE KEY-----", "private key"),
        ("-----BEGIN PUBLIC KEY-----\nb3BlbnNz\n-----END PUBLIC KEY-----", "PEM"),
        ("---- BEGIN SSH2 PUBLIC KEY ----\nAAAA\n---- END SSH2 PUBLIC KEY ----", "SSH2"),
        ("PuTTY-User-Key-File-3: ssh-ed25519", "PuTTY"),
        ("ssh-dss AAAAB3NzaC1kc3MAAACBAP", "DSA"),
        (ED25519.replace("ssh-ed25519", "ssh-ed25519-cert-v01@openssh.com"), "certificate"),
        ("ssh-ed25519", "no key behind its type"),
        ("hello world", "must begin with one of the types"),
    ],
)
def test_a_refused_key_is_told_what_is_wrong_with_it(text: str, why: str) -> None:
    with pytest.raises(NotAPublicKey) as refusal:
        parse_public_key(text)

    fields = refusal.value.facts["fields"]
    assert isinstance(fields, dict)
    assert why in fields["public_key"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ssh-ed25519",
        "hello world",
        ED25519[:-4],
        ED25519[:-1],
        ED25519 + "AAAA",
        ED25519.replace("ssh-ed25519 ", "ssh-rsa "),
        f"{ED25519}\n{ED25519}",
        f'no-pty,command="sh" {ED25519}',
        f"{ED25519} a\0b",
        f"{ED25519} a\tb\x1b[0m",
        f"{ED25519} " + "x" * 9000,
        "ssh-dss AAAAB3NzaC1kc3MAAACBAP",
        "ssh-rsa " + base64.b64encode(b"\0\0\0\x07ssh-rsa\0\0\0\x01\x03\0\0\0\x80" + b"\x7f" * 127 + b"\x01").decode(),
        "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjE=\n-----END OPENSSH PRIVATE KEY-----",
    ],
)
def test_what_is_no_good_key_is_refused(text: str) -> None:
    with pytest.raises(NotAPublicKey) as refusal:
        parse_public_key(text)
    fields = refusal.value.facts["fields"]
    assert isinstance(fields, dict)
    assert fields["public_key"]


def test_keys_are_kept_in_the_order_in_which_they_came() -> None:
    keys = added(added(SshKeys(), 2), 1)

    assert [key.name for key in keys.by_id.values()] == ["key 2", "key 1"]
    assert authorized_keys(keys, (SshKeyId(UUID(int=1)), SshKeyId(UUID(int=2)))) == (ed25519(1), ed25519(2))


def test_the_same_key_under_another_name_is_refused() -> None:
    keys = added(SshKeys(), 1)

    with pytest.raises(SshKeyTaken):
        add(keys, ANN, AddSshKey(SshKeyId(UUID(int=9)), "other", ed25519(1) + " comment"), NOW)


def test_an_account_has_so_many_keys_and_no_more() -> None:
    keys = reduce(added, range(1, SSH_KEYS_MAX + 1), SshKeys())

    with pytest.raises(TooManySshKeys):
        added(keys, SSH_KEYS_MAX + 1)


@pytest.mark.parametrize("name", ["", "   ", "x" * 65, "a\nb", "a\0b"])
def test_a_key_has_a_name(name: str) -> None:
    with pytest.raises(Invalid):
        add(SshKeys(), ANN, AddSshKey(SshKeyId(UUID(int=1)), name, ED25519), NOW)


def test_a_removed_key_is_gone() -> None:
    key_id = SshKeyId(UUID(int=1))
    decision = remove(added(SshKeys(), 1), ANN, RemoveSshKey(key_id))

    assert [event for _, event in decision.events] == [SshKeyRemoved(ANN, key_id)]
    keys = evolve(added(SshKeys(), 1), SshKeyRemoved(ANN, key_id))
    with pytest.raises(NotFound):
        remove(keys, ANN, RemoveSshKey(key_id))
    with pytest.raises(Invalid):
        authorized_keys(keys, (key_id,))


def test_what_is_recorded_of_a_key() -> None:
    decision = add(FOLD.initial, ANN, AddSshKey(SshKeyId(UUID(int=1)), " my key ", f"{ED25519}   me@laptop \n"), NOW)

    assert [event for _, event in decision.events] == [
        SshKeyAdded(
            ANN,
            SshKeyId(UUID(int=1)),
            "my key",
            f"{ED25519} me@laptop",
            parse_public_key(ED25519).fingerprint,
            NOW,
        )
    ]


@pytest.mark.parametrize("text", ["ssh-ed25519" + " " * 8100 + "!", ED25519 + " " * 8000 + "\nx", " " * 60_000])
def test_many_spaces_are_read_at_once(text: str) -> None:
    began_s = thread_time()
    with pytest.raises(NotAPublicKey):
        parse_public_key(text)

    assert thread_time() - began_s < 0.05
