"""Notebook 01: a policy that reads single orders, and does nothing else."""

import json
import re
from fnmatch import fnmatchcase
from typing import Any

import boto3
from botocore.exceptions import ClientError

from workshop.aws.evaluator import as_list, evaluate
from workshop.build.step import Workshop

from .trying import Row, Rows, refusal, scratch_policy

WANTED = "dynamodb:GetItem"
#: Actions of DynamoDB that are not operations of its API.
PARTIQL = [f"dynamodb:PartiQL{verb}" for verb in ("Select", "Insert", "Update", "Delete")]
#: What an answer with `NotAction`, or with a wildcard for the service, would allow.
ELSEWHERE = ["iam:CreateUser", "iam:PassRole", "lambda:InvokeFunction", "s3:GetObject", "sqs:SendMessage"]

Right = tuple[str, str]


def try_policy(ws: Workshop, document: dict[str, Any], rights: list[Right]) -> tuple[set[Right], set[Right]]:
    """Ask what a policy allows: IAM itself, and the rules of IAM as the workshop has them.

    IAM's simulation does not know every condition key, so the rules weigh conditions.
    https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulateCustomPolicy.html

    Returns:
        What IAM allows, and what the rules do not rule out.
    """
    context = {"aws:SecureTransport": "true", "aws:RequestedRegion": ws.region}
    simulated: set[Right] = set()
    pages = ws.client("iam").get_paginator("simulate_custom_policy")
    for resource in dict.fromkeys(resource for _, resource in rights):
        actions = [action for action, on in rights if on == resource]
        for page in pages.paginate(
            PolicyInputList=[json.dumps(document)],
            ActionNames=actions,
            ResourceArns=[resource],
            ContextEntries=[
                {"ContextKeyName": key, "ContextKeyValues": [value], "ContextKeyType": "string"}
                for key, value in context.items()
            ],
        ):
            simulated |= {
                (result["EvalActionName"], resource)
                for result in page["EvaluationResults"]
                if result["EvalDecision"] == "allowed"
            }
    return simulated, {right for right in rights if by_the_rules(document, right, context)}


def by_the_rules(document: dict[str, Any], right: Right, context: dict[str, str]) -> bool:
    """Whether a policy allows something, or may allow it."""
    return evaluate([document], *right, context) in ("allow", "unknown")


def surplus_rights(ws: Workshop, table: str) -> list[Right]:
    """Everything that the answer might allow too much, on our table and elsewhere."""
    dynamodb = [f"dynamodb:{name}" for name in ws.client("dynamodb").meta.service_model.operation_names] + PARTIQL
    neighbours = [
        f"{table}-archive",
        ws.arn("dynamodb", "table/somebody-elses-table"),
        table.replace(f":{ws.region}:", ":eu-west-3:" if ws.region != "eu-west-3" else ":eu-west-1:"),
    ]
    return [
        *((action, table) for action in dynamodb if action != WANTED),
        *((action, neighbour) for neighbour in neighbours for action in (WANTED, "dynamodb:PutItem")),
        *((action, "*") for action in ELSEWHERE),
    ]


def named_rights(ws: Workshop, document: dict[str, Any]) -> list[Right]:
    """What the statements name: each action on each resource, with something that fits in the place of a wildcard."""
    return [
        (
            WANTED if action.lower() == WANTED.lower() else action,
            resource if resource == "*" else re.sub("[*?]", "x", resource),
        )
        for statement in as_list(document["Statement"])
        for pattern in as_list(statement.get("Action", []))
        for action in matching_actions(ws, pattern)
        for resource in as_list(statement.get("Resource", []))
    ]


def matching_actions(ws: Workshop, pattern: str) -> list[str]:
    """The actions that a pattern stands for; itself, if it has no wildcard or its service is not known."""
    service, _, name = pattern.partition(":")
    if not set("*?") & set(name) or service not in boto3.Session().get_available_services():
        return [pattern]
    names = ws.client(service).meta.service_model.operation_names
    return [f"{service}:{one}" for one in names if fnmatchcase(one.lower(), name.lower())]


def check(ws: Workshop, answer: Any) -> Rows:
    """Have IAM read the policy, then try what it allows and what it must not allow."""
    given = isinstance(answer, dict) and bool(answer.get("Statement"))
    yield Row("there is a statement", given, 'Put a statement with "Effect", "Action" and "Resource" into the list.')
    if not given:
        return
    version = answer.get("Version") == "2012-10-17"
    yield Row("it names its version", version, '"Version": "2012-10-17"; without it, IAM reads it by older rules.')
    trouble = ""
    try:
        with scratch_policy(ws, 1, json.dumps(answer)):
            pass
        evaluate([answer], WANTED, "*")
    except ClientError as error:
        if error.response["Error"]["Code"] != "MalformedPolicyDocument":
            raise
        trouble = refusal(error)
    except (ValueError, TypeError, AttributeError) as error:
        trouble = f"It is not a policy: {error}."
    yield Row("IAM takes it", not trouble, trouble)
    if trouble:
        return
    table = ws.arn("dynamodb", f"table/{ws.name('ecommerce-orders')}")
    wanted = (WANTED, table)
    simulated, ruled = try_policy(ws, answer, [wanted, *surplus_rights(ws, table)])
    conditional = any("Condition" in statement for statement in as_list(answer["Statement"]))
    yield Row(
        "one order can be looked up",
        wanted in ruled and (wanted in simulated or conditional),
        f"IAM denies {WANTED} on {table}. Is it exactly this action and this ARN, and does any condition hold?",
    )
    # IAM is not asked for actions that the policy names, since they may not exist.
    named = {right for right in named_rights(ws, answer) if by_the_rules(answer, right, {})}
    surplus = sorted((simulated | ruled | named) - {wanted})
    others = [f"{action} on {resource.split(':')[-1]}" for action, resource in surplus if resource != table]
    actions = [action for action, resource in surplus if resource == table]
    yield Row(
        "nothing else can be done with the orders table",
        not actions,
        f"It also allows {listed(actions)}. Name one action, without a wildcard.",
    )
    yield Row(
        "nothing can be done anywhere else",
        not others,
        f"It also allows {listed(others)}. Name one resource, the whole ARN, without a wildcard.",
    )


def listed(names: list[str], most: int = 3) -> str:
    """The first names of a list, and how many more there are."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
