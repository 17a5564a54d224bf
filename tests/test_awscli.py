"""Every command that we print is read back by the AWS CLI itself, and means the same request."""

import logging
import subprocess

import pytest
from awscli.clidriver import create_clidriver
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from workshop.awscli.render import render
from workshop.build.function_code import packed

#: Every operation that the steps, the checks and the clean-up call with parameters.
OPERATIONS = {
    "iam": "CreatePolicy CreatePolicyVersion DeletePolicyVersion ListPolicyVersions DeletePolicy GetPolicy"
    " GetPolicyVersion CreateRole GetRole UpdateAssumeRolePolicy AttachRolePolicy DetachRolePolicy DeleteRolePolicy"
    " DeleteRole TagRole ListAttachedRolePolicies ListRolePolicies ListEntitiesForPolicy"
    " SimulatePrincipalPolicy",
    "dynamodb": "CreateTable DescribeTable UpdateTable DeleteTable TagResource ListTagsOfResource GetItem DeleteItem"
    " Scan",
    "sqs": "CreateQueue GetQueueUrl GetQueueAttributes SetQueueAttributes TagQueue ListQueueTags DeleteQueue"
    " ReceiveMessage DeleteMessage ChangeMessageVisibility",
    "logs": "CreateLogGroup PutRetentionPolicy DescribeLogGroups TagResource ListTagsForResource DeleteLogGroup"
    " FilterLogEvents",
    "lambda": "CreateFunction GetFunction UpdateFunctionConfiguration UpdateFunctionCode DeleteFunction TagResource"
    " ListTags CreateEventSourceMapping UpdateEventSourceMapping DeleteEventSourceMapping ListEventSourceMappings",
    "sns": "CreateTopic GetTopicAttributes SetTopicAttributes Subscribe ListSubscriptionsByTopic Unsubscribe"
    " DeleteTopic TagResource ListTagsForResource",
    "apigateway": "CreateRestApi UpdateRestApi DeleteRestApi GetRestApis CreateModel UpdateModel GetModels"
    " CreateRequestValidator UpdateRequestValidator GetRequestValidators CreateResource GetResources PutMethod"
    " DeleteMethod PutIntegration PutMethodResponse PutIntegrationResponse CreateDeployment GetDeployment GetStages"
    " GetStage UpdateStage TagResource GetTags",
    "resourcegroupstaggingapi": "GetResources",
}
CASES = [(service, operation) for service, names in OPERATIONS.items() for operation in names.split()]
#: Parameters of which the CLI makes something of its own (pagination, files), or that carry no data.
LEFT_OUT = {"Marker", "NextToken", "nextToken", "position", "limit", "Limit", "MaxItems", "PageSize", "Code", "Publish"}

# The CLI tells much of what it does, and pytest would keep all of it.
logging.disable(logging.CRITICAL)
DRIVER = create_clidriver()
PACKAGE = packed("a function")
MODELS = DRIVER.session

# Characters that shells and parsers stumble over, beside the ordinary ones.
TEXT = st.text(
    st.one_of(
        st.sampled_from(" '\"\\$`!&|;<>(){}[]=,:*?~#%@-+\n\té🧽"), st.characters(codec="utf-8", exclude_characters="\0")
    ),
    min_size=1,
    max_size=20,
) | st.sampled_from(["-x", "--name", "file://a", "https://a", "[]", "{}", "a=b,c=d", "null", "true", "007", '{"a": 1}'])


def values(shape, depth=0):
    """A strategy for values of a shape of botocore's model."""
    if shape.type_name == "string":
        return st.sampled_from(shape.enum) if shape.enum else TEXT
    if shape.type_name in ("integer", "long"):
        return st.integers(0, 2**31 - 1)
    if shape.type_name == "boolean":
        return st.booleans()
    if shape.type_name == "blob":
        # A function's package is the only thing that we send as bytes.
        return st.just(PACKAGE) if depth == 1 else st.nothing()
    if shape.type_name == "list":
        return st.lists(values(shape.member, depth + 1), min_size=1, max_size=3)
    if shape.type_name == "map":
        return st.dictionaries(values(shape.key), values(shape.value, depth + 1), min_size=1, max_size=3)
    if shape.type_name == "structure" and depth < 4:
        return structures(shape, depth)
    return st.nothing()


def structures(shape, depth=0):
    """A strategy for structures: what is required, and some of the rest."""
    members = {
        name: values(member, depth + 1)
        for name, member in shape.members.items()
        if name not in LEFT_OUT
        and not (getattr(shape, "is_tagged_union", False) or (member.type_name == "structure" and depth > 2))
    }
    required = {name: strategy for name, strategy in members.items() if name in shape.required_members}
    optional = {name: strategy for name, strategy in members.items() if name not in required}
    some = st.lists(st.sampled_from(sorted(optional)), unique=True, max_size=4) if optional else st.just([])
    return some.flatmap(lambda names: st.fixed_dictionaries(required | {name: optional[name] for name in names}))


def words_of(command):
    """How bash itself takes a command apart."""
    script = f"aws() {{ printf '%s\\0' \"$@\"; }}\n{command}\n"
    return subprocess.run(["bash", "-c", script], capture_output=True, check=True).stdout.decode().split("\0")[:-1]


def read_back(command):
    """What request the AWS CLI would send for a command."""
    seen = {}

    def instead_of_calling(call_parameters, **_):
        seen.update(call_parameters)
        return 0

    event = "calling-command.*"
    MODELS.register(event, instead_of_calling)
    try:
        code = DRIVER.main([*words_of(command), "--region", "us-east-1", "--no-paginate"])
    finally:
        MODELS.unregister(event, instead_of_calling)
    assert code == 0, command
    return seen


def try_examples(service, operation, examples):
    shape = MODELS.get_service_model(service).operation_model(operation).input_shape

    @settings(max_examples=examples, suppress_health_check=list(HealthCheck))
    @given(structures(shape))
    def same(parameters):
        assert read_back(render(service, operation, parameters)) == parameters

    same()


@pytest.fixture(autouse=True)
def _package(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "function.zip").write_bytes(PACKAGE)


@pytest.mark.parametrize(("service", "operation"), CASES, ids=lambda value: value)
def test_the_cli_reads_what_we_write(service, operation):
    try_examples(service, operation, 3)


@pytest.mark.exhaustive
@pytest.mark.parametrize(("service", "operation"), CASES, ids=lambda value: value)
def test_the_cli_reads_much_of_what_we_write(service, operation):
    try_examples(service, operation, 25)


def test_a_package_is_a_file():
    command = render(
        "lambda", "CreateFunction", {"FunctionName": "f", "Code": {"ZipFile": PACKAGE}}, "POC-Lambda-1.zip"
    )
    assert "--zip-file fileb://POC-Lambda-1.zip" in command
