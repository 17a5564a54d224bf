"""The checks of queue and topic policies see what a policy really does, however it is written."""

import pytest
from conftest import new_prefix

from workshop.aws.policies import document, nobody_but, only_tls
from workshop.build.checks import lets_through, refuses_plain_http, refuses_strangers

QUEUE, TOPIC = "ecommerce-orders-queue", "ecommerce-orders-topic"
TLS, ONLY, LETS = "plain HTTP is rejected", "only the role can send", "the role is let through"


class Place:
    """Where a policy is put, in the words of the cases below."""

    def __init__(self, ws, service: str) -> None:
        self.ws, self.service = ws, service
        base, self.send, self.every, role = {
            "sqs": (QUEUE, "sqs:SendMessage", "sqs:*", "APIGateway-SQS"),
            "sns": (TOPIC, "sns:Publish", "sns:Publish", "Lambda-DynamoDB-SNS"),
        }[service]
        self.arn, self.role = ws.arn(service, ws.name(base)), ws.arn("iam", f"role/{ws.name(role)}")
        self.root = ws.arn("iam", "root")
        self.other = ws.arn(service, "somebody-elses")

    def only(self, **changes):
        """The statement that keeps everybody else out, with other elements."""
        return nobody_but(self.send, self.arn, self.role) | changes

    def tls(self, **changes):
        """AWS's standard statement against plain HTTP, with other elements."""
        return only_tls(self.every, self.arn) | {"Condition": {"Bool": {"aws:SecureTransport": "false"}}} | changes

    def deny(self, **elements):
        """One more denial."""
        return {"Effect": "Deny", "Principal": "*", "Action": self.send, "Resource": self.arn} | elements

    def red(self, *statements) -> set[str]:
        """Which of the three checks of a policy with these statements fail."""
        about = (self.ws, document(*statements), self.arn)
        findings = {
            TLS: refuses_plain_http(*about, self.send),
            ONLY: refuses_strangers(*about, self.send, self.role),
            LETS: lets_through(*about, self.send, self.role),
        }
        assert all(finding.detail for finding in findings.values())
        return {name for name, finding in findings.items() if not finding.passed}


def instead(place, condition):
    """The statement that keeps everybody else out, under another condition."""
    return [place.only(Condition=condition), place.tls()]


#: What the policy says: (its statements, which checks fail).
CASES = {
    "as the step writes it": (lambda p: [p.only(), only_tls(p.every, p.arn)], set()),
    "AWS's standard form": (lambda p: [p.only(), p.tls()], set()),
    "no statement": (lambda p: [], {TLS, ONLY}),
    # The resource.
    "TLS on another resource": (lambda p: [p.only(), p.tls(Resource=p.other)], {TLS}),
    "everybody else on another resource": (lambda p: [p.only(Resource=p.other), p.tls()], {ONLY}),
    "both on a list that has it": (lambda p: [p.only(Resource=[p.other, p.arn]), p.tls(Resource="*")], set()),
    "all but this resource": (
        lambda p: [{k: v for k, v in p.tls(NotResource=p.arn).items() if k != "Resource"}, p.only()], {TLS}),
    "all but another resource": (
        lambda p: [{k: v for k, v in p.tls(NotResource=p.other).items() if k != "Resource"}, p.only()], set()),
    # Who.
    "TLS for one role": (lambda p: [p.only(), p.tls(Principal={"AWS": p.role})], {TLS}),
    "TLS for AWS principals": (lambda p: [p.only(), p.tls(Principal={"AWS": ["*"]})], set()),
    "one stranger named": (
        lambda p: [p.only(Principal={"AWS": p.ws.arn("iam", "role/somebody-else")}), p.tls()], {ONLY}),
    "only strangers of this account": (lambda p: [p.only(Principal={"AWS": p.ws.account}), p.tls()], {ONLY}),
    "NotPrincipal with the account, which spares everybody in it": (
        lambda p: [{k: v for k, v in p.deny(NotPrincipal={"AWS": [p.role, p.ws.account]}).items() if k != "Principal"},
                   p.tls()], {ONLY}),
    # Conditions.
    "one role too many": (lambda p: instead(p, {"ArnNotLike": {"aws:PrincipalArn": [p.role, p.role + "-2"]}}), {ONLY}),
    "every role": (lambda p: instead(p, {"ArnNotLike": {"aws:PrincipalArn": p.ws.arn("iam", "role/*")}}), {ONLY}),
    "the role of any account": (
        lambda p: instead(p, {"ArnNotLike": {"aws:PrincipalArn": p.role.replace(p.ws.account, "*")}}), {ONLY}),
    "the other way round": (lambda p: instead(p, {"ArnLike": {"aws:PrincipalArn": p.role}}), {ONLY, LETS}),
    "by text, which is as good": (
        lambda p: instead(p, {"StringNotEquals": {"aws:PrincipalArn": [p.role, p.root]}}), set()),
    "the key in capitals": (lambda p: instead(p, {"ArnNotEquals": {"AWS:PRINCIPALARN": [p.role, p.root]}}), set()),
    "only if another key is there": (
        lambda p: instead(p, {"ArnNotLike": {"aws:PrincipalArn": p.role}, "Null": {"aws:SourceVpce": "false"}}),
        {ONLY}),
    "one role of any name too many": (
        lambda p: instead(p, {"ArnNotLike": {"aws:PrincipalArn": [p.role, p.ws.arn("iam", "role/bob")]}}), {ONLY}),
    "TLS the wrong way round": (
        lambda p: [p.only(), p.tls(Condition={"Bool": {"aws:SecureTransport": "true"}})], {TLS, LETS}),
    "TLS only from one address": (lambda p: [p.only(), p.tls(Condition={
        "Bool": {"aws:SecureTransport": "false"}, "IpAddress": {"aws:SourceIp": "198.51.100.7"}})], {TLS}),
    "TLS with IfExists": (
        lambda p: [p.only(), p.tls(Condition={"BoolIfExists": {"aws:SecureTransport": "false"}})], set()),
    # The role that must get through.
    "the role itself is denied": (lambda p: [p.only(), p.tls(), p.deny(Principal={"AWS": p.role})], {LETS}),
    "denied unless from an endpoint that the call does not use": (
        lambda p: [p.only(), p.tls(), p.deny(Condition={"StringNotEquals": {"aws:SourceVpce": "vpce-1"}})], {LETS}),
    "denied on another resource": (lambda p: [p.only(), p.tls(), p.deny(Resource=p.other)], set()),
    # No operator of IAM: it is certain of nothing, neither that it keeps out nor that it lets through.
    "an operator that is none": (lambda p: instead(p, {"Banana": {"aws:PrincipalArn": p.role}}), {ONLY, LETS}),
    "a second one that is none": (
        lambda p: [p.only(), p.tls(), p.deny(Condition={"Banana": {"aws:PrincipalArn": p.role}})], {LETS}),
}  # fmt: skip


@pytest.fixture(scope="module")
def ws(open_ws):
    """A participant for whom nothing has to be built."""
    return open_ws(new_prefix())


@pytest.mark.parametrize("service", ["sqs", "sns"])
@pytest.mark.parametrize(("statements", "red"), CASES.values(), ids=CASES)
def test_a_policy_is_read_as_iam_reads_it(ws, service, statements, red):
    place = Place(ws, service)
    assert place.red(*statements(place)) == red
