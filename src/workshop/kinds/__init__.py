"""The kinds of AWS resources that the workshop makes, a module for each service.

A kind knows all that is special to it: how one is found by its name, which tags it carries, how it is tagged and
deleted, its ARN, and what a participant needs to be allowed. Steps, `status`, `cleanup`, the checks and the policies
all ask here, so that they mean the same thing. A new kind is a module here and its line in `KINDS`.
"""

from workshop.kinds.apigateway import APIGATEWAY
from workshop.kinds.dynamodb import DYNAMODB
from workshop.kinds.iam import IAM
from workshop.kinds.kind import Kind
from workshop.kinds.lambda_ import LAMBDA
from workshop.kinds.sns import SNS
from workshop.kinds.sqs import SQS

__all__ = ["KINDS", "PART_OF", "Kind"]

KINDS: dict[str, Kind] = {**IAM, **DYNAMODB, **SQS, **LAMBDA, **SNS, **APIGATEWAY}

#: What lies within another resource and is deleted with it: `{kind: the kind that holds it}`. What has no entry in
#: `KINDS` has no name or tags of its own, so the step that makes it looks for it.
PART_OF = {
    "stream": "table",
    "stage": "rest-api",
    "request-model": "rest-api",
    "request-validator": "rest-api",
    "api-resource": "rest-api",
    "method": "rest-api",
}
