"""The gate before ministack: who gets in, and who doesn't.

ministack checks signatures and policies of every key that its IAM made. But it takes a handful of key ids, and every
account number, for the root user's without a look at the signature, it answers some endpoints without asking anybody,
and it tells every browser that any web page may read along. On a machine with other users, or with a browser, that
opens it to strangers. So this ASGI middleware stands in front:

- The root user is whoever signs with this life's key. That signature is checked here.
- Other keys have to look like IAM's, and to be in a request that ministack itself authenticates.
- An API's invoke URL is open, as on AWS, and so is the health of the whole.
- ministack's own endpoints want the password of this life.
- A request has to name this host, and a web page of another origin is let in only where an API's CORS allows it.
"""

import hmac
import re
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from workshop.embedded.credentials import (
    PASSWORD_HEADER,
    POST_OFFICE_ACCOUNT,
    Key,
    link_token,
    password,
    root_key,
)
from workshop.embedded.refusals import Refusal, answer
from workshop.embedded.signature import Request, Signature

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

HEALTH, INVOKE = "/_ministack/health", "/_aws/execute-api/"
CODE_LINK = re.compile(r"/_ministack/lambda-(?:code|layers)/.+")
#: What proxies say of the client before them. Nothing stands between a client and the gate, so it is not believed.
SAID_BY_PROXIES = re.compile(rb"x-forwarded-.*|forwarded|x-real-ip")
#: What IAM's key ids look like; ministack takes others for the root user's.
MADE_BY_IAM = re.compile(r"A[A-Z0-9]{15,127}")
#: Where ministack serves whoever comes, as AWS does for the pages on which people sign in.
SERVED_UNASKED = re.compile(
    r"/health|/log(in|out)|/oauth2/.*|.*/\.well-known/.*|/v2/(?!apis|domainnames|email|tags|vpclinks).*|"
    r"/restapis/[^/]+/[^/]+/_user_request_.*"
)


@dataclass(frozen=True)
class Admitted:
    """A request that gets in.

    Attributes:
        headers: what ministack gets to see.
        body: what was read of the body to check its signature; None if nothing was.
    """

    headers: Headers
    body: bytes | None = None


class Gate:
    """The middleware.

    Args:
        app: ministack.
        port: where the server listens.
        secret: of this life.
    """

    def __init__(self, app: App, port: int, secret: str) -> None:
        self.app, self.secret = app, secret
        self.hosts = {f"127.0.0.1:{port}", f"localhost:{port}"}
        self.password = password(secret)
        self.root, self.post_office = root_key(secret), root_key(secret, POST_OFFICE_ACCOUNT)
        plain = f"http://127.0.0.1:{port}".encode()
        self.code_links = re.compile(
            re.escape(plain) + rb'(/_ministack/lambda-(?:code|layers)/[^"?\\ ]+)(?:\?[^"\\ ]*)?'
        )
        self.endpoint = plain.replace(b"http:", b"https:")

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Let a request through to ministack, or answer it here."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close"})
        else:
            try:
                admitted = await self.admit(scope, receive)
            except Refusal as refusal:
                for message in answer(refusal, scope):
                    await send(message)
                return
            await self.pass_on(scope, admitted, receive, send)

    async def admit(self, scope: Message, receive: Receive) -> Admitted:
        """Look at a request.

        Raises:
            Refusal: it doesn't get in.
        """
        headers: Headers = [one for one in scope["headers"] if not SAID_BY_PROXIES.fullmatch(one[0].lower())]
        request, path = _request(scope, headers), scope["path"]
        if request.headers.get("host") not in self.hosts:
            raise Refusal("AccessDenied", "This host is not served here.")
        await self._check_origin(scope, request)
        if path.startswith("/_") and not path.startswith(INVOKE):
            self._check_password(request, path)
            return Admitted(headers)
        try:
            signature = Signature.parse(request)
        except ValueError as error:
            authorization = request.headers.get("authorization", "")
            if path.startswith(INVOKE) and not authorization.startswith("AWS") and not request.names_a_key:
                # A token for an authorizer of the API's own.
                return Admitted(headers)
            raise Refusal("IncompleteSignature", str(error)) from None
        if signature is None:
            if path.startswith(INVOKE):
                return Admitted(headers)
            raise Refusal("MissingAuthenticationToken", "The request is not signed.")
        return await self._check_signature(signature, request, headers, path, receive)

    async def _check_signature(
        self, signature: Signature, request: Request, headers: Headers, path: str, receive: Receive
    ) -> Admitted:
        for key in (self.root, self.post_office):
            if hmac.compare_digest(signature.key_id, key.id):
                body = await _read(receive)
                if not signature.is_current(datetime.now(UTC)):
                    raise Refusal("RequestTimeTooSkewed", "The request was signed too long ago, or in the future.")
                if not signature.matches(request, body, key.secret):
                    raise Refusal("SignatureDoesNotMatch", "The signature does not match the request.")
                return Admitted(known_as(key, headers) if key is self.post_office else headers, body)
        if not MADE_BY_IAM.fullmatch(signature.key_id) or request.method == "OPTIONS" or SERVED_UNASKED.fullmatch(path):
            raise Refusal("InvalidClientTokenId", "The security token included in the request is invalid.")
        return Admitted(headers)

    def _check_password(self, request: Request, path: str) -> None:
        """Let in who knows the password, who only asks whether all is well, and who has a link to a function's code."""
        if path == HEALTH:
            return
        given = request.headers.get(PASSWORD_HEADER.lower(), "")
        token = dict(request.parameters).get("token", "")
        if hmac.compare_digest(given.encode(), self.password.encode()):
            return
        if CODE_LINK.fullmatch(path) and hmac.compare_digest(token.encode(), link_token(self.secret, path).encode()):
            return
        raise Refusal("AccessDenied", "This endpoint is for the workshop alone.")

    async def _check_origin(self, scope: Message, request: Request) -> None:
        origin = request.headers.get("origin")
        if origin is None or origin in {f"https://{host}" for host in self.hosts}:
            return
        if not scope["path"].startswith(INVOKE):
            raise Refusal("AccessDenied", "Web pages of other origins are not served.")
        if request.method != "OPTIONS" and not await self._cors_allows(origin, scope):
            raise Refusal("AccessDenied", "This API does not serve web pages of other origins.")

    async def _cors_allows(self, origin: str, scope: Message) -> bool:
        """Ask the API what a browser would ask before anything but the simplest requests."""
        asked = {
            b"host": next(value for name, value in scope["headers"] if name == b"host"),
            b"origin": origin.encode("latin-1"),
            b"access-control-request-method": scope["method"].encode(),
        }
        told: list[bytes] = []

        async def receive() -> Message:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def hear(message: Message) -> None:
            told.extend(value for name, value in message.get("headers", []) if _allows_origin(name))

        await self.app({**scope, "method": "OPTIONS", "headers": list(asked.items())}, receive, hear)
        return told in ([b"*"], [origin.encode("latin-1")])

    async def pass_on(self, scope: Message, admitted: Admitted, receive: Receive, send: Send) -> None:
        """Let ministack answer. What it adds for browsers is taken out, unless an API says it."""
        body, invoked = admitted.body, scope["path"].startswith(INVOKE)

        async def replay() -> Message:
            nonlocal body
            if body is None:
                return await receive()
            read, body = body, None
            return {"type": "http.request", "body": read, "more_body": False}

        async def without_cors(message: Message) -> None:
            if message["type"] == "http.response.start":
                kept = [one for one in message["headers"] if not one[0].lower().startswith(b"access-control-")]
                message = {**message, "headers": kept}
            await send(message)

        describes_code = scope["method"] == "GET" and scope["path"].startswith(
            ("/2015-03-31/functions/", "/2018-10-31/")
        )
        out = send if invoked else self._link_code(without_cors) if describes_code else without_cors
        await self.app({**scope, "headers": admitted.headers}, replay, out)

    def _link_code(self, send: Send) -> Send:
        """Turn the links to a function's code into such as work: over TLS, and signed, as AWS signs them."""
        start: Message = {}
        parts: list[bytes] = []

        def link(found: re.Match[bytes]) -> bytes:
            return self.endpoint + found[1] + b"?token=" + link_token(self.secret, found[1].decode()).encode()

        async def collected(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                start = message
                return
            parts.append(message.get("body", b""))
            if message.get("more_body"):
                return
            body = self.code_links.sub(link, b"".join(parts))
            kept = [one for one in start["headers"] if one[0].lower() != b"content-length"]
            await send({**start, "headers": [*kept, (b"content-length", str(len(body)).encode())]})
            await send({"type": "http.response.body", "body": body})

        return collected


def _request(scope: Message, headers: Headers) -> Request:
    joined: dict[str, str] = {}
    for raw_name, raw_value in headers:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        joined[name] = f"{joined[name]},{value}" if name in joined else value
    raw_path = scope.get("raw_path") or scope["path"].encode()
    return Request(
        scope["method"], raw_path.decode("latin-1").partition("?")[0], scope["query_string"].decode("latin-1"), joined
    )


def known_as(key: Key, headers: Headers) -> Headers:
    """The headers with the account's number in place of the key: that is how ministack knows its root user."""
    said, meant = key.id.encode(), key.account.encode()
    return [(name, value.replace(said, meant, 1) if name == b"authorization" else value) for name, value in headers]


def _allows_origin(name: bytes) -> bool:
    return name.lower() == b"access-control-allow-origin"


async def _read(receive: Receive) -> bytes:
    parts = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Refusal("RequestTimeout", "The request ended early.")
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(parts)
