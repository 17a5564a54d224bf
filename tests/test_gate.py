"""The gate before the embedded AWS: strangers on the same machine, and web pages, try to get in."""

import hashlib
import hmac
import json
import os
import shutil
import ssl
import subprocess
import urllib.error
import urllib.request
import uuid
from datetime import UTC, datetime, timedelta

import boto3
import pytest
from botocore import UNSIGNED
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError, SSLError
from support import LONGEST_COMMAND, LONGEST_WAIT, SPEC_ORDER, WHOEVER, eventually, reach

from workshop.build.function_code import packed
from workshop.embedded import Embedded, environment
from workshop.embedded.signature import Request
from workshop.orders.api import api_url

ONCE = Config(retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=LONGEST_WAIT)
EVIL = "https://evil.example.com"


@pytest.fixture
def instance(state_dir):
    return Embedded(state_dir).running()


@pytest.fixture
def stranger(instance):
    """A client of somebody who knows the endpoint, and has some key: `stranger("sqs", "test")`."""

    def client(service: str, key: str, secret: str = "test", config: Config = ONCE, trust: bool = True):
        return boto3.client(
            service, endpoint_url=instance.endpoint, region_name="us-east-1", config=config,
            verify=str(instance.ca_bundle) if trust else None,
            aws_access_key_id=key, aws_secret_access_key=secret,
        )  # fmt: skip

    return client


def asked(instance, path: str, method: str = "GET", body: bytes | None = None, **headers: str):
    """Send a request with nothing of AWS's in it: status, headers and text of the answer."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(instance.endpoint + path, data=body, headers=named, method=method)
    try:
        with urllib.request.urlopen(request, timeout=LONGEST_WAIT, context=WHOEVER) as answer:
            return answer.status, answer.headers, answer.read().decode()
    except urllib.error.HTTPError as refusal:
        return refusal.code, refusal.headers, refusal.read().decode()


def code_of(call) -> str:
    with pytest.raises(ClientError) as refused:
        call()
    # The older JSON services say it with 400, as AWS's do.
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] in (400, 403)
    return refused.value.response["Error"]["Code"]


#: A call in each protocol.
CALLS = {
    "query": lambda client: client("sts").get_caller_identity(),
    "json 1.0": lambda client: client("dynamodb").list_tables(),
    "json 1.1": lambda client: client("logs").describe_log_groups(),
    "sqs": lambda client: client("sqs").list_queues(),
    "rest-json": lambda client: client("lambda").list_functions(),
    "apigateway": lambda client: client("apigateway").get_rest_apis(),
    "rest-xml": lambda client: client("s3").list_buckets(),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize("key", ["test", "000000000000", "111122223333", "AKIAIOSFODNN7EXAMPLE", "ASIAIOSFODNN7EXAMPL"])
def test_a_key_that_anybody_could_guess(stranger, call, key):
    assert code_of(lambda: call(lambda service: stranger(service, key))) in (
        "InvalidClientTokenId", "UnrecognizedClientException", "InvalidAccessKeyId",
    )  # fmt: skip


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_the_right_key_with_a_wrong_signature(stranger, instance, call):
    key = reach(instance)["AWS_ACCESS_KEY_ID"]
    assert code_of(lambda: call(lambda service: stranger(service, key))) == "SignatureDoesNotMatch"


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_no_signature_at_all(stranger, call):
    unsigned = ONCE.merge(Config(signature_version=UNSIGNED))
    code = code_of(lambda: call(lambda service: stranger(service, "x", config=unsigned)))
    assert code in ("MissingAuthenticationToken", "AccessDenied")


def test_the_workshop_and_the_other_account_get_in(instance):
    for account in ("000000000000", "111122223333"):
        clients = instance.clients("us-east-1", account)
        assert clients("sts").get_caller_identity()["Account"] == account
        for call in CALLS.values():
            call(clients)


OWN_ENDPOINTS = [
    ("POST", "/_ministack/reset"), ("POST", "/_ministack/config"), ("GET", "/_ministack/sqs/messages"),
    ("GET", "/_ministack/ses/messages"), ("GET", "/_ministack/ready"), ("GET", "/%5Fministack/sqs/messages"),
    ("POST", "/_ministack/rds/iam-auth"), ("PUT", "/_ministack/cfn-response/x"), ("GET", "/_localstack/health"),
    ("GET", "/_aws/lambda-url/x/"), ("GET", "/_alb/x/"), ("GET", "/health"), ("GET", "/oauth2/authorize"),
    ("POST", "/oauth2/token"), ("POST", "/login"), ("GET", "/"), ("GET", "/bucket/key"),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path"), OWN_ENDPOINTS)
@pytest.mark.parametrize("key", ["", "AKIAIOSFODNN7EXAMPLE", "test"])
def test_endpoints_that_ministack_opens_to_everybody(instance, method, path, key):
    signed = {"Authorization": f"AWS4-HMAC-SHA256 Credential={key}/20260101/us-east-1/sqs/aws4_request, "
              f"SignedHeaders=host, Signature={'0' * 64}"} if key else {}  # fmt: skip
    status, headers, _ = asked(instance, path, method, b"{}" if method != "GET" else None, **signed)
    # What a key like IAM's asks of a service, the service itself refuses.
    assert status == 403 or (status == 400 and key.startswith("AKIA"))
    assert not [name for name in headers if name.lower().startswith("access-control-")]


def test_the_health_is_no_secret(instance):
    status, headers, text = asked(instance, "/_ministack/health")
    assert (status, "services" in json.loads(text)) == (200, True)
    assert "Access-Control-Allow-Origin" not in headers


@pytest.mark.parametrize("path", ["/_ministack/health", "/_aws/execute-api/abcd1234/dev/orders", "/"])
@pytest.mark.parametrize("host", ["evil.example.com", "localhost.evil.example.com", "127.0.0.1", "127.0.0.1:1"])
def test_a_host_that_is_not_this_one(instance, path, host):
    assert asked(instance, path, Host=host)[0] == 403


@pytest.mark.parametrize("origin", [EVIL, "null", "http://127.0.0.1:8888", "https://localhost"])
def test_a_web_page_of_another_origin(instance, origin):
    for method in ("GET", "OPTIONS", "POST"):
        for path in ("/_ministack/health", "/", "/2015-03-31/functions/"):
            status, headers, _ = asked(instance, path, method, Origin=origin, Access_Control_Request_Method="POST")
            assert status == 403
            assert "Access-Control-Allow-Origin" not in headers


def test_a_preflight_without_an_origin_is_told_nothing(instance):
    status, headers, _ = asked(instance, "/", "OPTIONS")
    assert status == 403
    assert "Access-Control-Allow-Origin" not in headers


ORDER = json.dumps(SPEC_ORDER).encode()


def path_of(ws) -> str:
    return api_url(ws).removeprefix(ws.client.endpoint)


def test_the_api_is_open_but_to_no_web_page(built, instance):
    path, kind = path_of(built), {"Content_Type": "application/json"}
    assert asked(instance, path, "POST", ORDER, **kind)[0] == 202
    status, headers, _ = asked(instance, path, "POST", ORDER, Origin=EVIL, **kind)
    assert status == 403
    assert "Access-Control-Allow-Origin" not in headers


def test_an_api_may_ask_for_web_pages(ws, instance):
    apigateway = ws.client("apigateway")
    api = apigateway.create_rest_api(name=ws.name("shop"))["id"]
    try:
        (root,) = apigateway.get_resources(restApiId=api)["items"]
        allowed = {"method.response.header.Access-Control-Allow-Origin": True}
        for method in ("OPTIONS", "GET"):
            at = {"restApiId": api, "resourceId": root["id"], "httpMethod": method}
            apigateway.put_method(**at, authorizationType="NONE")
            apigateway.put_integration(**at, type="MOCK", requestTemplates={"application/json": '{"statusCode": 200}'})
            apigateway.put_method_response(**at, statusCode="200", responseParameters=allowed)
            apigateway.put_integration_response(
                **at, statusCode="200", responseParameters=dict.fromkeys(allowed, "'https://shop.example.com'")
            )
        apigateway.create_deployment(restApiId=api, stageName="dev")
        path = f"/_aws/execute-api/{api}/dev/"
        status, headers, _ = asked(instance, path, Origin="https://shop.example.com")
        assert (status, headers["Access-Control-Allow-Origin"]) == (200, "https://shop.example.com")
        assert asked(instance, path, Origin=EVIL)[0] == 403
    finally:
        apigateway.delete_rest_api(restApiId=api)


def test_keys_that_its_iam_made_get_in_with_their_own_secret_only(ws, stranger, prefix):
    iam = ws.client("iam")
    iam.create_user(UserName=prefix)
    key = iam.create_access_key(UserName=prefix)["AccessKey"]
    try:
        assert stranger("sts", key["AccessKeyId"], key["SecretAccessKey"]).get_caller_identity()["Arn"].endswith(prefix)
        code = code_of(lambda: stranger("sqs", key["AccessKeyId"], "guessed").list_queues())
        assert code == "SignatureDoesNotMatch"
    finally:
        iam.delete_access_key(UserName=prefix, AccessKeyId=key["AccessKeyId"])
        iam.delete_user(UserName=prefix)


def signed_headers(instance, url: str, method: str = "GET", body: bytes = b"", service: str = "sts") -> dict[str, str]:
    keys = reach(instance)
    request = AWSRequest(method, url, data=body)
    credentials = Credentials(keys["AWS_ACCESS_KEY_ID"], keys["AWS_SECRET_ACCESS_KEY"])
    SigV4Auth(credentials, service, "us-east-1").add_auth(request)
    return dict(request.headers.items())


def test_what_could_be_read_in_two_ways(instance):
    path = "/?Action=GetCallerIdentity&Version=2011-06-15"
    good = signed_headers(instance, instance.endpoint + path)
    assert asked(instance, path, **good)[0] == 200
    twice = "Credential=000000000000/20260101/x/sts/aws4_request, Credential="
    stolen = good["Authorization"].replace("Credential=", twice)
    for path_now, headers in {
        path: good | {"Authorization": stolen},
        path + "&X-Amz-Credential=000000000000/20260101/us-east-1/sts/aws4_request": good,
        path + "&AWSAccessKeyId=test": good,
        path + "&AWSAccessKeyId=test&Signature=x": {},
        path + "&x=1": good,
    }.items():
        assert asked(instance, path_now, **headers)[0] == 403, (path_now, headers)
    for authorization in ("AWS test:x", "AWS4-HMAC-SHA256 Credential=test/", "Bearer x", "AWS4-ECDSA-P256-SHA256 x"):
        assert asked(instance, path, Authorization=authorization)[0] == 403


@pytest.mark.parametrize("said", [
    "?AWSAccessKeyId=000000000000", "?awsaccesskeyid=test&Signature=x", "?X-Amz-Credential=test/x/us-east-1/sts/x",
    "?x-amz-credential=000000000000/20260101/us-east-1/execute-api/aws4_request", "?X%2dAmz-Credential=test",
    "?X-Amz-Signature=x",
])  # fmt: skip
def test_an_api_for_iam_users_cannot_be_called_with_a_key_in_the_query(instance, said):
    # Nobody need have built an API: the gate refuses before any is looked for.
    answer = asked(instance, "/_aws/execute-api/abcd1234/dev/orders" + said)
    assert answer[0] == 403
    assert "IncompleteSignature" in answer[2]


def test_an_apis_own_tokens_reach_it(built, instance):
    headers = {"Content_Type": "application/json", "Authorization": "Bearer x"}
    assert asked(instance, path_of(built), "POST", ORDER, **headers)[0] == 202


def test_a_body_that_was_not_signed(instance):
    body = b"Action=GetCallerIdentity&Version=2011-06-15"
    good = signed_headers(instance, instance.endpoint + "/", "POST", body)
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert asked(instance, "/", "POST", body, **good, **form)[0] == 200
    assert asked(instance, "/", "POST", b"Action=ListUsers&Version=2010-05-08", **good, **form)[0] == 403


@pytest.mark.parametrize("minutes", [-20, 20])
def test_a_signature_of_another_time(instance, minutes):
    keys, now = reach(instance), datetime.now(UTC)
    request = Request("GET", "/", "Action=GetCallerIdentity&Version=2011-06-15", {"host": instance.endpoint[8:]})
    for offset, status in ((timedelta(), 200), (timedelta(minutes=minutes), 403)):
        authorization, moment = sign(request, keys, now + offset)
        answer = asked(instance, f"/?{request.query}", Authorization=authorization, X_Amz_Date=moment)
        assert answer[0] == status
        assert ("RequestTimeTooSkewed" in answer[2]) == (status == 403)


def sign(request: Request, keys: dict[str, str], moment: datetime) -> tuple[str, str]:
    """Sign a request as of a moment: the header and the date that go with it."""
    stamp = f"{moment:%Y%m%dT%H%M%SZ}"
    scope = f"{stamp[:8]}/us-east-1/sts/aws4_request"
    canonical = f"GET\n/\n{request.query}\nhost:{request.headers['host']}\nx-amz-date:{stamp}\n\nhost;x-amz-date\n"
    canonical += hashlib.sha256(b"").hexdigest()
    text = "\n".join(("AWS4-HMAC-SHA256", stamp, scope, hashlib.sha256(canonical.encode()).hexdigest()))
    key = f"AWS4{keys['AWS_SECRET_ACCESS_KEY']}".encode()
    for part in (*scope.split("/"), text):
        key = hmac.digest(key, part.encode(), "sha256")
    credential = f"{keys['AWS_ACCESS_KEY_ID']}/{scope}"
    return f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders=host;x-amz-date, Signature={key.hex()}", stamp


def test_presigned_links_and_large_uploads(instance, prefix):
    s3 = instance.session("us-east-1").client(
        "s3", endpoint_url=instance.endpoint, config=Config(signature_version="s3v4")
    )
    s3.create_bucket(Bucket=prefix)
    try:
        key, body = "a b/ü+&=.txt", os.urandom(3_000_000)
        s3.put_object(Bucket=prefix, Key=key, Body=body)
        assert s3.get_object(Bucket=prefix, Key=key)["Body"].read() == body
        link = s3.generate_presigned_url("get_object", Params={"Bucket": prefix, "Key": key})
        with urllib.request.urlopen(link, context=WHOEVER, timeout=LONGEST_WAIT) as answer:
            assert answer.read() == body
        for broken in (link.replace("Expires=3600", "Expires=9999"), link.rpartition("&")[0], link[:-1] + "0"):
            if broken != link:
                with pytest.raises(urllib.error.HTTPError, match="403"):
                    urllib.request.urlopen(broken, context=WHOEVER, timeout=LONGEST_WAIT)
    finally:
        s3.delete_object(Bucket=prefix, Key=key)
        s3.delete_bucket(Bucket=prefix)


def test_the_link_to_a_functions_code(built, instance):
    link = built.client("lambda").get_function(FunctionName=built.name("POC-Lambda-1"))["Code"]["Location"]
    assert link.startswith(instance.endpoint)
    with urllib.request.urlopen(link, context=WHOEVER, timeout=LONGEST_WAIT) as answer:
        assert answer.read(2) == b"PK"
    path = link.removeprefix(instance.endpoint)
    assert asked(instance, path.partition("?")[0])[0] == 403
    assert asked(instance, path.replace("POC-Lambda-1", "POC-Lambda-2"))[0] == 403


def test_its_certificate_is_its_own_and_clients_insist_on_it(instance, stranger):
    with pytest.raises(urllib.error.URLError) as refused:
        urllib.request.urlopen(instance.endpoint + "/_ministack/health", timeout=LONGEST_WAIT)
    assert isinstance(refused.value.reason, ssl.SSLCertVerificationError)
    with pytest.raises(SSLError):
        stranger("sts", "test", trust=False).get_caller_identity()


def test_plain_http_gets_nothing(instance):
    with pytest.raises((urllib.error.URLError, ConnectionError, OSError)):
        urllib.request.urlopen(instance.endpoint.replace("https", "http") + "/_ministack/health", timeout=LONGEST_WAIT)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl here")
def test_plain_curl_and_aws_with_what_local_env_exports(built, state_dir, instance, prefix, tmp_path):
    exported = environment(Embedded(state_dir), instance, "us-east-1")
    (tmp_path / "file").write_bytes(os.urandom(100_000))
    script = f"""
        aws sts get-caller-identity --query Arn --output text
        aws s3 mb s3://{prefix} && aws s3 cp file s3://{prefix}/a/b && aws s3 cp s3://{prefix}/a/b copy && cmp file copy
        aws s3 rb --force s3://{prefix}
        aws lambda list-functions --query 'length(Functions) > `0`'
        curl --fail --silent -X POST -H 'Content-Type: application/json' -d '{ORDER.decode()}' {api_url(built)}
        curl --fail --silent --aws-sigv4 aws:amz:us-east-1:sts --user "$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY" \\
          -d 'Action=GetCallerIdentity&Version=2011-06-15' "$AWS_ENDPOINT_URL/"
    """
    done = subprocess.run(
        ["bash", "-euxc", script], env=os.environ | exported, cwd=tmp_path, capture_output=True, text=True,
        timeout=LONGEST_COMMAND, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("arn:aws:iam::000000000000:root") == 2
    assert "messageId" in done.stdout


@pytest.mark.slow
def test_every_life_has_keys_of_its_own(own_cli, own_state_dir):
    embedded = Embedded(own_state_dir)
    before = reach(embedded.start()[0])
    after = reach(embedded.reset())
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        assert before[name] != after[name]
    assert own_cli("status").code == 0
    old = own_cli("status", "--target", "aws", "--json", env=after | {
        name: before[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    })  # fmt: skip
    assert old.code == 1
    assert len(old.errors) == 1


def test_a_function_gets_nothing_of_the_users_environment(own_cli, own_state_dir):
    secret = f"token-{uuid.uuid4().hex}"
    assert own_cli("local", "start", env={"GITHUB_TOKEN": secret, "SECRET": secret}).code == 0
    assert own_cli("01_iam").code == 0
    instance = Embedded(own_state_dir).running()
    lambda_, role = instance.clients("us-east-1")("lambda"), "arn:aws:iam::000000000000:role/Lambda-SQS-DynamoDB"
    source = "import os, boto3\ndef handler(event, context):\n    return dict(os.environ)\n"
    lambda_.create_function(
        FunctionName="spy", Runtime="python3.13", Role=role, Handler="index.handler", Code={"ZipFile": packed(source)}
    )
    eventually(lambda: lambda_.get_function(FunctionName="spy")["Configuration"]["State"] == "Active")
    seen = json.load(lambda_.invoke(FunctionName="spy")["Payload"])
    assert secret not in seen.values()
    root = reach(instance)
    assert not {root["AWS_ACCESS_KEY_ID"], root["AWS_SECRET_ACCESS_KEY"], instance.secret} & set(seen.values())
    assert seen["AWS_CA_BUNDLE"] == root["AWS_CA_BUNDLE"]
