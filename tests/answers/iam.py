"""Answers to the exercise of `iam`: a policy that lets read one order."""

from answers import value


def table(ws):
    return ws.arn("dynamodb", f"table/{ws.name('ecommerce-orders')}")


def policy(action="dynamodb:GetItem", resource=table, **more):
    def build(ws):
        on = resource(ws) if callable(resource) else resource
        statement = {"Effect": "Allow", "Action": action, "Resource": on} | more
        statement = {key: value for key, value in statement.items() if value is not None}
        return {"Version": "2012-10-17", "Statement": [statement]}

    return build


def with_denial(ws):
    denial = {"Effect": "Deny", "Action": "dynamodb:DeleteItem", "Resource": "*"}
    return {"Version": "2012-10-17", "Statement": [*policy()(ws)["Statement"], denial]}


def also(action, on="*"):
    def build(ws):
        more = {"Effect": "Allow", "Action": action, "Resource": on}
        return {"Version": "2012-10-17", "Statement": [*policy()(ws)["Statement"], more]}

    return build


blank = value({"Version": "2012-10-17", "Statement": []})
RIGHT = [
    policy(),
    policy(action=["dynamodb:getitem"], resource=lambda ws: [table(ws)], Sid="LookUp"),
    with_denial,
    policy(Condition={"Bool": {"aws:SecureTransport": "true"}}),
]
WRONG = {
    "another action": (policy("dynamodb:Query"), "IAM denies dynamodb:GetItem"),
    "an action too many": (policy(["dynamodb:GetItem", "dynamodb:DeleteTable"]), "dynamodb:DeleteTable. Name one"),
    "every action": (policy("dynamodb:*"), "It also allows dynamodb:BatchExecuteStatement"),
    "all that read": (policy("dynamodb:Get*"), "It also allows dynamodb:GetResourcePolicy"),
    "PartiQL": (policy(["dynamodb:GetItem", "dynamodb:PartiQLSelect"]), "dynamodb:PartiQLSelect. Name one action"),
    "every table": (policy(resource="*"), "on table/somebody-elses-table"),
    "tables that begin so": (policy(resource=lambda ws: f"{table(ws)}*"), "ecommerce-orders-archive"),
    "any region": (
        policy(resource=lambda ws: table(ws).replace(ws.region, "*")),
        "Name one resource, the whole ARN",
    ),
    "users": (also("iam:CreateUser"), "It also allows iam:CreateUser on *"),
    "some action elsewhere": (also("ec2:RunInstances"), "It also allows ec2:RunInstances on *"),
    "a family of actions elsewhere": (also("sns:Set*"), "It also allows sns:SetEndpointAttributes on *"),
    "everything but": (policy(action=None, NotAction="dynamodb:PutItem"), "It also allows"),
    "everywhere but": (
        policy(resource=None, NotResource="arn:aws:dynamodb:us-east-1:111122223333:table/x"),
        "Name one resource",
    ),
    "two tables": (
        policy(resource=lambda ws: [table(ws), ws.arn("dynamodb", "table/customers")]),
        "dynamodb:GetItem on table/customers",
    ),
    "a queue too": (also("sqs:PurgeQueue", "arn:aws:sqs:us-east-1:000000000000:q*"), "sqs:PurgeQueue on qx"),
    "a name for an ARN": (
        policy(resource=lambda ws: ws.name("ecommerce-orders")),
        "IAM denies dynamodb:GetItem on arn:",
    ),
    "a deny": (policy(Effect="Deny"), "IAM denies dynamodb:GetItem"),
    "small letters": (policy(Effect="allow"), "AWS refuses it"),
    "a misspelt element": (policy(action=None, Actions="dynamodb:GetItem"), "AWS refuses it"),
    "a condition that never holds": (
        policy(Condition={"Bool": {"aws:SecureTransport": "false"}}),
        "does any condition hold",
    ),
    "no version": (lambda ws: {"Statement": policy()(ws)["Statement"]}, "reads it by older rules"),
}
