"""AWS Signature Version 4, seen from the side that checks it.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

import functools
import hashlib
import hmac
import posixpath
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import quote, unquote

ALGORITHM = "AWS4-HMAC-SHA256"
#: The one form of the header that is taken: what can be read in two ways is refused.
_HEADER = re.compile(
    rf"{ALGORITHM} Credential=([A-Za-z0-9]+)/(\d{{8}})/([a-z0-9-]+)/([a-z0-9-]+)/aws4_request, ?"
    r"SignedHeaders=([a-z0-9;-]+), ?Signature=([0-9a-f]{64})"
)
_CREDENTIAL = re.compile(r"([A-Za-z0-9]+)/(\d{8})/([a-z0-9-]+)/([a-z0-9-]+)/aws4_request")
_KEY_IN_QUERY = ("x-amz-credential", "x-amz-signature", "awsaccesskeyid")
#: How far a request's time may be from ours.
SKEW = timedelta(minutes=15)
UNSIGNED = "UNSIGNED-PAYLOAD"


@dataclass(frozen=True)
class Request:
    """A request as it came over the wire.

    Attributes:
        method: such as `POST`.
        path: as it was sent, with its percent signs.
        query: as it was sent, without the question mark.
        headers: by name in small letters; several of one name are joined by commas.
    """

    method: str
    path: str
    query: str
    headers: dict[str, str]

    @property
    def parameters(self) -> list[tuple[str, str]]:
        """The parameters of the query."""
        pairs = (part.partition("=") for part in self.query.split("&") if part)
        return [(unquote(name), unquote(value)) for name, _, value in pairs]

    @property
    def names_a_key(self) -> bool:
        """Whether something in the query could be read as an access key, or as what a key signed."""
        return any(name.lower() in _KEY_IN_QUERY for name, _ in self.parameters)


@dataclass(frozen=True)
class Signature:
    """What a request says of its signer.

    Attributes:
        key_id: the access key id.
        date, region, service: the scope in which the signature counts.
        signed_headers: the names of the headers that it covers.
        value: the signature, as hexadecimal digits.
        time: when the request was signed, as `YYYYMMDDTHHMMSSZ`.
        lifetime: for how long a presigned URL counts; None for a signature in a header.
    """

    key_id: str
    date: str
    region: str
    service: str
    signed_headers: tuple[str, ...]
    value: str
    time: str
    lifetime: timedelta | None = None

    @classmethod
    def parse(cls, request: Request) -> "Signature | None":
        """Read a request's signature, from its header or its query.

        Returns:
            The signature; None if there is none.

        Raises:
            ValueError: there is one that is not complete, or more than one.
        """
        header = request.headers.get("authorization", "")
        if not header:
            return cls._presigned(request.parameters) if request.names_a_key else None
        found = _HEADER.fullmatch(header)
        if found is None or request.names_a_key:
            raise ValueError("Authorization header is not a complete Signature Version 4.")
        key, date, region, service, names, value = found.groups()
        return cls(key, date, region, service, tuple(names.split(";")), value, request.headers.get("x-amz-date", ""))

    @classmethod
    def _presigned(cls, parameters: list[tuple[str, str]]) -> "Signature":
        asked = dict(parameters)
        scope = _CREDENTIAL.fullmatch(asked.get("X-Amz-Credential", ""))
        once = len(asked) == len(parameters)
        if scope is None or not once or asked.get("X-Amz-Algorithm") != ALGORITHM or "X-Amz-Signature" not in asked:
            raise ValueError("The query is not a complete Signature Version 4.")
        key, date, region, service = scope.groups()
        names, lifetime = asked.get("X-Amz-SignedHeaders", ""), timedelta(seconds=int(asked.get("X-Amz-Expires", "")))
        value, time = asked["X-Amz-Signature"], asked.get("X-Amz-Date", "")
        return cls(key, date, region, service, tuple(names.split(";")), value, time, lifetime)

    def is_current(self, now: datetime) -> bool:
        """Whether the signature counts at a moment."""
        try:
            signed = datetime.strptime(self.time, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        except ValueError:
            return False
        return self.time[:8] == self.date and signed - SKEW <= now <= signed + (self.lifetime or SKEW)

    def matches(self, request: Request, body: bytes, secret: str) -> bool:
        """Whether the owner of a secret access key signed this request, and nothing but it."""
        if "host" not in self.signed_headers:
            return False
        told = request.headers.get("x-amz-content-sha256", "")
        digest = hashlib.sha256(body).hexdigest()
        if re.fullmatch("[0-9a-f]{64}", told) and told != digest:
            return False
        text = "\n".join((ALGORITHM, self.time, f"{self.date}/{self.region}/{self.service}/aws4_request",
                          hashlib.sha256(self._canonical(request, told or digest).encode()).hexdigest()))  # fmt: skip
        key = _signing_key(secret, self.date, self.region, self.service)
        return hmac.compare_digest(hmac.new(key, text.encode(), hashlib.sha256).hexdigest(), self.value)

    def _canonical(self, request: Request, payload: str) -> str:
        if self.lifetime is not None and self.service == "s3":
            payload = UNSIGNED
        parameters = sorted(
            (quote(name, safe="-_.~"), quote(value, safe="-_.~"))
            for name, value in request.parameters
            if self.lifetime is None or name != "X-Amz-Signature"
        )
        headers = [f"{name}:{' '.join(request.headers.get(name, '').split())}\n" for name in self.signed_headers]
        # S3 signs the path as it was sent; the others tidy it up and encode it once more.
        path = request.path if self.service == "s3" else quote(_tidy(request.path), safe="/~")
        return "\n".join((request.method, path, "&".join(f"{name}={value}" for name, value in parameters),
                          "".join(headers), ";".join(self.signed_headers), payload))  # fmt: skip


def _tidy(path: str) -> str:
    """A path without empty parts and dots; a slash at its end stays."""
    tidy = posixpath.normpath("/" + path.lstrip("/"))
    return tidy + "/" if path.endswith("/") and tidy != "/" else tidy


@functools.lru_cache(maxsize=64)
def _signing_key(secret: str, *scope: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in (*scope, "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key
