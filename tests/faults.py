"""AWS's nastiness: refusals, delays and lost answers, put between the workshop's own clients and the embedded AWS.

The layer sits on botocore's `before-send` event. An answer that it makes up has the status, the headers and the body
that AWS sends in the protocol of the service, so botocore's own parser makes the error of it; a call that it lets
pass goes to the embedded AWS. Time is a clock that only sleeping moves, so that minutes of waiting cost nothing.
"""

import contextlib
import json
import os
import random
import sys
import time
import traceback
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.sax.saxutils import escape

import botocore.waiter
from botocore.awsrequest import AWSResponse, HeadersDict
from botocore.exceptions import ConnectionClosedError, EndpointConnectionError, ReadTimeoutError

from workshop.aws.clients import READS, Clients
from workshop.kinds import KINDS

#: Everything that the workshop talks to.
SERVICES = (
    "sts", "apigateway", "resourcegroupstaggingapi",
    *sorted({action.partition(":")[0] for kind in KINDS.values() for action in kind.actions}),
)  # fmt: skip
#: How each service says "too many calls": (status, code, message).
THROTTLES = {
    "sts": (400, "Throttling", "Rate exceeded"),
    "iam": (400, "Throttling", "Rate exceeded"),
    "dynamodb": (400, "ThrottlingException", "Rate of requests exceeds the allowed throughput."),
    "sqs": (403, "RequestThrottled", "Request is throttled."),
    "logs": (400, "ThrottlingException", "Rate exceeded"),
    "lambda": (429, "TooManyRequestsException", "Rate exceeded"),
    "sns": (400, "Throttling", "Rate exceeded"),
    "apigateway": (429, "TooManyRequestsException", "Too Many Requests"),
    "resourcegroupstaggingapi": (400, "ThrottledException", "Rate exceeded"),
}
#: How each service says "the fault is ours".
FAULTS = {
    "sts": (500, "InternalFailure", "We encountered an internal error. Please try again."),
    "iam": (500, "ServiceFailure", "We encountered an internal error. Please try again."),
    "dynamodb": (500, "InternalServerError", "The request processing has failed because of an unknown error."),
    "sqs": (500, "InternalError", "We encountered an internal error. Please try again."),
    "logs": (503, "ServiceUnavailableException", "The service cannot complete the request."),
    "lambda": (500, "ServiceException", "An error occurred and the request cannot be processed."),
    "sns": (500, "InternalError", "We encountered an internal error. Please try again."),
    "apigateway": (503, "ServiceUnavailableException", "Service Unavailable"),
    "resourcegroupstaggingapi": (500, "InternalServiceException", "The request processing failed."),
}
#: In the SQS JSON protocol, the code of old goes into a header, and this is what it looks like.
QUERY_CODES = {
    "QueueDeletedRecently": "AWS.SimpleQueueService.QueueDeletedRecently",
    "QueueNameExists": "QueueAlreadyExists",
    "QueueDoesNotExist": "AWS.SimpleQueueService.NonExistentQueue",
}
XML_NAMESPACES = {
    "cloudformation": "http://cloudformation.amazonaws.com/doc/2010-05-15/",
    "iam": "https://iam.amazonaws.com/doc/2010-05-08/",
    "sns": "http://sns.amazonaws.com/doc/2010-03-31/",
    "sts": "https://sts.amazonaws.com/doc/2011-06-15/",
}
#: The names in DynamoDB's and SQS's error types, before the code.
TYPE_PREFIXES = {"dynamodb": "com.amazonaws.dynamodb.v20120810#", "sqs": "com.amazonaws.sqs#"}


class Clock:
    """A clock that moves by being slept with.

    Who waits for the fault layer sleeps as long as he likes, in no time. Who waits for the embedded AWS itself, which
    has its own pace, really sleeps, but shortly; the clock goes on by that little.
    """

    def __init__(self) -> None:
        self.now = 1_000.0
        #: Whether the fault layer answered anything since the last sleep.
        self.virtual = False

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        if not self.virtual:
            seconds = min(seconds, 0.05)
            time.sleep(seconds)
        self.now += seconds
        self.virtual = False


class Body:
    """A body as botocore reads it."""

    def __init__(self, content: bytes) -> None:
        self.content = content

    def stream(self, *_: Any, **__: Any) -> Iterator[bytes]:
        yield self.content

    def read(self, *_: Any) -> bytes:
        content, self.content = self.content, b""
        return content


def answer(url: str, status: int, headers: dict[str, str], body: str) -> AWSResponse:
    """An answer that did not come from anywhere."""
    return AWSResponse(url, status, HeadersDict(headers), Body(body.encode()))


def refusal(service: str, url: str, status: int, code: str, message: str) -> AWSResponse:
    """An error answer, as the service puts it on the wire."""
    request_id = str(uuid.uuid4())
    if service in XML_NAMESPACES:
        sender = "Sender" if status < 500 else "Receiver"
        body = (
            f'<ErrorResponse xmlns="{XML_NAMESPACES[service]}"><Error><Type>{sender}</Type><Code>{code}</Code>'
            f"<Message>{escape(message)}</Message></Error><RequestId>{request_id}</RequestId></ErrorResponse>"
        )
        return answer(url, status, {"Content-Type": "text/xml", "x-amzn-RequestId": request_id}, body)
    if service in ("lambda", "apigateway"):
        headers = {"Content-Type": "application/json", "x-amzn-ErrorType": code, "x-amzn-RequestId": request_id}
        # Lambda writes the type of the error into the body as well; API Gateway does not.
        body = {"message": message} if service == "apigateway" else {"Type": "User", "message": message}
        return answer(url, status, headers, json.dumps(body))
    version = "1.1" if service in ("logs", "resourcegroupstaggingapi") else "1.0"
    headers = {"Content-Type": f"application/x-amz-json-{version}", "x-amzn-RequestId": request_id}
    if service == "sqs":
        headers["x-amzn-query-error"] = f"{QUERY_CODES.get(code, code)};{'Sender' if status < 500 else 'Receiver'}"
    body = {"__type": TYPE_PREFIXES.get(service, "") + code, "message": message}
    return answer(url, status, headers, json.dumps(body))


@dataclass
class Sending:
    """One attempt to call AWS, just before it goes out.

    Attributes:
        service, operation: boto3's name of the service, AWS's name of the operation.
        request: what would be sent.
        at: when, on the fault layer's clock.
        outcome: what became of it: passed, refused, lost or rewritten.
    """

    service: str
    operation: str
    request: Any
    client: Any
    at: float
    outcome: str = "passed"

    @property
    def mutating(self) -> bool:
        """Whether it changes something."""
        return READS.fullmatch(self.operation) is None

    @property
    def body(self) -> str:
        """What is sent, as text."""
        body = self.request.body or b""
        return body.decode() if isinstance(body, bytes) else str(body)

    def carry_out(self) -> AWSResponse:
        """Really send it."""
        return self.client._endpoint.http_session.send(self.request)

    def refuse(self, status: int, code: str, message: str) -> AWSResponse:
        """The refusal that AWS would send."""
        self.outcome = "refused"
        return refusal(self.service, self.request.url, status, code, message)

    def lose(self, how: str) -> AWSResponse:
        """Carry it out, and lose the answer: `closed`, `timeout`, `500` or `503`."""
        self.carry_out()
        self.outcome = "lost"
        if how == "closed":
            raise ConnectionClosedError(endpoint_url=self.request.url)
        if how == "timeout":
            raise ReadTimeoutError(endpoint_url=self.request.url)
        _, code, message = FAULTS[self.service]
        return refusal(self.service, self.request.url, int(how), code, message)


#: Looks at a call; returns an answer in place of AWS's, or None to let it pass.
Rule = Callable[[Sending], AWSResponse | None]


@dataclass
class Watch:
    """What a rule did, for the test to ask.

    Attributes:
        hits: when the rule answered, on the fault layer's clock.
        passed: when it first let pass what it had answered before.
        ready: when the call would have worked.
    """

    ready: float | None = None
    hits: list[float] = field(default_factory=list)
    passed: float | None = None

    @property
    def late(self) -> float:
        """Seconds between the moment in which it would have worked, and the call that did."""
        assert self.hits, "the rule was never met"
        assert self.passed is not None, "nothing was tried again after the refusal had passed"
        assert self.ready is not None
        return self.passed - self.ready


#: The services of all clients that a layer stands before: it stays there as long as they do.
ATTACHED: list[str] = []


class Faults:
    """The fault layer of one workshop: the rules, in order, and the calls that passed by."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.rules: list[Rule] = []
        self.sent: list[Sending] = []

    def attach(self, clients: Clients) -> "Faults":
        """Stand between these clients and AWS."""
        for service in SERVICES:
            self.attach_to(service, clients(service))
        return self

    def attach_to(self, service: str, client: Any) -> None:
        """Stand between one client and AWS."""

        def before_send(request: Any, event_name: str, **_: Any) -> AWSResponse | None:
            operation = event_name.rpartition(".")[2]
            sending = Sending(service, operation, request, client, self.clock())
            self.sent.append(sending)
            try:
                for rule in self.rules:
                    response = rule(sending)
                    if response is not None:
                        return response
                return None
            finally:
                if isinstance(self.clock, Clock) and sending.outcome != "passed":
                    self.clock.virtual = True

        client.meta.events.register("before-send", before_send)
        ATTACHED.append(service)

    def count(self, operation: str) -> int:
        """How often an operation was tried."""
        return sum(one.operation == operation for one in self.sent)

    def carried_out(self, operation: str) -> int:
        """How often an operation reached AWS."""
        return sum(one.operation == operation and one.outcome != "refused" for one in self.sent)

    # The rules.

    def refuse(
        self,
        operation: str,
        code: str,
        message: str = "",
        status: int = 400,
        *,
        seconds: float = float("inf"),
        times: float = float("inf"),
        after: str | None = None,
        when: Callable[[Sending], bool] = lambda _: True,
    ) -> Watch:
        """Refuse an operation for some seconds from the first call on, or for some calls.

        Args:
            operation: `CreateQueue`, or `sqs.*` for all of a service, or `*`.
            code, message, status: what AWS says.
            seconds: until the refusal passes.
            times: after so many calls it passes as well.
            after: begin only when this operation was carried out (reads that lag behind a write).
            when: refuse only these calls.
        """
        return self._for_a_while(
            operation, lambda sending: sending.refuse(status, code, message), seconds, times, after, when
        )

    def rewrite(
        self,
        operation: str,
        edit: Callable[[Any], Any],
        *,
        seconds: float = float("inf"),
        times: float = float("inf"),
        after: str | None = None,
        when: Callable[[Sending], bool] = lambda _: True,
    ) -> Watch:
        """Carry an operation out, and change what it answers.

        Args:
            operation, seconds, times, after, when: as for `refuse`.
            edit: takes the answer (a dictionary that it may change, or a text of XML) and returns the one to give;
                None leaves the answer as it is.
        """

        seen: dict[tuple[str, str, int], tuple[str, dict[str, str]]] = {}

        def rewritten(sending: Sending) -> AWSResponse:
            # A change in between may change the answer.
            same = (sending.request.url, sending.body, sum(one.mutating for one in self.sent))
            if seconds == float("inf") and not sending.mutating and same in seen:
                # It is asked hundreds of times, until somebody gives up.
                sending.outcome = "rewritten"
                return answer(sending.request.url, 200, seen[same][1], seen[same][0])
            response = sending.carry_out()
            if response.status_code >= 300:
                return response
            text = response.content.decode()
            content = text if sending.service in XML_NAMESPACES else json.loads(text)
            edited = edit(content)
            content = content if edited is None else edited
            sending.outcome = "rewritten"
            body = content if isinstance(content, str) else json.dumps(content)
            # The length and the checksum are those of the old body.
            keep = ("content-type", "x-amzn-requestid")
            headers = {key: value for key, value in response.headers.items() if key.lower() in keep}
            seen[same] = body, headers
            return answer(sending.request.url, response.status_code, headers, body)

        return self._for_a_while(operation, rewritten, seconds, times, after, when)

    def pretend(
        self,
        operation: str,
        make: Callable[[Sending], Any],
        *,
        seconds: float = float("inf"),
        after: str | None = None,
        when: Callable[[Sending], bool] = lambda _: True,
    ) -> Watch:
        """Answer an operation with something made up, without carrying it out.

        Args:
            operation, seconds, after, when: as for `refuse`.
            make: gives the answer: a dictionary, or a text of XML.
        """

        def pretended(sending: Sending) -> AWSResponse:
            content = make(sending)
            sending.outcome = "rewritten"
            body = content if isinstance(content, str) else json.dumps(content)
            return answer(sending.request.url, 200, {"Content-Type": "application/json"}, body)

        return self._for_a_while(operation, pretended, seconds, float("inf"), after, when)

    def delay_effect(self, operation: str, seconds: float, body: str = "{}") -> Watch:
        """Let AWS say yes to the first call of an operation at once, and do it only some seconds later."""
        watch, held = Watch(), []

        def rule(sending: Sending) -> AWSResponse | None:
            if held and watch.passed is None:
                if self.clock() >= watch.ready:
                    held[0].carry_out()
                    watch.passed = self.clock()
                else:
                    sending.outcome = "rewritten"
            if not _matches(operation, sending) or (held and (watch.passed or sending.body != held[0].body)):
                return None
            if not held:
                held.append(sending)
                watch.ready = self.clock() + seconds
            watch.hits.append(self.clock())
            return answer(sending.request.url, 200, {"Content-Type": "application/json"}, body)

        self.rules.append(rule)
        return watch

    def unreachable(self, operation: str, seconds: float) -> Watch:
        """Let nothing get to AWS at all."""

        def raised(sending: Sending) -> AWSResponse:
            sending.outcome = "refused"
            raise EndpointConnectionError(endpoint_url=sending.request.url)

        return self._for_a_while(operation, raised, seconds, float("inf"), None, lambda _: True)

    def lose(
        self, operation: str, how: str = "closed", *, times: float = 1, when: Callable[[Sending], bool] = lambda _: True
    ) -> Watch:
        """Carry an operation out, and lose its answer."""
        return self._for_a_while(operation, lambda sending: sending.lose(how), float("inf"), times, None, when)

    def lose_nth_change(self, number: int, how: str = "closed") -> Watch:
        """Carry out the n-th mutating call (counted from 1), and lose its answer."""
        watch, seen = Watch(), [0]

        def rule(sending: Sending) -> AWSResponse | None:
            if not sending.mutating:
                return None
            seen[0] += 1
            if seen[0] != number:
                return None
            watch.hits.append(self.clock())
            return sending.lose(how)

        self.rules.append(rule)
        return watch

    def refuse_nth(self, number: int, code: Callable[[str], str], message: str, status: int = 400) -> Watch:
        """Refuse the n-th call, and all that follow."""
        watch, seen = Watch(), [0]

        def rule(sending: Sending) -> AWSResponse | None:
            seen[0] += 1
            if seen[0] < number:
                return None
            watch.hits.append(self.clock())
            return sending.refuse(status, code(sending.service), message)

        self.rules.append(rule)
        return watch

    def storm(self, seed: int, refused: float = 0.30, lost: float = 0.05) -> "Storm":
        """Refuse many calls with a throttle, and lose some answers, by chance."""
        storm = Storm(random.Random(seed), refused, lost)
        self.rules.append(storm)
        return storm

    def _for_a_while(
        self,
        operation: str,
        respond: Callable[[Sending], AWSResponse],
        seconds: float,
        times: float,
        after: str | None,
        when: Callable[[Sending], bool],
    ) -> Watch:
        watch, begun, start = Watch(), [None if after else -1.0], len(self.sent)

        def rule(sending: Sending) -> AWSResponse | None:
            if begun[0] is None:
                # An earlier rule may have answered that call, so the rules may not have seen it.
                begun[0] = next((one.at for one in self.sent[start:] if one.operation == after), None)
            if not _matches(operation, sending) or not when(sending) or begun[0] is None:
                return None
            now = self.clock()
            if watch.ready is None:
                watch.ready = (now if after is None else begun[0]) + seconds
            if now >= watch.ready or len(watch.hits) >= times:
                if watch.passed is None and watch.hits:
                    watch.passed = now
                return None
            watch.hits.append(now)
            return respond(sending)

        self.rules.append(rule)
        return watch


class Storm:
    """Throttles and lost answers by chance, the same ones for the same seed and calls."""

    def __init__(self, dice: random.Random, refused: float, lost: float) -> None:
        self.dice, self.p_refused, self.p_lost = dice, refused, lost
        self.calls = self.refused = self.lost = 0

    def __call__(self, sending: Sending) -> AWSResponse | None:
        self.calls += 1
        number = self.dice.random()
        if number < self.p_refused:
            self.refused += 1
            return sending.refuse(*THROTTLES[sending.service])
        if number < self.p_refused + self.p_lost:
            self.lost += 1
            return sending.lose(self.dice.choice(["closed", "timeout", "500", "503"]))
        return None


def _matches(pattern: str, sending: Sending) -> bool:
    if pattern == "*":
        return True
    service, dot, operation = pattern.rpartition(".")
    if dot and service != sending.service:
        return False
    return operation in ("*", sending.operation)


@contextlib.contextmanager
def waiters_sleep(sleep: Callable[[float], None]) -> Iterator[None]:
    """Let boto3's waiters sleep as the workshop does."""
    before = botocore.waiter.time
    botocore.waiter.time = SimpleNamespace(sleep=sleep)
    try:
        yield
    finally:
        botocore.waiter.time = before


def attach_to_all_that_come(faults: Faults) -> None:
    """Stand between AWS and every client that is made from now on. For a process that ends soon: see `in_child`."""
    made = Clients.__call__

    def make(self: Clients, service: str) -> Any:
        new = service not in self._made
        client = made(self, service)
        if new:
            faults.attach_to(service, client)
        return client

    Clients.__call__ = make  # type: ignore[method-assign]


@dataclass(frozen=True)
class Ended:
    """How a child ended.

    Attributes:
        code: its exit code; negative for the signal that killed it.
        out, err: what it printed.
    """

    code: int
    out: str
    err: str


def in_child(folder: Path, work: Callable[[], None]) -> Ended:
    """Do something in a child process, which may be killed, and wait for its end.

    A fork is some hundred times faster than a new interpreter.
    """
    name = uuid.uuid4().hex[:8]
    paths = [folder / f"{name}.{stream}" for stream in ("out", "err")]
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        code = 70
        try:
            for number, path in enumerate(paths, start=1):
                os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), number)
            sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", closefd=False)
            sys.stdin = open(os.devnull)  # noqa: SIM115
            work()
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
        except BaseException:
            traceback.print_exc()
        finally:
            with contextlib.suppress(Exception):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(code)
    _, status = os.waitpid(pid, 0)
    out, err = (path.read_text() if path.exists() else "" for path in paths)
    return Ended(os.waitstatus_to_exitcode(status), out, err)
