"""The evaluator decides as IAM does: a table of cases, each with the page of the IAM user guide that it comes from."""

import pytest

from workshop.aws.evaluator import evaluate

GUIDE = "https://docs.aws.amazon.com/IAM/latest/UserGuide/"
QUEUE = "arn:aws:sqs:us-east-1:123456789012:orders"
OTHER = "arn:aws:sqs:us-east-1:123456789012:other"
ROLE = "arn:aws:iam::123456789012:role/app"
SESSION = "arn:aws:sts::123456789012:assumed-role/app/one"
USER = "arn:aws:iam::123456789012:user/alice"
FOREIGN = "arn:aws:iam::210987654321:role/app"
IT, NOT, OPEN = "deny", "implicit", "unknown"


def decide(statement, context=None, action="sqs:SendMessage", resource=QUEUE, version="2012-10-17"):
    """What a deny with these elements comes to: `deny` if the statement applies, else `implicit`."""
    whole = {"Effect": "Deny", "Principal": "*", "Action": "sqs:*", "Resource": "*"} | statement
    whole = {key: value for key, value in whole.items() if value is not None}
    return evaluate([{"Version": version, "Statement": whole}], action, resource, context)


# How elements are matched: (page, elements of the statement, context, expected).
ELEMENTS = {
    "elements_resource": [
        ({"Resource": QUEUE}, {}, IT),
        ({"Resource": OTHER}, {}, NOT),
        ({"Resource": [OTHER, QUEUE]}, {}, IT),
        ({"Resource": "arn:aws:sqs:*:123456789012:ord*"}, {}, IT),
        ({"Resource": "arn:aws:sqs:us-east-?:123456789012:orders"}, {}, IT),
        ({"Resource": "arn:aws:sqs:us-east-1:123456789012:Orders"}, {}, NOT),
        # A bracket is a bracket, and no set of characters.
        ({"Resource": "arn:aws:sqs:us-east-1:123456789012:[o]rders"}, {}, NOT),
        # A wildcard at the end of a part goes on over the colons; within a part it does not.
        ({"Resource": "arn:aws:sqs:*"}, {}, IT),
        ({"Resource": "arn:aws:sqs:us*:orders"}, {}, IT),
        ({"Resource": "arn:aws:sqs:us*2:orders"}, {}, NOT),
        ({"Resource": "arn:aws:sqs:us*1:123456789012:orders"}, {}, IT),
    ],
    "elements_notresource": [
        ({"Resource": None, "NotResource": QUEUE}, {}, NOT),
        ({"Resource": None, "NotResource": OTHER}, {}, IT),
        ({"Resource": None, "NotResource": [OTHER, QUEUE]}, {}, NOT),
    ],
    "elements_action": [
        ({"Action": "SQS:sendmessage"}, {}, IT),
        ({"Action": ["sqs:ReceiveMessage", "sqs:Send*"]}, {}, IT),
        ({"Action": "sqs:Send?essage"}, {}, IT),
        ({"Action": "sqs:ReceiveMessage"}, {}, NOT),
        ({"Action": "sns:*"}, {}, NOT),
        ({"Action": "*"}, {}, IT),
    ],
    "elements_notaction": [
        ({"Action": None, "NotAction": "sqs:ReceiveMessage"}, {}, IT),
        ({"Action": None, "NotAction": ["sqs:ReceiveMessage", "SQS:SEND*"]}, {}, NOT),
    ],
    "elements_principal": [
        ({"Principal": "*"}, {}, IT),
        ({"Principal": {"AWS": "*"}}, {}, IT),
        ({"Principal": {"AWS": ["*"]}}, {"aws:PrincipalArn": ROLE}, IT),
        ({"Principal": {"AWS": ROLE}}, {"aws:PrincipalArn": ROLE}, IT),
        ({"Principal": {"AWS": ROLE}}, {"aws:PrincipalArn": USER}, NOT),
        ({"Principal": {"AWS": [USER, ROLE]}}, {"aws:PrincipalArn": ROLE}, IT),
        # An account is each of its principals; its number and its root's ARN are two ways to write it.
        ({"Principal": {"AWS": "123456789012"}}, {"aws:PrincipalArn": ROLE}, IT),
        ({"Principal": {"AWS": "arn:aws:iam::123456789012:root"}}, {"aws:PrincipalArn": USER}, IT),
        ({"Principal": {"AWS": "123456789012"}}, {"aws:PrincipalArn": FOREIGN}, NOT),
        # A session has the name of its role as well.
        ({"Principal": {"AWS": ROLE}}, {"aws:PrincipalArn": SESSION}, IT),
        # Part of a name cannot be a wildcard.
        ({"Principal": {"AWS": "arn:aws:iam::123456789012:role/*"}}, {"aws:PrincipalArn": ROLE}, NOT),
        ({"Principal": {"Service": "events.amazonaws.com"}}, {"aws:PrincipalServiceName": "events.amazonaws.com"}, IT),
        ({"Principal": {"Service": "events.amazonaws.com"}}, {"aws:PrincipalArn": ROLE}, NOT),
        ({"Principal": {"Service": "*"}}, {"aws:PrincipalArn": ROLE}, NOT),
        # Nobody in particular is asking: only `*` speaks of them.
        ({"Principal": {"AWS": ROLE}}, {}, NOT),
        # A policy of an identity names nobody.
        ({"Principal": None}, {"aws:PrincipalArn": ROLE}, IT),
    ],
    "elements_notprincipal": [
        ({"Principal": None, "NotPrincipal": {"AWS": USER}}, {"aws:PrincipalArn": ROLE}, IT),
        ({"Principal": None, "NotPrincipal": {"AWS": USER}}, {}, IT),
        # Only who is named together with the account is certainly spared.
        ({"Principal": None, "NotPrincipal": {"AWS": [ROLE, "123456789012"]}}, {"aws:PrincipalArn": ROLE}, NOT),
        ({"Principal": None, "NotPrincipal": {"AWS": ROLE}}, {"aws:PrincipalArn": ROLE}, OPEN),
        ({"Principal": None, "NotPrincipal": {"AWS": "123456789012"}}, {"aws:PrincipalArn": ROLE}, OPEN),
        (
            {"Principal": None, "NotPrincipal": {"AWS": [ROLE, SESSION, "123456789012"]}},
            {"aws:PrincipalArn": SESSION},
            NOT,
        ),
    ],
    "variables": [
        ({"Resource": "arn:aws:sqs:us-east-1:123456789012:${aws:username}"}, {"aws:username": "orders"}, IT),
        ({"Resource": "arn:aws:sqs:us-east-1:123456789012:${AWS:UserName}"}, {"aws:username": "orders"}, IT),
        ({"Resource": "arn:aws:sqs:us-east-1:${aws:PrincipalAccount}:*"}, {"aws:PrincipalAccount": "123456789012"}, IT),
        ({"Resource": "arn:aws:sqs:us-east-1:123456789012:${aws:username}"}, {"aws:username": "bob"}, NOT),
        # A variable without a value makes the statement invalid, as far as one can tell.
        ({"Resource": "arn:aws:sqs:us-east-1:123456789012:${aws:username}"}, {}, OPEN),
        ({"Resource": "arn:aws:sqs:us-east-1:123456789012:${aws:username, 'orders'}"}, {}, IT),
        ({"Resource": "arn:aws:sqs:us-east-1:123456789012:${aws:username, 'orders'}"}, {"aws:username": "bob"}, NOT),
        # A wildcard that is to be plain is written as a variable; one in a value is plain already.
        ({"Resource": "arn:aws:sqs:us-east-1:123456789012:${*}"}, {}, NOT),
        ({"Resource": "arn:aws:sqs:us-east-1:123456789012:${aws:username}"}, {"aws:username": "*"}, NOT),
        ({"Condition": {"StringLike": {"aws:username": "a${*}c"}}}, {"aws:username": "abc"}, NOT),
        ({"Condition": {"StringLike": {"aws:username": "a${*}c"}}}, {"aws:username": "a*c"}, IT),
        ({"Condition": {"StringEquals": {"aws:username": "a${*}c"}}}, {"aws:username": "a*c"}, IT),
        ({"Condition": {"StringEquals": {"a:1": "${a:2}"}}}, {"a:1": "a", "a:2": "a"}, IT),
        ({"Condition": {"StringEquals": {"aws:username": "${aws:userid}"}}}, {"aws:username": "a"}, OPEN),
    ],
}  # fmt: skip

# Conditions: (page, operator, what the policy says, what the call has, expected).
KEY = "test:Key"
CONDITIONS = {
    "elements_condition_operators.html#Conditions_String": [
        ("StringEquals", "a", "a", IT),
        ("StringEquals", "a", "A", NOT),
        ("StringEquals", ["b", "a"], "a", IT),
        ("StringEquals", "a*", "ab", NOT),
        ("StringEquals", "a", None, NOT),
        ("StringEqualsIgnoreCase", "AlIcE", "alice", IT),
        ("StringLike", "a*", "ab", IT),
        ("StringLike", "a?", "ab", IT),
        ("StringLike", "a?", "abc", NOT),
        ("StringLike", "[ab]", "a", NOT),
        ("StringLike", "A*", "ab", NOT),
        ("StringNotEquals", "a", "b", IT),
        ("StringNotEquals", "a", "a", NOT),
        ("StringNotLike", "a*", "ab", NOT),
        ("StringNotEqualsIgnoreCase", "A", "a", NOT),
        ("StringNotEqualsIgnoreCase", "A", "b", IT),
    ],
    # Several values: one must match; of a negated operator, none may.
    "condition-logic-multiple-context-keys-or-values": [
        ("StringNotEquals", ["a", "b"], "a", NOT),
        ("StringNotEquals", ["a", "b"], "b", NOT),
        ("StringNotEquals", ["a", "b"], "c", IT),
        ("StringNotLike", ["a*", "b*"], "bc", NOT),
        ("ArnNotLike", [ROLE, USER], USER, NOT),
        ("ArnNotLike", [ROLE, USER], FOREIGN, IT),
        ("NotIpAddress", ["10.0.0.0/8", "192.0.2.0/24"], "192.0.2.7", NOT),
        ("NotIpAddress", ["10.0.0.0/8", "192.0.2.0/24"], "203.0.113.1", IT),
    ],
    # A key that is not there: the negated operators hold, the others do not.
    "elements_condition_operators": [
        ("StringNotEquals", "a", None, IT),
        ("StringNotLike", "a*", None, IT),
        ("ArnNotLike", ROLE, None, IT),
        ("ArnNotEquals", ROLE, None, IT),
        ("NotIpAddress", "10.0.0.0/8", None, IT),
        ("NumericNotEquals", "1", None, IT),
        ("DateNotEquals", "2026-01-01", None, IT),
        ("ArnLike", ROLE, None, NOT),
        ("IpAddress", "10.0.0.0/8", None, NOT),
        ("Bool", "false", None, NOT),
        ("NumericLessThan", "1", None, NOT),
    ],
    "elements_condition_operators.html#Conditions_ARN": [
        ("ArnEquals", ROLE, ROLE, IT),
        ("ArnEquals", "arn:aws:iam::*:role/a*", ROLE, IT),
        ("ArnLike", "arn:aws:iam::123456789012:role/*", ROLE, IT),
        ("ArnLike", "arn:aws:iam::123456789012:role/*", USER, NOT),
        # Each of the six parts is compared by itself: a wildcard does not go on over a colon.
        ("ArnLike", "arn:aws:*:role/app", ROLE, OPEN),
        ("ArnLike", "arn:aws:*:*:*:*", ROLE, IT),
        ("ArnNotEquals", ROLE, ROLE, NOT),
        # What is no ARN at all says nothing for certain.
        ("ArnLike", "*", ROLE, OPEN),
        ("ArnNotLike", "*", ROLE, OPEN),
        ("ArnLike", ROLE, "no-arn", NOT),
    ],
    "elements_condition_operators.html#Conditions_Boolean": [
        ("Bool", "false", "false", IT),
        ("Bool", False, "false", IT),
        ("Bool", "true", "false", NOT),
        ("Bool", "False", "false", IT),
    ],
    "elements_condition_operators.html#Conditions_Numeric": [
        ("NumericEquals", "10", "10.0", IT),
        ("NumericLessThan", 10, "9", IT),
        ("NumericLessThan", 10, "10", NOT),
        ("NumericLessThanEquals", "10", "10", IT),
        ("NumericGreaterThan", "9", "10", IT),
        ("NumericGreaterThanEquals", "11", "10", NOT),
        ("NumericNotEquals", ["1", "2"], "2", NOT),
        ("NumericEquals", "ten", "10", OPEN),
    ],
    "elements_condition_operators.html#Conditions_Date": [
        ("DateLessThan", "2026-01-01T00:00:00Z", "2025-12-31T23:59:59Z", IT),
        ("DateLessThan", "2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z", NOT),
        ("DateGreaterThan", "2026-01-01", "2026-01-01T00:00:01Z", IT),
        ("DateEquals", "1767225600", "2026-01-01T00:00:00Z", IT),
        ("DateNotEquals", "2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z", NOT),
        ("DateLessThanEquals", "2026-01-01T01:00:00+01:00", "2026-01-01T00:00:00Z", IT),
        ("DateLessThan", "tomorrow", "2026-01-01T00:00:00Z", OPEN),
    ],
    "elements_condition_operators.html#Conditions_IPAddress": [
        ("IpAddress", "203.0.113.0/24", "203.0.113.9", IT),
        ("IpAddress", "203.0.113.9", "203.0.113.9", IT),
        ("IpAddress", "203.0.113.0/24", "198.51.100.1", NOT),
        ("IpAddress", ["203.0.113.0/24", "2001:db8::/32"], "2001:db8::1", IT),
        ("IpAddress", "0.0.0.0/0", "2001:db8::1", NOT),
        ("NotIpAddress", "127.0.0.0/8", "127.0.0.1", NOT),
        ("NotIpAddress", "127.0.0.0/8", "203.0.113.1", IT),
        ("IpAddress", "everywhere", "203.0.113.1", OPEN),
    ],
    "elements_condition_operators.html#Conditions_BinaryEquals": [
        ("BinaryEquals", "QmluYXJ5", "QmluYXJ5", IT),
        ("BinaryEquals", "QmluYXJ5", "b3RoZXI=", NOT),
    ],
    "elements_condition_operators.html#Conditions_IfExists": [
        ("StringEqualsIfExists", "a", None, IT),
        ("StringEqualsIfExists", "a", "a", IT),
        ("StringEqualsIfExists", "a", "b", NOT),
        ("BoolIfExists", "false", None, IT),
        ("BoolIfExists", "false", "true", NOT),
        ("StringNotEqualsIfExists", "a", None, IT),
        ("ArnLikeIfExists", ROLE, None, IT),
        ("ArnNotLikeIfExists", ROLE, ROLE, NOT),
    ],
    "elements_condition_operators.html#Conditions_Null": [
        ("Null", "true", None, IT),
        ("Null", "true", "a", NOT),
        ("Null", "false", None, NOT),
        ("Null", "false", "a", IT),
        ("Null", False, "a", IT),
    ],
    "condition-single-vs-multi-valued-context-keys": [
        ("ForAllValues:StringEquals", ["a", "b"], ["a"], IT),
        ("ForAllValues:StringEquals", ["a", "b"], ["a", "b"], IT),
        ("ForAllValues:StringEquals", ["a", "b"], ["a", "c"], NOT),
        # It also holds for a call without the key, or with none of its values.
        ("ForAllValues:StringEquals", ["a", "b"], None, IT),
        ("ForAllValues:StringEquals", ["a", "b"], [], IT),
        ("ForAnyValue:StringEquals", ["a", "b"], ["c", "b"], IT),
        ("ForAnyValue:StringEquals", ["a", "b"], ["c", "d"], NOT),
        ("ForAnyValue:StringEquals", ["a", "b"], None, NOT),
        ("ForAnyValue:StringLike", "a*", ["xa", "ax"], IT),
        ("ForAllValues:StringNotEquals", ["a", "b"], ["c", "d"], IT),
        ("ForAllValues:StringNotEquals", ["a", "b"], ["c", "a"], NOT),
        ("ForAnyValue:StringNotEquals", ["a", "b"], ["a", "c"], IT),
        ("ForAnyValue:StringNotEquals", ["a", "b"], ["a", "b"], NOT),
        ("ForAnyValue:StringNotEquals", ["a", "b"], None, NOT),
        ("ForAnyValue:StringEqualsIfExists", "a", None, OPEN),
        # Several values without a set operator: the guide says only that there must be one.
        ("StringEquals", "a", ["a", "b"], OPEN),
    ],
    "elements_condition": [
        # Neither IAM nor anybody else has these.
        ("Banana", "a", "a", OPEN),
        ("BoolNot", "a", "a", OPEN),
        ("ForSomeValues:StringEquals", "a", "a", OPEN),
        ("", "a", "a", OPEN),
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("elements", "context", "expected", "page"), [(*case, page) for page, cases in ELEMENTS.items() for case in cases]
)
def test_elements(elements, context, expected, page):
    assert decide(elements, context) == expected, f"{GUIDE}reference_policies_{page}.html"


@pytest.mark.parametrize(
    ("operator", "should", "found", "expected", "page"),
    [(*case, page) for page, cases in CONDITIONS.items() for case in cases],
)
def test_conditions(operator, should, found, expected, page):
    context = {} if found is None else {KEY: found}
    statement = {"Condition": {operator: {KEY.upper(): should}}}
    assert decide(statement, context) == expected, f"{GUIDE}reference_policies_{page}"


def test_before_2012_variables_are_plain_text():
    # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_version.html
    statement = {"Condition": {"StringEquals": {"aws:username": "${aws:userid}"}}}
    context = {"aws:username": "a", "aws:userid": "a"}
    assert [decide(statement, context, version=v) for v in ("2012-10-17", "2008-10-17", None)] == [IT, NOT, NOT]


def test_all_conditions_must_hold():
    # Keys and operators are joined by and; what cannot be told does not matter beside what does not hold.
    both = {"Bool": {"aws:SecureTransport": "false"}, "NotIpAddress": {"aws:SourceIp": "127.0.0.0/8"}}
    for secure, address, expected in (
        ("false", "203.0.113.1", IT), ("true", "203.0.113.1", NOT), ("false", "127.0.0.1", NOT),
    ):  # fmt: skip
        assert decide({"Condition": both}, {"aws:SecureTransport": secure, "aws:SourceIp": address}) == expected
    banana = both | {"Banana": {"aws:SourceIp": "1"}}
    assert decide({"Condition": banana}, {"aws:SecureTransport": "true"}) == NOT
    assert decide({"Condition": banana}, {"aws:SecureTransport": "false", "aws:SourceIp": "203.0.113.1"}) == OPEN


ALLOW, DENY = ({"Effect": e, "Action": "sqs:*", "Resource": "*"} for e in ("Allow", "Deny"))
UNKNOWN = {"Banana": {"aws:SourceIp": "1"}}


# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
@pytest.mark.parametrize(
    ("statements", "expected"),
    [
        ([], "implicit"),
        ([ALLOW], "allow"),
        ([ALLOW, DENY], "deny"),
        ([DENY, ALLOW], "deny"),
        ([ALLOW, DENY | {"Resource": OTHER}], "allow"),
        ([DENY | {"Resource": OTHER}], "implicit"),
        # What cannot be told is neither allowed nor denied, unless something else decides.
        ([ALLOW | {"Condition": UNKNOWN}], "unknown"),
        ([DENY | {"Condition": UNKNOWN}], "unknown"),
        ([ALLOW, ALLOW | {"Condition": UNKNOWN}], "allow"),
        ([ALLOW, DENY | {"Condition": UNKNOWN}], "unknown"),
        ([DENY, DENY | {"Condition": UNKNOWN}], "deny"),
        ([ALLOW, DENY | {"Condition": UNKNOWN, "Resource": OTHER}], "allow"),
    ],
)
def test_statements_and_documents_together(statements, expected):
    def document(statement):
        return {"Version": "2012-10-17", "Statement": statement}

    together = evaluate([document(statements)], "sqs:SendMessage", QUEUE)
    apart = evaluate([document(one) for one in statements], "sqs:SendMessage", QUEUE)
    assert [together, apart] == [expected, expected]


@pytest.mark.parametrize("statement", [{"Effect": "deny", "Action": "*"}, {"Action": "*"}, "Deny", None])
def test_what_is_no_policy_is_not_weighed(statement):
    with pytest.raises(ValueError, match="not a policy statement"):
        evaluate([{"Statement": [statement]}], "sqs:SendMessage", QUEUE)
