"""What opens the embedded AWS: all of it follows from one secret, which is new for each life."""

import base64
import hashlib
import hmac
import secrets
from dataclasses import dataclass

#: The workshop's account, and one apart from it, whose queue collects e-mails.
ACCOUNT, POST_OFFICE_ACCOUNT = "000000000000", "111122223333"
#: The header in which ministack's own endpoints, such as its list of messages, are given the password.
PASSWORD_HEADER = "X-Workshop-Password"


@dataclass(frozen=True)
class Key:
    """An access key of an account's root user.

    Attributes:
        account: the account's number, 12 digits.
        id: the access key id.
        secret: the secret access key.
    """

    account: str
    id: str
    secret: str


def new_secret() -> str:
    """A secret for a new life: 32 random bytes, as hexadecimal digits."""
    return secrets.token_hex(32)


def root_key(secret: str, account: str = ACCOUNT) -> Key:
    """The root user's access key in one account.

    Args:
        secret: of this life.
        account: the account's number.
    """
    # 80 bits, as long as an id of AWS's.
    name = base64.b32encode(_derived(secret, f"access key id {account}")[:10]).decode()
    return Key(account, f"AKIA{name}", base64.b64encode(_derived(secret, f"secret access key {account}")[:30]).decode())


def password(secret: str) -> str:
    """What ministack's own endpoints ask for in `PASSWORD_HEADER`."""
    return _derived(secret, "password").hex()


def link_token(secret: str, path: str) -> str:
    """What makes a link to a function's code work, as a signature does on AWS."""
    return _derived(secret, f"link {path}").hex()


def _derived(secret: str, purpose: str) -> bytes:
    return hmac.new(bytes.fromhex(secret), purpose.encode(), hashlib.sha256).digest()
