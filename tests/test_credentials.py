"""Terminal, step file and notebook take the same credentials as plain boto3, and say the same when they are no good."""

import sys
from typing import Any

import boto3
import pytest
from botocore import exceptions
from botocore.exceptions import ClientError
from conftest import new_prefix
from support import run

from workshop import notebook
from workshop.aws.error_messages import explain
from workshop.base.errors import UsageError, WorkshopError
from workshop.embedded import Embedded
from workshop.notebook.errors import show_error

READER = "trainee@example.com"


@pytest.fixture(scope="module")
def people(open_ws):
    """Two IAM users: `{name: (ARN, key, secret)}`."""
    ws = open_ws(new_prefix())
    iam, made = ws.client("iam"), {}
    for who in ("keyes", "profila"):
        name = f"{who}-{ws.settings.prefix}"
        arn = iam.create_user(UserName=name)["User"]["Arn"]
        key = iam.create_access_key(UserName=name)["AccessKey"]
        made[who] = (arn, key["AccessKeyId"], key["SecretAccessKey"])
    yield made
    for arn, key, _ in made.values():
        iam.delete_access_key(UserName=arn.rpartition("/")[2], AccessKeyId=key)
        iam.delete_user(UserName=arn.rpartition("/")[2])


@pytest.fixture
def place(people, state_dir, tmp_path, monkeypatch):
    """An AWS configuration with the profiles `training` and `default`; sets variables for test and children."""
    _, key, secret = people["profila"]
    _, other, other_secret = people["keyes"]
    (tmp_path / "config").write_text(
        f"[profile training]\naws_access_key_id = {key}\naws_secret_access_key = {secret}\nregion = eu-central-1\n"
        f"[default]\naws_access_key_id = {other}\naws_secret_access_key = {other_secret}\n"
    )

    def given(*names: str) -> dict[str, str]:
        instance = Embedded(state_dir).running()
        env = {
            "AWS_CONFIG_FILE": str(tmp_path / "config"),
            "AWS_ENDPOINT_URL": instance.endpoint,
            "AWS_CA_BUNDLE": str(instance.ca_bundle),
            "WORKSHOP_TARGET": "aws",
            "WORKSHOP_PREFIX": "nobody-builds",
            "WORKSHOP_STATE_DIR": str(tmp_path / "state"),
            "WORKSHOP_EMAIL": READER,
        }
        if "keys" in names:
            env |= {"AWS_ACCESS_KEY_ID": other, "AWS_SECRET_ACCESS_KEY": other_secret}
        if "AWS_PROFILE" in names:
            env["AWS_PROFILE"] = "training"
        for name, value in env.items():
            monkeypatch.setenv(name, value)
        return env

    return given


@pytest.mark.parametrize(
    ("variables", "profile", "who", "region"),
    [
        # https://docs.aws.amazon.com/cli/latest/userguide/cli-configure-envvars.html: keys go before AWS_PROFILE, and
        # what was typed goes before both. The profile's region counts in any case.
        (["keys", "AWS_PROFILE"], None, "keyes", "eu-central-1"),
        (["keys", "AWS_PROFILE"], "training", "profila", "eu-central-1"),
        (["keys"], "training", "profila", "eu-central-1"),
        (["AWS_PROFILE"], None, "profila", "eu-central-1"),
        (["AWS_PROFILE"], "default", "keyes", "us-east-1"),
        (["keys"], None, "keyes", "us-east-1"),
    ],
)
def test_everybody_takes_the_same(place, people, variables, profile, who, region):
    env, (arn, _, _) = place(*variables), people[who]
    session = boto3.Session(profile_name=profile, region_name=region)
    assert session.client("sts").get_caller_identity()["Arn"] == arn
    typed = ["--profile", profile] if profile else []
    # Without a yes, a step says who asks and where, and ends.
    for program in (["workshop", "01_iam"], ["steps/01_iam.py"]):
        ran = run(*program, *typed, env=env)
        assert arn in ran.out
        assert region in ran.out
    ws = notebook.begin(1, profile=profile, yes=True)
    assert (ws.identity, ws.region) == (arn, region)
    # A remedy names only a profile that was typed: a variable stays set.
    assert ws.settings.profile == profile


def test_a_profile_that_is_none_is_wrong_usage_everywhere(place, monkeypatch):
    env = place("keys")
    said = run("workshop", "01_iam", "--profile", "nosuch", env=env)
    with pytest.raises(UsageError) as refusal:
        notebook.begin(1, profile="nosuch", yes=True)
    assert (said.code, said.err) == (2, f"Error: {refusal.value}\n")
    # The embedded AWS needs none, but who names one has made a mistake there, too.
    with pytest.raises(UsageError, match="nosuch"):
        notebook.begin(1, target="local", profile="nosuch")


@pytest.mark.parametrize("wrong", [{"region": ""}, {"environment": ""}, {"target": "AWS"}, {"email": "nobody"}])
def test_a_value_that_is_none_is_wrong_usage_everywhere(place, wrong):
    env = place("keys")
    ((name, value),) = wrong.items()
    said = run("workshop", "01_iam", f"--{name}", value, env=env)
    with pytest.raises(UsageError) as refusal:
        notebook.begin(1, yes=True, **wrong)
    assert (said.code, said.err) == (2, f"Error: {refusal.value}\n")


def client_error(code: str, message: str = "It is so.") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, "CreateQueue")


#: An error, and what must stand in the one line that a person gets.
ERRORS: dict[str, tuple[Exception, list[str]]] = {
    "ours": (WorkshopError("The queue is missing.", "Run: workshop 03_sqs"), ["queue is missing", "workshop 03_sqs"]),
    "no credentials": (exceptions.NoCredentialsError(), ["no AWS credentials", "aws configure", "profile"]),
    "half of the credentials": (
        exceptions.PartialCredentialsError(provider="env", cred_var="AWS_SECRET_ACCESS_KEY"),
        ["AWS_SECRET_ACCESS_KEY", "aws configure list"]),
    "signed out": (exceptions.UnauthorizedSSOTokenError(), ["sso login"]),
    "never signed in": (exceptions.SSOTokenLoadError(error_msg="Token for x does not exist"), ["sso login"]),
    "sign-in not renewed": (exceptions.TokenRetrievalError(provider="sso", error_msg="expired"), ["sso login"]),
    "login that ended": (exceptions.LoginRefreshRequired(), ["aws login"]),
    "a helper that fails": (
        exceptions.CredentialRetrievalError(provider="custom-process", error_msg="exit 1"), ["aws configure list"]),
    "a circle of profiles": (exceptions.InvalidConfigError(error_msg="no source_profile"), ["aws configure list"]),
    "expired": (client_error("ExpiredToken"), ["CreateQueue", "ExpiredToken", "expired", "sso login"]),
    "unknown": (client_error("InvalidClientTokenId"), ["does not know these credentials"]),
    "denied": (client_error("AccessDenied"), ["AccessDenied", "workshop policy"]),
    "another answer": (client_error("LimitExceeded"), ["LimitExceeded", "again"]),
    "no connection": (exceptions.EndpointConnectionError(endpoint_url="http://127.0.0.1:9"), ["cannot be reached"]),
    "a value that AWS does not take": (exceptions.ParamValidationError(report="x"), ["fault of the workshop"]),
}  # fmt: skip


@pytest.mark.parametrize(("error", "words"), ERRORS.values(), ids=ERRORS)
def test_each_error_is_one_line_and_the_same_everywhere(error, words):
    line = str(explain(error))
    for word in words:
        assert word in line
    assert "\n" not in line
    assert said_in_a_notebook(error) in (line, line.replace("Run the same command again", "Run this cell again"))


def said_in_a_notebook(error: Exception) -> str:
    """What a cell shows that ends with an error."""

    class Shell:
        shown: Any = None

        def _showtraceback(self, kind: type, value: Exception, lines: list[str]) -> None:
            self.shown = lines

    shell = Shell()
    show_error(shell, type(error), error, sys.exc_info()[2])
    (line,) = shell.shown
    return line.partition("\x1b[0m ")[2]


@pytest.mark.parametrize("command", [["status"], ["up", "--yes"], ["doctor"]])
def test_without_credentials_every_command_names_the_same_remedy(tmp_path, command):
    env = {"WORKSHOP_TARGET": "aws", "WORKSHOP_STATE_DIR": str(tmp_path), "WORKSHOP_EMAIL": READER}
    ran = run("workshop", *command, env=env)
    remedy = explain(exceptions.NoCredentialsError()).remedy
    assert ran.code == 1
    assert len(ran.errors) == 1
    assert ran.errors[0].endswith(remedy)
