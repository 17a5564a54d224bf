"""What a script replaces by variables is what belongs to the recording's place, by where it stands; all else stays."""

import json
import subprocess

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from workshop.aws.clients import Call
from workshop.aws.policies import document, nobody_but
from workshop.awscli.captures import strings
from workshop.awscli.render import render
from workshop.awscli.variables import Variables
from workshop.base.settings import Settings
from workshop.kinds.regions import mark

HERE, THERE = ("us-east-1", "000000000000"), ("eu-central-1", "111122223333")
API = "abc123def4"
STREAM = "arn:aws:dynamodb:{}:{}:table/{}/stream/2026-01-01T00:00:00.000"

# What a person may choose, full of what is somewhere else a region, an account, an id or a stand-in.
TEMPTING = ["us-east-1", "000000000000", "abc123def4", "q0w", "region", "account"]
PREFIX = st.lists(st.sampled_from([*TEMPTING, "a", "-b"]), min_size=1, max_size=2).map(
    lambda parts: "x" + "".join(parts)
)
ENVIRONMENT = st.sampled_from(["dev", "us-east-1", "000000000000", "REGION", "q0wREGIONq0w"])
ARN = "arn:aws:sns:us-east-1:000000000000:topic"
EMAIL = st.lists(
    st.sampled_from([*TEMPTING, ARN, "q0wACCOUNTq0w", "{", '"', "'", "$REGION", "`id`", "\\", "${ACCOUNT}", "é", "+"]),
    min_size=1,
    max_size=5,
).map(lambda parts: f"{''.join(parts)}@example.com")


def calls(place, prefix, environment, email, api):
    """Calls as the steps make them in a region of an account."""
    region, account = place
    own = Settings(prefix=prefix, environment=environment, region=region)
    queue = f"arn:aws:sqs:{region}:{account}:{own.name('ecommerce-orders-queue')}"
    role = f"arn:aws:iam::{account}:role/{own.name('APIGateway-SQS')}"
    allow = document({"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": queue})
    only_role = document(nobody_but("sqs:SendMessage", queue, role))
    stage = f"arn:aws:apigateway:{region}::/restapis/{api}/stages/{environment}"
    tags = [{"Key": key, "Value": value} for key, value in own.tags.items()]
    topic = f"arn:aws:sns:{region}:{account}:{own.name('ecommerce-orders-topic')}"
    made = [
        ("iam", "CreatePolicy", {"PolicyName": own.name("A"), "Path": own.path, "Description": mark(region),
                                 "PolicyDocument": json.dumps(allow)}),
        ("iam", "CreateRole", {"RoleName": own.name("R"), "Tags": [*tags, {"Key": "Region", "Value": region}],
                               "AssumeRolePolicyDocument": "{}"}),
        ("sqs", "CreateQueue", {"QueueName": own.name("Q"), "tags": own.tags,
                                "Attributes": {"Policy": json.dumps(only_role)}}),
        ("sns", "Subscribe", {"TopicArn": topic, "Protocol": "email", "Endpoint": email}),
        ("lambda", "CreateEventSourceMapping", {"FunctionName": own.name("F"), "Tags": own.tags,
                                                "EventSourceArn": STREAM.format(region, account, own.name("T"))}),
        ("apigateway", "PutIntegration", {"restApiId": api, "resourceId": "x", "httpMethod": "POST", "type": "AWS",
                                          "uri": f"arn:aws:apigateway:{region}:sqs:path/{account}/{own.name('Q')}",
                                          "credentials": role}),
        ("apigateway", "TagResource", {"resourceArn": stage, "tags": own.tags}),
    ]  # fmt: skip
    return [Call(service, operation, parameters, {}) for service, operation, parameters in made]


def words_of(commands, **variables):
    """How bash takes commands apart, with these variables."""
    script = "aws() { printf '%s\\0' \"$@\"; }\n" + "\n".join(commands)
    ran = subprocess.run(["bash", "-c", script], env=variables, capture_output=True, check=True)
    return ran.stdout.decode().split("\0")


@settings(max_examples=40, suppress_health_check=list(HealthCheck))
@given(PREFIX, ENVIRONMENT, EMAIL)
@example("us-east-1", "us-east-1", "team-us-east-1@example.com")
@example("x000000000000", "dev", f"{ARN}@example.com")
def test_elsewhere_it_makes_the_calls_that_would_be_made_there(prefix, environment, email):
    recorded = calls(HERE, prefix, environment, email, API)
    variables = Variables(HERE[1], HERE[0], [text for call in recorded for text in strings(call.parameters)])
    variables.names[API] = "REST_API_ID"
    written = [
        render(call.service, call.operation, variables.parameters(call), quote=variables.quote) for call in recorded
    ]
    wanted = [
        render(call.service, call.operation, call.parameters)
        for call in calls(THERE, prefix, environment, email, "another")
    ]
    there = {"REGION": THERE[0], "ACCOUNT": THERE[1], "REST_API_ID": "another"}
    assert words_of(written, **there) == words_of(wanted)


@pytest.mark.parametrize("text", ["", "a b", "it's", "$HOME", 'say "a"'])
def test_a_text_without_variables_is_quoted_as_ever(text):
    variables = Variables(*reversed(HERE), [text])
    assert words_of([f"aws {variables.quote(text)}"]) == [text, ""]
