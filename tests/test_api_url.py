"""Where orders go: the API's URL in every place of AWS, and its first answers after a deployment."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import boto3
import pytest
from faults import Faults
from support import hurry, mails

from workshop.aws.clients import Clients
from workshop.aws.waiter import Waiter
from workshop.base.console import Console
from workshop.base.http import post
from workshop.base.settings import Settings
from workshop.base.state import State
from workshop.build.opening import OpenWorkshop, load_steps
from workshop.commands.verify import grade
from workshop.orders import probe
from workshop.orders.api import api_url


@pytest.mark.parametrize(
    ("region", "variables", "host"),
    [
        ("us-east-1", {}, "execute-api.us-east-1.amazonaws.com"),
        ("us-east-1", {"AWS_USE_FIPS_ENDPOINT": "true"}, "execute-api.us-east-1.amazonaws.com"),
        ("eu-central-1", {"AWS_USE_DUALSTACK_ENDPOINT": "true"}, "execute-api.eu-central-1.amazonaws.com"),
        (
            "us-west-2",
            {"AWS_USE_FIPS_ENDPOINT": "true", "AWS_USE_DUALSTACK_ENDPOINT": "true"},
            "execute-api.us-west-2.amazonaws.com",
        ),
        ("us-gov-west-1", {"AWS_USE_FIPS_ENDPOINT": "true"}, "execute-api.us-gov-west-1.amazonaws.com"),
        ("cn-north-1", {}, "execute-api.cn-north-1.amazonaws.com.cn"),
        ("cn-north-1", {"AWS_USE_DUALSTACK_ENDPOINT": "true"}, "execute-api.cn-north-1.amazonaws.com.cn"),
        ("eusc-de-east-1", {}, "execute-api.eusc-de-east-1.amazonaws.eu"),
        # An interface endpoint of one's own network.
        (
            "us-east-1",
            {"AWS_ENDPOINT_URL_API_GATEWAY": "https://vpce-1a2b.apigateway.us-east-1.vpce.amazonaws.com"},
            "execute-api.us-east-1.amazonaws.com",
        ),
    ],
)
def test_the_url_does_not_depend_on_how_aws_is_called(tmp_path, monkeypatch, region, variables, host):
    for name, value in (variables | {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}).items():
        monkeypatch.setenv(name, value)
    settings = Settings(target="aws", region=region, prefix="alice", state_dir=tmp_path)
    waiter = Waiter(print)
    clients = Clients(boto3.Session(region_name=region), waiter)
    # Nothing of this test goes out.
    layer = Faults().attach(clients)
    tags = settings.tags
    layer.pretend("GetRestApis", lambda _: {"item": [{"id": "a1b2c3", "name": "alice-ecommerce-orders-api"}]})
    layer.pretend("GetTags", lambda _: {"tags": tags})
    layer.pretend("GetStages", lambda _: {"item": [{"stageName": "dev", "deploymentId": "d1"}]})
    partition = clients("sts").meta.partition
    integration = {
        "uri": f"arn:{partition}:apigateway:{region}:sqs:path/123456789012/alice-ecommerce-orders-queue",
        "credentials": f"arn:{partition}:iam::123456789012:role/alice-APIGateway-SQS",
    }
    post_orders = {"/orders": {"post": {"x-amazon-apigateway-integration": integration}}}
    layer.pretend("GetExport", lambda _: {"paths": post_orders})
    steps = load_steps()
    ws = OpenWorkshop(
        settings=settings, account="123456789012", partition=partition, identity="arn:aws:iam::123456789012:user/alice",
        client=clients, state=State.load(settings, "123456789012"), console=Console(), waiter=waiter,
        steps=steps, parts=[part for step in steps for part in step.parts],
    )  # fmt: skip
    assert api_url(ws) == f"https://a1b2c3.{host}/dev/orders"


class Reluctant:
    """A front of the API that does not know it yet: it answers 403 or 404 so many times, or always.

    https://repost.aws/knowledge-center/api-gateway-troubleshoot-403-forbidden
    """

    def __init__(self, ws: OpenWorkshop, status: int, times: float) -> None:
        url, bundle, self.refused = api_url(ws), ws.client.ca_bundle, 0

        front = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if front.refused < times:
                    front.refused += 1
                    code, answer = status, {"message": "Forbidden"}
                else:
                    code, answer = post(url, body, self.headers["Content-Type"], bundle)
                text = json.dumps(answer).encode()
                self.send_response(code)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/dev/orders"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def reluctant(built, monkeypatch):
    """Put such a front before the API: `reluctant(403, times)`."""
    fronts = []

    def put(status: int, times: float) -> Reluctant:
        fronts.append(Reluctant(built, status, times))
        monkeypatch.setattr(probe, "api_url", lambda _: fronts[-1].url)
        return fronts[-1]

    yield put
    for front in fronts:
        front.server.shutdown()
        front.server.server_close()


@pytest.mark.parametrize("status", [403, pytest.param(404, marks=pytest.mark.slow)])
def test_the_first_answers_after_a_deployment_are_waited_for(built, reluctant, status):
    front = reluctant(status, 4)
    told = len(mails(built))
    # What becomes of the order behind the API is the business of other tests.
    verdicts = [verdict for verdict in grade(built, [built.steps[7]]) if not verdict.name.startswith("and is")]
    assert [verdict for verdict in verdicts if not verdict.passed] == []
    assert front.refused == 4
    # What was refused never came to the queue.
    assert len(mails(built)) <= told + 1


@pytest.mark.parametrize("status", [403, pytest.param(404, marks=pytest.mark.slow)])
def test_an_api_that_refuses_for_ever_is_red(built, reluctant, monkeypatch, status):
    front = reluctant(status, float("inf"))
    monkeypatch.setattr(built, "waiter", Waiter(built.console.note))
    hurry(built)
    verdicts = {verdict.name: verdict for verdict in grade(built, [built.steps[7]])}
    assert not verdicts["a valid order is accepted"].passed
    assert not verdicts["an order without a product is rejected"].passed
    assert str(status) in verdicts["a valid order is accepted"].detail
    # It is waited for once, and not by each of the checks again.
    asked = len([check for check in built.steps[7].checks if check.sends])
    assert front.refused < asked + 25
