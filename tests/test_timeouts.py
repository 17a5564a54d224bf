"""However long AWS takes, a function ends before its timeout, and says in its log what it could not do."""

import json
import socket
import time
from types import SimpleNamespace

import pytest
from botocore.exceptions import ReadTimeoutError
from handlers import Invocation, load_function, message, printed, stream_record

#: The function's folder, and the name of its client.
FUNCTIONS = {"POC-Lambda-1": ("poc-lambda-1", "dynamodb"), "POC-Lambda-2": ("poc-lambda-2", "sns")}
#: botocore's standard mode waits a random part of so many seconds before the n-th retry, and never longer than 20.
#: https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html
BACK_OFF, LONGEST_BACK_OFF = 2, 20
MESSAGES = [message(number, '{"productId": "1", "quantity": 1}') for number in range(25)]
#: Of sizes that ask for several e-mails.
RECORDS = [stream_record("INSERT", f"order-{n}", {"productName": {"S": "x" * 2000}}) for n in range(1000)]


@pytest.fixture(autouse=True)
def _environment(monkeypatch):
    """What Lambda sets for the functions."""
    monkeypatch.setenv("TABLE_NAME", "orders")
    monkeypatch.setenv("TOPIC_ARN", "arn:aws:sns:us-east-1:123456789012:orders")


def longest_call(client) -> float:
    """How long one call of a client takes if nobody answers, in seconds, from what it is configured with."""
    config = client.meta.config
    attempts = config.retries["total_max_attempts"]
    pauses = sum(min(BACK_OFF**retry, LONGEST_BACK_OFF) for retry in range(attempts - 1))
    return attempts * (config.connect_timeout + config.read_timeout) + pauses


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_longest_call_fits_into_the_time_that_is_left(built, name):
    folder, client = FUNCTIONS[name]
    function, timeout = load_function(folder), built.need("function", name)["Timeout"]
    # A call begins only with that much time left, so its end can be logged.
    assert longest_call(getattr(function, client)) < function.LONGEST_CALL_MILLISECONDS / 1000
    # And before the last one there is time for others: for another e-mail, for a table that is full for a moment.
    assert 0.6 * timeout >= function.LONGEST_CALL_MILLISECONDS / 1000


class SlowTopic:
    """SNS, when every call takes its time; after so many answers, the next one never comes."""

    def __init__(self, invocation: Invocation, seconds: float, answers: int) -> None:
        self.invocation, self.seconds, self.answers = invocation, seconds, answers
        self.published = 0

    def publish(self, **_: str) -> dict[str, str]:
        self.invocation.sleep(self.seconds)
        if self.published == self.answers:
            raise ReadTimeoutError(endpoint_url="https://sns.example.com")
        self.published += 1
        return {"MessageId": str(self.published)}


@pytest.mark.parametrize(("seconds", "answers"), [(13, 0), (13, 1), (6, 99), (2, 5)])
def test_what_was_not_notified_is_logged_before_the_timeout(built, monkeypatch, seconds, answers):
    function = load_function("poc-lambda-2")
    invocation = Invocation(built.need("function", "POC-Lambda-2")["Timeout"])
    topic = SlowTopic(invocation, seconds, answers)
    monkeypatch.setattr(function, "sns", topic)
    with printed() as lines, pytest.raises(function.NotNotified):
        function.handler({"Records": RECORDS}, invocation)
    events = [json.loads(line)["event"] for line in lines]
    assert events == ["notified"] * topic.published + ["not notified"]
    assert invocation.left > 0


@pytest.fixture
def silence():
    """A server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=16) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.slow
@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_server_that_never_answers(built, silence, name):
    timeout = built.need("function", name)["Timeout"]
    function = load_function(FUNCTIONS[name][0], AWS_ENDPOINT_URL=silence)
    end = time.monotonic() + timeout
    context = SimpleNamespace(get_remaining_time_in_millis=lambda: round(1000 * (end - time.monotonic())))
    with printed() as lines:
        if name == "POC-Lambda-1":
            answer = function.handler({"Records": MESSAGES}, context)
            assert len(answer["batchItemFailures"]) == len(MESSAGES)
        else:
            with pytest.raises(function.NotNotified):
                function.handler({"Records": RECORDS}, context)
    assert {json.loads(line)["event"] for line in lines} <= {"not stored", "not notified"}
    assert all("ReadTimeoutError" in json.loads(line)["reason"] for line in lines)
    assert lines
