"""Notebook 06: a statement that lets CloudWatch publish for one alarm of our account, and nobody else."""

import json
import re
from dataclasses import dataclass, replace
from typing import Any

from botocore.exceptions import ClientError

from workshop.aws.evaluator import Decision, as_list, evaluate
from workshop.build.step import Workshop

from .trying import Row, Rows, refusal, scratch_topic

SERVICE, STRANGER = "cloudwatch.amazonaws.com", "111122223333"


@dataclass(frozen=True)
class Call:
    """A call that the statement is tried with.

    Attributes:
        what: the call in words.
        allowed: whether the statement should allow it.
        hint: for when it does not decide so.
        context: the condition keys of the call; whoever calls is among them.
        action, resource: what is called, on what.
    """

    what: str
    allowed: bool
    hint: str
    context: dict[str, str]
    action: str = "sns:Publish"
    resource: str = ""


def topic_arn(ws: Workshop) -> str:
    """The topic that the exercise is about; there is no such topic."""
    return ws.arn("sns", ws.name("alarms"))


def alarm_arn(ws: Workshop, account: str) -> str:
    """The alarm that the exercise is about, in some account."""
    return f"arn:{ws.partition}:cloudwatch:{ws.region}:{account}:alarm:{ws.name('dead-letters')}"


def calls(ws: Workshop, statement: dict[str, Any]) -> list[Call]:
    """Who should get in, and who should not: some whom nobody thinks of, and whoever else the statement names."""
    text = json.dumps(statement)
    accounts = [STRANGER, *sorted(set(re.findall(r"\b\d{12}\b", text)) - {STRANGER, ws.account})]
    services = ["s3.amazonaws.com", *sorted(set(re.findall(r"[\w.-]+\.amazonaws\.com", text)) - {SERVICE})]
    alarm, account = alarm_arn(ws, ws.account), ws.account

    def service(name: str, account: str, alarm: str) -> dict[str, str]:
        # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
        return {
            "aws:PrincipalServiceName": name,
            "aws:PrincipalIsAWSService": "true",
            "aws:SecureTransport": "true",
            "aws:SourceAccount": account,
            "aws:SourceArn": alarm,
        }

    ours = service(SERVICE, account, alarm)
    sourceless = {key: value for key, value in ours.items() if not key.startswith("aws:Source")}
    role = {"aws:PrincipalArn": f"arn:{ws.partition}:iam::{STRANGER}:role/somebody", "aws:SecureTransport": "true"}
    only = f'Write "Principal": {{"Service": "{SERVICE}"}}.'
    same = f'"StringEquals": {{"aws:SourceAccount": "{account}"}}, or "ArnLike": {{"aws:SourceArn": "{alarm}"}}'
    return [
        Call("our alarm may publish", True, f"It is refused. Does the condition hold for us? {same}.", ours),
        *(Call(f"an alarm of the account {other} may not", False, f"It gets in. The condition is {same}.",
               service(SERVICE, other, alarm_arn(ws, other))) for other in accounts),
        Call("a call that doesn't say for whom may not", False, f"It gets in. A condition with …IfExists or Not… also"
             f" holds where the key is missing: {same}.", sourceless),
        *(Call(f"the service {other} may not", False, f"It gets in. {only}", service(other, account, alarm))
          for other in services),
        Call("a role of another account may not", False, f"It gets in. {only}", role),
        Call("our alarm may not publish elsewhere", False, f"It may. The resource is {topic_arn(ws)}.", ours,
             resource=ws.arn("sns", ws.name("ecommerce-orders-topic"))),
    ]  # fmt: skip


def try_statement(ws: Workshop, statement: dict[str, Any]) -> str:
    """Put the statement into the policy of a topic of its own. Returns what SNS says against it, if anything."""
    with scratch_topic(ws, 6) as arn:
        # A topic's policy speaks of that topic only.
        resources = [arn if one == topic_arn(ws) else one for one in as_list(statement.get("Resource", []))]
        policy = document(statement | {"Resource": resources} if resources else statement)
        try:
            ws.client("sns").set_topic_attributes(
                TopicArn=arn, AttributeName="Policy", AttributeValue=json.dumps(policy)
            )
        except ClientError as error:
            if not error.response["Error"]["Code"].startswith("Invalid"):
                raise
            return refusal(error)
    return ""


def decide(ws: Workshop, statement: dict[str, Any], call: Call) -> Decision:
    """What IAM's rules say to a call, with this statement alone: SNS cannot be called as another service."""
    return evaluate([document(statement)], call.action, call.resource or topic_arn(ws), call.context)


def document(statement: dict[str, Any]) -> dict[str, Any]:
    """A policy of one statement."""
    return {"Version": "2012-10-17", "Statement": [statement]}


def check(ws: Workshop, answer: Any) -> Rows:
    """Give the statement to SNS, then try calls that it should allow and calls that it should not."""
    given = isinstance(answer, dict) and bool(answer)
    yield Row("there is a statement", given, "A dictionary with Effect, Principal, Action, Resource and Condition.")
    if not given:
        return
    trouble = incomplete(answer) or try_statement(ws, answer)
    first, *others = calls(ws, answer)
    decision: Decision = "unknown"
    if not trouble:
        try:
            decision = decide(ws, answer, first)
        except (ValueError, TypeError, AttributeError) as error:
            trouble = f"It is not a statement: {error}."
        else:
            if decision == "unknown":
                trouble = f"IAM cannot read the condition {answer.get('Condition')}. Try the operator StringEquals."
    yield Row("SNS takes it", not trouble, trouble)
    if trouble:
        return
    yield Row(first.what, decision == "allow", refused_why(ws, answer, first))
    for call in others:
        yield Row(call.what, decide(ws, answer, call) not in ("allow", "unknown"), call.hint)
    actions = [f"sns:{name}" for name in ws.client("sns").meta.service_model.operation_names if name != "Publish"]
    surplus = [action for action in actions if decide(ws, answer, replace(first, action=action)) == "allow"]
    hint = f"It also allows {', '.join(surplus[:3])}{' and more' if surplus[3:] else ''}. Name the one action."
    yield Row("our alarm may only publish", not surplus, hint)


def incomplete(statement: dict[str, Any]) -> str:
    """A hint for a statement that lacks an element which a topic's policy needs."""
    elements = ("Effect", "Principal", "Action", "Resource")
    missing = [one for one in elements if one not in statement and f"Not{one}" not in statement]
    return f"A topic's policy needs {' and '.join(missing)} in each statement." if missing else ""


def refused_why(ws: Workshop, statement: dict[str, Any], call: Call) -> str:
    """A hint for a statement that does not let our alarm in: the first element that keeps it out."""
    if statement.get("Effect") != "Allow":
        return '"Effect" is Allow here.'
    easy: dict[str, Any] = {
        "Principal": {"Service": SERVICE},
        "Action": "sns:Publish",
        "Resource": topic_arn(ws),
        "Condition": {},
    }
    for element, value in easy.items():
        if decide(ws, statement | {element: value}, call) == "allow":
            return call.hint if element == "Condition" else f'It is refused. Write "{element}": {json.dumps(value)}.'
    return "It is refused for more than one reason. Look at Principal, Action and Resource, one by one."
