"""The CloudFormation templates and their scripts, as files: what they promise, and what they carry."""

import json
import re
import shutil
import subprocess
import sys

import pytest
import yaml
from support import BIN, LONGEST_COMMAND, ROOT, eventually, not_present, run

from workshop.build.opening import load
from workshop.embedded import Embedded
from workshop.embedded.stacks import complete
from workshop.kinds.regions import mark

FOLDER = ROOT / "infrastructure/cloudformation"
SCRIPTS = ROOT / "infrastructure/scripts"
TEMPLATES = ["main", "iam", "dynamodb", "sqs", "lambda", "sns", "api-gateway"]
#: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html: without a bucket.
LARGEST_WITHOUT_PACKAGING = 51_200


class Loader(yaml.SafeLoader):
    """Reads a template; `!Sub x` becomes `{"Sub": x}`."""


def intrinsic(loader, name, node):
    """The value of a node whose tag is an intrinsic function."""
    return {name: loader.construct_sequence(node, True) if node.id == "sequence" else node.value}


Loader.add_multi_constructor("!", intrinsic)


def template(name: str) -> dict:
    """A template, parsed."""
    return yaml.load((FOLDER / f"{name}.yaml").read_text(), Loader)


def resources(kind: str) -> list[dict]:
    """All resources of a type, over all templates."""
    return [one for name in TEMPLATES for one in template(name)["Resources"].values() if one["Type"] == kind]


def test_there_are_these_templates_and_no_others():
    assert sorted(path.stem for path in FOLDER.iterdir()) == sorted(TEMPLATES)


@pytest.mark.parametrize("name", TEMPLATES)
def test_parameters_are_those_of_the_specification(name):
    parameters = template(name)["Parameters"]
    assert parameters["Environment"]["Default"] == "dev"
    assert parameters["Prefix"]["Default"] == ""
    # The specification gives an address to these two alone, and no other parameter to anybody.
    needed = {key for key, value in parameters.items() if "Default" not in value}
    assert needed == ({"EmailAddress"} if name in ("main", "sns") else set())


@pytest.mark.parametrize("prefix", ["", "alice", "a-1", "a" * 44, "default", "Alice", "1a", "a-", "a" * 45])
def test_a_template_takes_the_prefixes_that_the_workshop_takes(prefix):
    good = prefix in ("", "alice", "a-1", "a" * 44)
    for name in TEMPLATES:
        rule = template(name)["Parameters"]["Prefix"]
        assert (len(prefix) <= rule["MaxLength"] and bool(re.fullmatch(rule["AllowedPattern"], prefix))) is good


def test_outputs_are_those_of_the_specification():
    assert "ApiEndpoint" in template("api-gateway")["Outputs"]
    assert "ApiEndpoint" in template("main")["Outputs"]
    url = template("api-gateway")["Outputs"]["ApiEndpoint"]["Value"]["Sub"]
    assert url == "https://${Api}.execute-api.${AWS::Region}.${AWS::URLSuffix}/${Stage}/orders"


def test_main_nests_all_the_others():
    nested = resources("AWS::CloudFormation::Stack")
    assert sorted(one["Properties"]["TemplateURL"] for one in nested) == sorted(f"{n}.yaml" for n in TEMPLATES[1:])


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_can_be_deployed_without_a_bucket(name):
    assert (FOLDER / f"{name}.yaml").stat().st_size < LARGEST_WITHOUT_PACKAGING


def test_the_copies_are_those_of_the_sources():
    ran = run("tools/cloudformation.py", "--check")
    assert (ran.code, ran.out) == (0, "")
    for number in (1, 2):
        code = template("lambda")["Resources"][f"Lambda{number}"]["Properties"]["Code"]["ZipFile"]
        assert code == (ROOT / f"src/lambda/poc-lambda-{number}/index.py").read_text()
    model = template("api-gateway")["Resources"]["OrderModel"]["Properties"]["Schema"]
    assert model == json.loads((ROOT / "src/api/order.schema.json").read_text())
    post = template("api-gateway")["Resources"]["PostOrders"]["Properties"]["Integration"]
    assert post["RequestTemplates"]["application/json"] == (ROOT / "src/api/request.vtl").read_text().strip()
    answers = {one["StatusCode"]: one["ResponseTemplates"]["application/json"] for one in post["IntegrationResponses"]}
    sources = {status: ROOT / f"src/api/response-{status}.vtl" for status in ("202", "400", "500")}
    assert answers == {status: path.read_text().strip() for status, path in sources.items()}


@pytest.mark.parametrize(
    ("template", "before", "after"),
    [
        ("lambda", "          ITEMS = ", "          ITEMS = 1 + "),
        ("lambda", "          SUBJECT_LENGTH = ", "\n          # "),
        ("api-gateway", '"minLength": 1', '"minLength": 2'),
        ("api-gateway", "$util.urlEncode($input.body)", "$input.body"),
        ("api-gateway", "Deployment", "Deployment0000000000000000 # "),
    ],
)
def test_a_copy_that_differs_is_named_and_put_right(tmp_path, template, before, after):
    for part in ("infrastructure/cloudformation", "src/api", "src/lambda", "tools", "steps"):
        shutil.copytree(ROOT / part, tmp_path / part)
    path = tmp_path / f"infrastructure/cloudformation/{template}.yaml"
    good = path.read_text()
    if before == "Deployment":
        # The fingerprint of other sources.
        path.write_text(re.sub(r"Deployment[0-9a-f]{16}", "Deployment0123456789abcdef", good))
    else:
        assert good.count(before) == 1
        path.write_text(good.replace(before, after))
    tool = [sys.executable, tmp_path / "tools/cloudformation.py"]
    told = subprocess.run([*tool, "--check"], capture_output=True, text=True, check=False, timeout=LONGEST_COMMAND)
    assert told.returncode == 1
    assert f"{template}.yaml" in told.stdout
    assert "python tools/cloudformation.py" in told.stderr
    assert subprocess.run(tool, capture_output=True, check=False, timeout=LONGEST_COMMAND).returncode == 0
    assert path.read_text() == good


@pytest.fixture
def deployed(ws, prefix, state_dir):
    """The participant for whom the six stacks are created, one after the other."""
    cloudformation = ws.client("cloudformation")
    stacks = {name: f"{prefix}-{name}" for name in TEMPLATES[1:]}

    def parameters(name: str) -> list[dict]:
        given = {"Prefix": prefix, "EmailAddress": "you@example.com"}
        known = given.keys() & template(name)["Parameters"].keys()
        return [{"ParameterKey": key, "ParameterValue": given[key]} for key in known]

    def status_of(stack: str) -> str:
        return cloudformation.describe_stacks(StackName=stack)["Stacks"][0]["StackStatus"]

    for name, stack in stacks.items():
        text = (FOLDER / f"{name}.yaml").read_text()
        cloudformation.create_stack(
            StackName=stack, TemplateBody=text, Parameters=parameters(name), Capabilities=["CAPABILITY_NAMED_IAM"]
        )
        assert eventually(lambda stack=stack: status_of(stack) == "CREATE_COMPLETE")
    embedded = Embedded(state_dir)
    complete(embedded, embedded.running(), ws.region)
    yield ws
    for stack in reversed(stacks.values()):
        cloudformation.delete_stack(StackName=stack)


def test_the_templates_build_what_the_steps_would(deployed):
    """`status` compares each setting with what the steps write. The other ways are compared in `test_same_thing`."""
    assert not_present(deployed) == {}


def test_orders_outlive_an_update():
    [table] = resources("AWS::DynamoDB::Table")
    assert (table["DeletionPolicy"], table["UpdateReplacePolicy"]) == ("Delete", "Retain")
    assert "TableName" in table["Properties"]
    for queue in resources("AWS::SQS::Queue"):
        assert (queue["DeletionPolicy"], queue["UpdateReplacePolicy"]) == ("Delete", "Retain")


def test_every_suppression_has_its_reason():
    skips = [
        skip
        for name in TEMPLATES
        for one in template(name)["Resources"].values()
        for skip in one.get("Metadata", {}).get("checkov", {}).get("skip", [])
    ]
    assert skips
    assert all(re.fullmatch(r"CKV_AWS_\d+", skip["id"]) and len(skip["comment"]) > 40 for skip in skips)


def test_the_steps_and_the_templates_know_the_same_policies():
    names = {
        json.dumps(one["Properties"]["ManagedPolicyName"]["If"][2]) for one in resources("AWS::IAM::ManagedPolicy")
    }
    assert names == {json.dumps(name) for name in load("steps/01_iam.py").POLICIES}


def test_roles_and_policies_say_which_region_they_serve():
    for policy in resources("AWS::IAM::ManagedPolicy"):
        assert policy["Properties"]["Description"] == {"Sub": mark("${AWS::Region}")}, policy["Properties"]
    for role in resources("AWS::IAM::Role"):
        assert {"Key": "Region", "Value": {"Ref": "AWS::Region"}} in role["Properties"]["Tags"]


def installed(tool: str) -> str:
    """Where a tool is; the test is skipped where it is not."""
    found = shutil.which(tool, path=f"{BIN}:{ROOT}/.venv/bin:{ROOT}/.venv-checkov/bin") or shutil.which(tool)
    if not found:
        pytest.skip(f"{tool} is not installed (make test-slow installs it)")
    return found


@pytest.mark.slow
def test_cfn_lint_has_nothing_to_say():
    ran = subprocess.run([installed("cfn-lint"), *FOLDER.glob("*.yaml")], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout) == (0, "")


@pytest.mark.slow
def test_checkov_has_nothing_to_say_and_every_suppression_is_needed():
    command = [installed("checkov"), "-d", FOLDER, "--framework", "cloudformation", "--skip-download", "-o", "json"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout
    found = json.loads(ran.stdout)
    assert found["summary"]["failed"] == 0
    suppressed = sum(text.read_text().count("- id: CKV") for text in FOLDER.glob("*.yaml"))
    assert found["summary"]["skipped"] == suppressed


@pytest.mark.parametrize("script", sorted(path.name for path in SCRIPTS.glob("*.sh")))
def test_a_script_says_how_it_is_used(script):
    told = subprocess.run(
        [SCRIPTS / script, "-h"], capture_output=True, text=True, check=False, timeout=LONGEST_COMMAND
    )
    assert told.returncode == 0
    assert told.stdout.startswith(f"Usage: {script} ")
    wrong = subprocess.run(
        [SCRIPTS / script, "--nonsense"], capture_output=True, text=True, check=False, timeout=LONGEST_COMMAND
    )
    assert wrong.returncode == 2


@pytest.mark.parametrize("script", ["deploy.sh", "deploy-single-stacks.sh"])
def test_a_deployment_needs_an_address(script):
    wrong = subprocess.run([SCRIPTS / script], capture_output=True, text=True, check=False, timeout=LONGEST_COMMAND)
    assert wrong.returncode == 2
    assert "--email" in wrong.stderr


def test_shellcheck_has_nothing_to_say():
    ran = subprocess.run([installed("shellcheck"), *SCRIPTS.glob("*.sh")], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout) == (0, "")
