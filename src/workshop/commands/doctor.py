"""`workshop doctor`: is this machine, and this account, ready? It looks, and never changes anything."""

import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import date
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from workshop.aws_errors import explain
from workshop.checking import Finding, at_least, holds, simulate
from workshop.console import Console
from workshop.embedded import Embedded
from workshop.errors import WorkshopError
from workshop.evaluator import as_list
from workshop.opening import open_workshop
from workshop.participant import participant_policy
from workshop.settings import Settings
from workshop.step import Workshop
from workshop.waiting import is_denied

#: A question: its name, how it is answered, and what to do if the answer is no.
Question = tuple[str, Callable[[], Finding], str]

#: The runtime of the functions, and the day from which AWS gives it no more updates:
#: https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtimes.html (read on 2026-11-22)
RUNTIME, RUNTIME_ENDS = "python3.13", date(2029, 6, 30)
FREE_MEGABYTES = 500
#: The trigger of POC-Lambda-1 runs up to ten functions at once, and POC-Lambda-2 runs beside them.
CONCURRENCY = 11


def doctor(settings: Settings, console: Console) -> dict[str, Any]:
    """Ask everything that could stand in the way, and tell what to do about it.

    Example: workshop doctor --target aws --profile training
    """
    questions = list(about_this_machine(settings))
    if settings.target == "local":
        questions += about_the_embedded_aws(settings)
    checks = [answer(question) for question in questions]
    if settings.target == "aws":
        try:
            ws = open_workshop(settings, console)
        except (WorkshopError, ClientError, BotoCoreError) as error:
            problem = explain(error)
            checks.append(_row("AWS knows who you are", False, problem.problem, problem.remedy))
        else:
            checks.append(_row("AWS knows who you are", True, f"{ws.identity} in account {ws.account}", ""))
            checks += [answer(question) for question in about_the_account(ws)]
    console.table(
        f"Is {settings.target} ready?",
        ("Check", "Result", "Found", "Remedy"),
        [(c["name"], "pass" if c["passed"] else "fail", c["detail"], c["remedy"]) for c in checks],
    )
    passed = sum(check["passed"] for check in checks)
    console.say(f"{passed} passed, {len(checks) - passed} failed.")
    return {"passed": passed, "failed": len(checks) - passed, "checks": checks}


def unwell(document: dict[str, Any], **_: Any) -> WorkshopError | None:
    """What the command ends with when something stands in the way."""
    if not document["failed"]:
        return None
    first = next(check for check in document["checks"] if not check["passed"])
    return WorkshopError(f"Failed checks: {document['failed']}, the first: {first['name']} ({first['detail']}).",
                         first["remedy"])  # fmt: skip


def answer(question: Question) -> dict[str, Any]:
    """Answer one question; what AWS refuses to say is a no."""
    name, ask, remedy = question
    try:
        finding = ask()
    except WorkshopError as error:
        return _row(name, False, error.problem, error.remedy or remedy)
    except (ClientError, BotoCoreError) as error:
        return _row(name, False, " ".join(str(error).split()), remedy)
    return _row(name, finding.passed, finding.detail, "" if finding.passed else remedy)


def about_this_machine(settings: Settings) -> Iterator[Question]:
    """What every target needs."""
    version = sys.version_info[:3]
    yield (
        "Python is new enough",
        lambda: holds(version >= (3, 11), ".".join(map(str, version)), "3.11 or newer"),
        "Install a newer Python, then run: make clean demo",
    )
    yield "The AWS CLI is there, for who wants to use it", aws_cli, "Install it: pip install awscli"
    yield (
        "There is room on the disk",
        lambda: at_least(shutil.disk_usage(_existing(settings)).free // 1_000_000, FREE_MEGABYTES, " MB"),
        "Make room, or choose another --state-dir.",
    )
    yield (
        "The state folder can be written to",
        lambda: holds(is_writable(_existing(settings)), str(settings.state_dir), "a writable folder"),
        "Check the folder's rights, or choose another --state-dir.",
    )
    yield (
        f"The functions' runtime {RUNTIME} is supported",
        lambda: holds(date.today() < RUNTIME_ENDS, f"until {RUNTIME_ENDS}", f"a day before {RUNTIME_ENDS}"),
        "Use a newer runtime in steps 4 and 7.",
    )


def about_the_embedded_aws(settings: Settings) -> Iterator[Question]:
    """What the embedded AWS needs."""
    instance = Embedded(settings.state_dir).running()
    yield (
        "The embedded AWS runs, or finds a port",
        lambda: holds(True, f"running at {instance.endpoint}", "") if instance else a_free_port(),
        "Close some programs and try again.",
    )


def about_the_account(ws: Workshop) -> Iterator[Question]:
    """What a real account needs."""
    yield "The region is enabled for this account", lambda: region_enabled(ws), "Enable it, or choose another --region."
    yield (
        "Lambda may run enough functions at once",
        lambda: at_least(
            ws.client("lambda").get_account_settings()["AccountLimit"]["UnreservedConcurrentExecutions"], CONCURRENCY
        ),
        "Ask for a higher quota L-B99A9384 (concurrent executions) in Service Quotas.",
    )
    yield (
        "Every right that is needed is there",
        lambda: every_right(ws),
        f"Give this to somebody who can grant it: workshop policy{ws.settings.options}{boundary_hint(ws)}",
    )
    yield (
        "Somebody can be notified",
        lambda: holds(ws.settings.email is not None, mailbox(ws.settings.email), "--email with a mailbox of yours"),
        "Add --email you@example.com",
    )


def aws_cli() -> Finding:
    """Which AWS CLI there is; none is no obstacle."""
    path = shutil.which("aws")
    if path is None:
        return holds(True, "none; the workshop itself does not need it", "")
    version = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=60, check=False)
    return holds(version.returncode == 0, (version.stdout or version.stderr).split(" ")[0], "one that runs")


def is_writable(folder: str) -> bool:
    """Whether files can be made in a folder."""
    return os.path.isdir(folder) and os.access(folder, os.W_OK)


def a_free_port() -> Finding:
    """Whether the loopback interface gives us a port."""
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", 0))
        except OSError as error:
            return holds(False, str(error), "a free port on 127.0.0.1")
        return holds(True, f"port {probe.getsockname()[1]} is free", "")


def region_enabled(ws: Workshop) -> Finding:
    """Whether the region answers for this account: one that is not enabled does not know our token."""
    try:
        ws.client("sqs").get_queue_url(QueueName=ws.name("ecommerce-orders-queue"))
    except ClientError as error:
        code = error.response["Error"]["Code"]
        unknown = code in ("InvalidClientTokenId", "UnrecognizedClientException", "OptInRequired")
        return holds(not unknown, code if unknown else ws.region, "an enabled region")
    return holds(True, ws.region, "")


def every_right(ws: Workshop) -> Finding:
    """Whether IAM would let this caller do all that `workshop policy` lists; the root user may do everything.

    Raises:
        WorkshopError: the caller's role may not be looked up, so that nobody can tell.
    """
    if ws.identity.endswith(":root"):
        return holds(True, "the root user; a user of your own would be better", "")
    session = re.search(r":assumed-role/([^/]+)/", ws.identity)
    if session is None:
        return _rights_of(ws, ws.identity, user=ws.identity.rpartition("/")[2])
    role = session.group(1)
    try:
        # A session's rights are those of its role, and only IAM knows the path in which that lies.
        return _rights_of(ws, ws.client("iam").get_role(RoleName=role)["Role"]["Arn"])
    except ClientError as error:
        if not is_denied(error):
            raise
        raise WorkshopError(
            f"Your rights cannot be looked up: {explain(error).problem}",
            f"Ask for iam:GetRole and iam:SimulatePrincipalPolicy on your own role {role}, or do without this check.",
        ) from None


def _rights_of(ws: Workshop, principal: str, user: str | None = None) -> Finding:
    """Compare a principal's rights with those that `workshop policy` lists; a role has no user's name."""
    missing, count = set(), 0
    for statement in participant_policy(ws)["Statement"]:
        if statement["Effect"] == "Deny":
            continue
        # What a condition asks for, the real call brings along.
        keys = [pair for operator in statement.get("Condition", {}).values() for pair in operator.items()]
        context = {key: as_list(values)[0] for key, values in keys}
        if ws.settings.boundary is None:
            # Then a role is made without one.
            context.pop("iam:PermissionsBoundary", None)
        needed = [
            (action, resource.replace("${aws:username}", user or ""))
            for action in as_list(statement["Action"])
            for resource in as_list(statement["Resource"])
            if user is not None or "${aws:username}" not in resource
        ]
        allowed = simulate(ws, principal, needed, context)
        # IAM may answer in another spelling; the policy's own is what one looks for.
        denied = {(action.lower(), resource) for (action, resource), yes in allowed.items() if not yes}
        missing |= {action for action, resource in needed if (action.lower(), resource) in denied}
        count += len(needed)
    return holds(not missing, f"missing: {', '.join(sorted(missing))}" if missing else f"{count} rights", "all")


def boundary_hint(ws: Workshop) -> str:
    """What to add to the remedy for missing rights: whose roles must have a boundary is denied to make them without."""
    if ws.settings.boundary:
        return f" --boundary-arn {ws.settings.boundary}"
    return "; if you were given the ARN of a boundary, add --boundary ARN"


def mailbox(email: str | None) -> str:
    """An address, with a remark where there can be no mailbox behind it (RFC 2606)."""
    if email is None:
        return "nobody"
    domain = email.rpartition("@")[2].lower()
    nowhere = re.search(r"(^|\.)(example\.(com|net|org)|example|test|invalid|localhost)$", domain)
    return f"{email}, where nobody reads mail" if nowhere else email


def _existing(settings: Settings) -> str:
    """The state folder, or the nearest folder above it that is there already."""
    folder = settings.state_dir
    while not folder.exists():
        folder = folder.parent
    return str(folder)


def _row(name: str, passed: bool, detail: str, remedy: str) -> dict[str, Any]:
    return {"name": name, "passed": passed, "detail": detail, "remedy": remedy}
