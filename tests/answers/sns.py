"""Answers to the exercise of `sns`: a statement that lets CloudWatch's alarms publish."""

from answers import changed, value


def alarms(ws):
    return ws.arn("sns", ws.name("alarms"))


def alarm(ws, account=None):
    return f"arn:aws:cloudwatch:{ws.region}:{account or ws.account}:alarm:{ws.name('dead-letters')}"


def statement(ws):
    return {
        "Effect": "Allow",
        "Principal": {"Service": "cloudwatch.amazonaws.com"},
        "Action": "sns:Publish",
        "Resource": alarms(ws),
        "Condition": {"StringEquals": {"aws:SourceAccount": ws.account}},
    }


def on_condition(operator, key="aws:SourceAccount", value=lambda ws: ws.account):
    return lambda ws: statement(ws) | {"Condition": {operator: {key: value(ws)}}}


blank = value({})
RIGHT = [
    statement,
    on_condition("ArnLike", "aws:SourceArn", alarm),
    on_condition("ArnLike", "AWS:SourceArn", lambda ws: f"arn:aws:cloudwatch:*:{ws.account}:alarm:*"),
    lambda ws: statement(ws) | {"Sid": "Alarm", "Action": ["SNS:Publish"], "Resource": [alarms(ws)]},
]
WRONG = {
    "anybody's alarm": (changed(statement, Condition=None), "It gets in. The condition is"),
    "ours and a friend's": (
        on_condition("StringEquals", value=lambda ws: [ws.account, "444455556666"]),
        "It gets in. The condition is",
    ),
    "a second service": (
        changed(statement, Principal={"Service": ["cloudwatch.amazonaws.com", "events.amazonaws.com"]}),
        'It gets in. Write "Principal"',
    ),
    "not our account": (on_condition("StringNotEquals"), "Does the condition hold for us?"),
    "another account": (
        on_condition("StringEquals", value=lambda ws: "111122223333"),
        "Does the condition hold for us?",
    ),
    "no such operator": (on_condition("Banana"), "IAM cannot read the condition {'Banana':"),
    "if it exists": (on_condition("StringEqualsIfExists"), "also holds where the key is missing"),
    "but for one": (
        on_condition("StringNotEquals", value=lambda ws: "111122223333"),
        "also holds where the key is missing",
    ),
    "any alarm's ARN": (on_condition("ArnLike", "aws:SourceArn", lambda ws: "*"), "Try the operator StringEquals"),
    "everybody": (changed(statement, Principal="*"), 'It gets in. Write "Principal"'),
    "every service of ours": (
        changed(statement, Principal={"Service": ["cloudwatch.amazonaws.com", "s3.amazonaws.com"]}),
        'It gets in. Write "Principal"',
    ),
    "our account for the service": (
        lambda ws: statement(ws) | {"Principal": {"AWS": ws.account}},
        'Write "Principal": {"Service": "cloudwatch.amazonaws.com"}',
    ),
    "every action": (changed(statement, Action="sns:*"), "It also allows sns:AddPermission"),
    "another action": (changed(statement, Action="sns:Subscribe"), 'Write "Action": "sns:Publish"'),
    "every topic": (changed(statement, Resource="*"), "The resource is arn:"),
    "the orders' topic": (
        lambda ws: statement(ws) | {"Resource": ws.arn("sns", ws.name("ecommerce-orders-topic"))},
        'Write "Resource": "arn:',
    ),
    "a deny": (changed(statement, Effect="Deny"), '"Effect" is Allow here'),
    "no principal": (changed(statement, Principal=None), "A topic's policy needs Principal"),
}
