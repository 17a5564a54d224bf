"""The embedded AWS: ministack as a process of its own. The one module that knows it, with `stacks` in it.

Every state folder has its own embedded AWS, on a free port of the loopback interface. Whether it lives is told
by a lock that the process holds from its first to its last moment, and the kernel frees: a recorded process id
alone may belong to somebody else by now. It forgets everything when it stops; `Instance.id` tells one life
from the next, so that records of an earlier life are recognised.

What ministack lacks is filled in here with its public behaviour: mail is read from a queue that a second
account of the embedded AWS holds, the API's URL has a form of its own, and stacks are completed (`stacks`).
"""

import contextlib
import fcntl
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import botocore.session

from workshop.errors import WorkshopError

#: ministack takes this key as the root user of the account; it is no secret.
ROOT_KEY = "test"
#: A key of twelve digits is the root of the account of that number. Mail lives apart from the workshop's account.
POST_OFFICE_ACCOUNT, MAILBOX = "111122223333", "mailbox"
#: Commands that stand in PATH before the real ones of their names; how each finds the real one, and what it does. The
#: workshop's own environment comes last, for machines without an AWS CLI.
SHIM = """#!/bin/sh
here=$(CDPATH="" cd -- "$(dirname -- "$0")" && pwd)
PATH=$(printf %s "$PATH" | tr ":" "\\n" | grep -Fvx "$here" | paste -s -d : -):BIN
"""
SHIMS = {
    # AWS CLI 1 overlooks AWS_ENDPOINT_URL for SQS; the option serves versions 1 and 2. What the embedded AWS's
    # CloudFormation leaves out of a stack is filled in.
    "aws": """\
command -v aws >/dev/null || { echo "Error: There is no AWS CLI (aws). Try: pip install awscli" >&2; exit 127; }
aws ${AWS_ENDPOINT_URL:+--endpoint-url "$AWS_ENDPOINT_URL"} "$@"
code=$?
case " $* " in *" cloudformation "*) PYTHON -m workshop.embedded.stacks FOLDER "${AWS_REGION:-us-east-1}" ;; esac
exit $code
""",
    # The URL of an API on AWS leads to the embedded AWS's.
    "curl": """\
for one do
  shift
  case $one in
    https://*.execute-api.*.amazonaws.com/*)
      host=${one#https://}
      one=$AWS_ENDPOINT_URL/_aws/execute-api/${host%%.*}/${host#*/}
      ;;
  esac
  set -- "$@" "$one"
done
exec curl "$@"
""",
}
LOOPBACK = "127.0.0.1,localhost"
#: Seconds that a start or a stop may take.
PATIENCE = 60.0


@dataclass(frozen=True)
class Instance:
    """One life of the embedded AWS.

    Attributes:
        id: unique for this life.
        pid: its process, which leads a process group of its own.
        port: where it listens, on 127.0.0.1.
    """

    id: str
    pid: int
    port: int

    @property
    def endpoint(self) -> str:
        """The URL that clients are pointed at."""
        return f"http://127.0.0.1:{self.port}"


class Embedded:
    """The embedded AWS of one state folder.

    Args:
        state_dir: where its record, its log and its temporary files are.
    """

    def __init__(self, state_dir: Path) -> None:
        self.folder = state_dir.resolve()
        self.record_path = self.folder / "embedded.json"
        self.log_path = self.folder / "embedded.log"
        self.lock_path = self.folder / "embedded.lock"

    def running(self) -> Instance | None:
        """The instance that runs now, or None."""
        try:
            with self.lock_path.open("r") as lock:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return self._recorded()
        except OSError:
            return None
        return None

    def start(self) -> tuple[Instance, bool]:
        """Start it, unless it runs.

        Returns:
            The instance, and whether it was started just now.

        Raises:
            WorkshopError: it does not come up, or the folder cannot be written to.
        """
        _keep_off_proxies()
        with self.one_at_a_time():
            instance = self.running()
            if instance is not None and _answers(instance):
                return instance, False
            if instance is not None:
                self._end(instance)
            return self._launch(), True

    def stop(self) -> bool:
        """End it, and with it everything that it held.

        Returns:
            Whether there was anything to end.

        Raises:
            WorkshopError: it does not end.
        """
        with self.one_at_a_time():
            instance = self.running()
            if instance is None:
                return False
            self._end(instance)
            return True

    def reset(self) -> Instance:
        """Begin from empty: a new life on the same port.

        Raises:
            WorkshopError: it does not end or does not come up.
        """
        self.stop()
        return self.start()[0]

    def environment(self, instance: Instance, region: str) -> dict[str, str]:
        """The variables with which plain `aws`, boto3 and curl reach it: `{name: value}`.

        Raises:
            WorkshopError: the folder cannot be written to.
        """
        path = os.environ.get("PATH", os.defpath)
        places = {"PYTHON": sys.executable, "BIN": Path(sys.executable).parent, "FOLDER": self.folder}
        for name, body in SHIMS.items():
            text = re.sub("PYTHON|BIN|FOLDER", lambda place: shlex.quote(str(places[place[0]])), SHIM + body)
            self._write(f"bin/{name}", text, mode=0o755)
        shim = str(self.folder / "bin")
        return {
            "AWS_ENDPOINT_URL": instance.endpoint,
            "AWS_ACCESS_KEY_ID": ROOT_KEY,
            "AWS_SECRET_ACCESS_KEY": ROOT_KEY,
            "AWS_SESSION_TOKEN": "",
            "AWS_REGION": region,
            "AWS_DEFAULT_REGION": region,
            # What the user configured for real AWS has no say here, a profile least of all.
            "AWS_PROFILE": "default",
            "AWS_CONFIG_FILE": str(self._write("aws.config", "[default]\n")),
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_PAGER": "",
            "NO_PROXY": LOOPBACK,
            "PATH": path if shim in path.split(os.pathsep) else f"{shim}{os.pathsep}{path}",
        }

    def _recorded(self) -> Instance | None:
        # The lock file repeats the record, for the case that the record gets lost while the process lives.
        for path in (self.record_path, self.lock_path):
            try:
                record = json.loads(path.read_text(encoding="utf-8"))
                return Instance(str(record["id"]), int(record["pid"]), int(record["port"]))
            except (OSError, ValueError, KeyError, TypeError, RecursionError):
                continue
        return None

    def _launch(self) -> Instance:
        last = self._recorded()
        port = _free_port(last.port if last else None)
        temporary = self.folder / "embedded.tmp"
        # What an earlier life left: the code of functions that are gone.
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        with self.lock_path.open("a") as lock, self.log_path.open("w") as log:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise WorkshopError(
                    f"An embedded AWS of {self.folder} runs, but its record is lost.", "End the process by hand."
                ) from None
            process = subprocess.Popen(
                [sys.executable, "-m", "ministack.app"],
                env=_environment_of_ministack(port, temporary),
                cwd=temporary,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # Ctrl-C in the terminal is meant for the command, not for the embedded AWS.
                start_new_session=True,
                pass_fds=[lock.fileno()],
            )
            instance = Instance(uuid.uuid4().hex, process.pid, port)
            record = json.dumps(asdict(instance)) + "\n"
            self.record_path.write_text(record, encoding="utf-8")
            lock.truncate(0)
            lock.write(record)
        began = time.monotonic()
        while not _answers(instance):
            if process.poll() is not None or time.monotonic() - began > PATIENCE:
                _kill(process.pid, signal.SIGKILL)
                raise WorkshopError("The embedded AWS did not start.", f"Its log says why: {self.log_path}")
            time.sleep(0.05)
        return instance

    def _end(self, instance: Instance) -> None:
        began = time.monotonic()
        # The whole group: the functions' worker processes go with it. There is nothing to save.
        while self.running() is not None:
            _kill(instance.pid, signal.SIGKILL)
            if time.monotonic() - began > PATIENCE:
                raise WorkshopError(f"The embedded AWS (process {instance.pid}) does not end.", "End it by hand.")
            with contextlib.suppress(ChildProcessError):
                os.waitpid(instance.pid, os.WNOHANG)
            time.sleep(0.02)

    @contextlib.contextmanager
    def one_at_a_time(self) -> Iterator[None]:
        """Let two commands that start or stop it come one after the other."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            gate = (self.folder / "embedded.gate").open("a")
        except OSError as error:
            raise WorkshopError(
                f"{self.folder} cannot be written to: {error.strerror}.",
                "Check the folder's rights, or choose another --state-dir.",
            ) from None
        with gate:
            fcntl.flock(gate, fcntl.LOCK_EX)
            yield

    def _write(self, name: str, text: str, mode: int = 0o644) -> Path:
        path = self.folder / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            path.chmod(mode)
        except OSError as error:
            raise WorkshopError(f"{path} cannot be written: {error.strerror}.", "Check the folder's rights.") from None
        return path


def session(region: str, key: str = ROOT_KEY) -> boto3.Session:
    """A boto3 session with the keys of the embedded AWS, untouched by the user's own AWS configuration.

    Args:
        region: the region's name.
        key: the access key id: `test`, or the number of another account.
    """
    core = botocore.session.Session()
    for variable in ("profile", "config_file", "credentials_file"):
        core.session_var_map[variable] = (None, None, None if variable == "profile" else os.devnull, None)
    return boto3.Session(
        aws_access_key_id=key, aws_secret_access_key=ROOT_KEY, region_name=region, botocore_session=core
    )


def is_embedded(endpoint: str) -> bool:
    """Whether an endpoint is not AWS itself: commands sent to `--target aws` may be pointed elsewhere as well."""
    host = urlsplit(endpoint).hostname or ""
    return not host.endswith((".amazonaws.com", ".amazonaws.com.cn", ".api.aws"))


def invoke_url(endpoint: str, api_id: str, stage: str) -> str:
    """The base URL of a deployed REST API on an embedded AWS, without a slash at its end."""
    return f"{endpoint.rstrip('/')}/_aws/execute-api/{api_id}/{stage}"


class Mailbox:
    """What the topics of an embedded AWS send by e-mail.

    ministack does not send e-mail, it logs a line. So a topic gets a second subscriber, a queue that stands in
    another account of the embedded AWS, where no step, check or clean-up comes across it.

    Args:
        endpoint: the URL of the embedded AWS.
    """

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint

    def listen(self, topic_arn: str) -> None:
        """Collect what a topic sends from now on. Doing it again changes nothing."""
        _, partition, _, region, _, _ = topic_arn.split(":", 5)
        queue_arn = f"arn:{partition}:sqs:{region}:{POST_OFFICE_ACCOUNT}:{MAILBOX}"
        statement = {
            "Effect": "Allow",
            "Principal": {"Service": "sns.amazonaws.com"},
            "Action": "sqs:SendMessage",
            "Resource": queue_arn,
        }
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        office = session(region, POST_OFFICE_ACCOUNT).client("sqs", endpoint_url=self.endpoint)
        office.create_queue(QueueName=MAILBOX, Attributes={"MessageRetentionPeriod": "1209600", "Policy": policy})
        sns = session(region).client("sns", endpoint_url=self.endpoint)
        sns.subscribe(TopicArn=topic_arn, Protocol="sqs", Endpoint=queue_arn, ReturnSubscriptionArn=True)

    def hear(self, call: Any) -> None:
        """Listen to every topic to which an e-mail address is subscribed; takes a `workshop.aws.Call`."""
        if (call.service, call.operation) == ("sns", "Subscribe") and call.parameters["Protocol"] == "email":
            self.listen(call.parameters["TopicArn"])

    def read(self, topic_arn: str) -> list[dict[str, Any]]:
        """The notifications of a topic, oldest first; reading them takes nothing away.

        Returns:
            For each: `Subject`, `Message`, `Timestamp`, as SNS delivers them.

        Raises:
            OSError: the embedded AWS is gone.
        """
        region = topic_arn.split(":")[3]
        url = f"{self.endpoint}/_ministack/sqs/messages?account={POST_OFFICE_ACCOUNT}&region={region}"
        with urllib.request.urlopen(url, timeout=30) as answer:
            queues = json.load(answer)["messages"].get(POST_OFFICE_ACCOUNT, {}).get(region, {})
        bodies = [json.loads(message["Body"]) for messages in queues.values() for message in messages]
        return sorted((body for body in bodies if body["TopicArn"] == topic_arn), key=lambda body: body["Timestamp"])


#: Actions of which ministack, unlike AWS, does not see what they are about.
UNNARROWED = (
    "dynamodb:GetRecords", "dynamodb:GetShardIterator", "dynamodb:ListTagsOfResource", "dynamodb:TagResource",
    "iam:CreatePolicy", "iam:SimulatePrincipalPolicy",
    "lambda:CreateFunction", "lambda:ListTags", "lambda:TagResource",
    "sns:ListTagsForResource", "sns:TagResource", "sns:Unsubscribe",
)  # fmt: skip


def adapt(policy: dict[str, Any]) -> dict[str, Any]:
    """A policy that lets on an embedded AWS what the given one lets on AWS.

    ministack asks for some actions on `*` where AWS asks for them on the one resource, and knows none of the
    condition keys that IAM, Lambda and API Gateway bring along (`iam:PolicyARN`, `lambda:FunctionArn`). It takes a
    variable in a resource as it is written.
    """
    # Names begin with the variable, so that this is what it stands for at most.
    policy = json.loads(json.dumps(policy).replace("${aws:PrincipalTag/Participant}", "*"))
    statements = [
        {key: value for key, value in statement.items() if key != "Condition" or statement["Effect"] == "Deny"}
        for statement in policy["Statement"]
    ]
    allowed = [one["Action"] for one in statements if one["Effect"] == "Allow"]
    listed = [[actions] if isinstance(actions, str) else actions for actions in allowed]
    actions = {action for several in listed for action in several}
    unnarrowed = sorted(actions & set(UNNARROWED))
    return {**policy, "Statement": [*statements, {"Effect": "Allow", "Action": unnarrowed, "Resource": "*"}]}


def _environment_of_ministack(port: int, temporary: Path) -> dict[str, str]:
    """Only what ministack needs: nothing of the user's AWS configuration reaches the functions."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "WORKSHOP_"))}
    return kept | {
        "GATEWAY_PORT": str(port),
        "BIND_HOST": "127.0.0.1",
        "MINISTACK_HOST": "127.0.0.1",
        "AUTH": "true",
        "LOG_LEVEL": "WARNING",
        "LAMBDA_EXECUTOR": "local",
        "TMPDIR": str(temporary),
        "AWS_ACCESS_KEY_ID": ROOT_KEY,
        "AWS_SECRET_ACCESS_KEY": ROOT_KEY,
    }


def _free_port(preferred: int | None) -> int:
    """The port of the last life, so that shells which know it still reach the embedded AWS; else any free one."""
    for port in (preferred, 0):
        if port is None:
            continue
        with socket.socket() as probe, contextlib.suppress(OSError, OverflowError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return int(probe.getsockname()[1])
    raise WorkshopError("No free port was found on 127.0.0.1.", "Close some programs and try again.")


def _keep_off_proxies() -> None:
    """A proxy of the user's would look for the loopback interface on its own machine."""
    for name in ("no_proxy", "NO_PROXY"):
        if LOOPBACK not in os.environ.get(name, ""):
            os.environ[name] = ",".join(filter(None, (os.environ.get(name), LOOPBACK)))


def _answers(instance: Instance) -> bool:
    try:
        with urllib.request.urlopen(f"{instance.endpoint}/_ministack/health", timeout=5) as answer:
            return "services" in json.load(answer)
    except (OSError, ValueError, urllib.error.URLError):
        return False


def _kill(pid: int, sign: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, sign)
