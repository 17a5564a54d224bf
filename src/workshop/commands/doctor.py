"""`workshop doctor`: check that this machine and account are ready. It changes nothing."""

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

from workshop.aws.error_messages import explain
from workshop.aws.evaluator import as_list
from workshop.aws.values import brief
from workshop.aws.waiter import is_denied
from workshop.base.console import Console
from workshop.base.errors import WorkshopError
from workshop.base.files import INSTALLED
from workshop.base.settings import Settings
from workshop.base.spelling import counted
from workshop.build.checks import Finding, at_least, holds, simulate
from workshop.build.opening import open_workshop
from workshop.build.participant import participant_policy
from workshop.build.step import Workshop
from workshop.embedded import Embedded

#: A check: its name, how to run it, and what to do if it fails.
ReadinessCheck = tuple[str, Callable[[], Finding], str]

#: The functions' runtime, and the day on which AWS ends its support:
#: https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtimes.html (read on 2026-11-22)
RUNTIME, RUNTIME_ENDS = "python3.13", date(2029, 6, 30)
FREE_MEGABYTES = 500
#: POC-Lambda-1 runs up to ten times concurrently, and POC-Lambda-2 at least once.
CONCURRENCY = 11


def doctor(settings: Settings, console: Console) -> dict[str, Any]:
    """Check that this machine and this account are ready.

    Each failed check says how to fix it. Nothing is changed.

    Example: workshop doctor --target aws --profile training
    """
    checks_to_run = list(about_this_machine(settings))
    if settings.target == "local":
        checks_to_run += about_the_embedded_aws(settings)
    checks = [run_one(one) for one in checks_to_run]
    if settings.target == "aws":
        try:
            ws = open_workshop(settings, console)
        except (WorkshopError, ClientError, BotoCoreError) as error:
            problem = explain(error)
            checks.append(_row("AWS accepts your credentials", False, problem.problem, problem.remedy))
        else:
            checks.append(_row("AWS accepts your credentials", True, f"{ws.identity} in account {ws.account}", ""))
            checks += [run_one(one) for one in about_the_account(ws)]
    for check in checks:
        console.mark("pass" if check["passed"] else "fail", check["name"], brief(check["detail"]))
        if not check["passed"]:
            console.say(f"Fix: {check['remedy']}", lead="    ")
    passed = sum(check["passed"] for check in checks)
    console.say(f"{passed} passed, {len(checks) - passed} failed.")
    return {"passed": passed, "failed": len(checks) - passed, "checks": checks}


def unwell(document: dict[str, Any], **_: Any) -> WorkshopError | None:
    """Return the error to exit with if a check failed."""
    if not document["failed"]:
        return None
    first = next(check for check in document["checks"] if not check["passed"])
    failed = counted(document["failed"], "check")
    return WorkshopError(f"{failed} failed, the first: {first['name']} ({brief(first['detail'])}).", first["remedy"])


def run_one(check: ReadinessCheck) -> dict[str, Any]:
    """Run one check. If AWS returns an error, it fails."""
    name, run, remedy = check
    try:
        finding = run()
    except WorkshopError as error:
        return _row(name, False, error.problem, error.remedy or remedy)
    except (ClientError, BotoCoreError) as error:
        return _row(name, False, " ".join(str(error).split()), remedy)
    return _row(name, finding.passed, finding.detail, "" if finding.passed else remedy)


def about_this_machine(settings: Settings) -> Iterator[ReadinessCheck]:
    """Yield the checks for every target."""
    version = sys.version_info[:3]
    yield (
        "Python is recent enough",
        lambda: holds(version >= (3, 11), ".".join(map(str, version)), "3.11 or newer"),
        "Install a newer Python, then " + ("reinstall the workshop." if INSTALLED else "run: make clean demo"),
    )
    yield "The AWS CLI works (optional)", aws_cli, "Install it: pip install awscli"
    yield (
        "There is enough disk space",
        lambda: at_least(shutil.disk_usage(_existing(settings)).free // 1_000_000, FREE_MEGABYTES, " MB"),
        "Free some space, or choose another --state-dir.",
    )
    yield (
        "The state folder is writable",
        lambda: holds(is_writable(_existing(settings)), str(settings.state_dir), "a writable folder"),
        "Check the folder's permissions, or choose another --state-dir.",
    )
    yield (
        f"AWS supports the runtime {RUNTIME}",
        lambda: holds(date.today() < RUNTIME_ENDS, f"until {RUNTIME_ENDS}", f"a date before {RUNTIME_ENDS}"),
        "Use a newer runtime in steps 4 and 7.",
    )


def about_the_embedded_aws(settings: Settings) -> Iterator[ReadinessCheck]:
    """Yield the checks for the embedded AWS."""
    instance = Embedded(settings.state_dir).running()
    yield (
        "The embedded AWS is running or can start",
        lambda: holds(True, f"running at {instance.endpoint}", "") if instance else a_free_port(),
        "Close some programs and try again.",
    )


def about_the_account(ws: Workshop) -> Iterator[ReadinessCheck]:
    """Yield the checks for a real account."""
    yield "The region is enabled for this account", lambda: region_enabled(ws), "Enable it, or choose another --region."
    yield (
        "Lambda's concurrency quota is high enough",
        lambda: at_least(
            ws.client("lambda").get_account_settings()["AccountLimit"]["UnreservedConcurrentExecutions"], CONCURRENCY
        ),
        "Request an increase of quota L-B99A9384 (concurrent executions) in Service Quotas.",
    )
    yield (
        "You have all the permissions you need",
        lambda: all_permissions(ws),
        f"Send this to someone who can grant permissions: workshop policy{ws.settings.options}{boundary_hint(ws)}",
    )
    yield (
        "There is an e-mail address to notify",
        lambda: holds(ws.settings.email is not None, mailbox(ws.settings.email), "an address of yours"),
        "Add --email you@example.com",
    )


def aws_cli() -> Finding:
    """Check the AWS CLI, if there is one."""
    path = shutil.which("aws")
    if path is None:
        return holds(True, "not installed; the workshop doesn't need it", "")
    version = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=60, check=False)
    return holds(version.returncode == 0, (version.stdout or version.stderr).split(" ")[0], "an AWS CLI that runs")


def is_writable(folder: str) -> bool:
    """Return whether a folder is writable."""
    return os.path.isdir(folder) and os.access(folder, os.W_OK)


def a_free_port() -> Finding:
    """Check that the loopback interface has a free port."""
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", 0))
        except OSError as error:
            return holds(False, str(error), "a free port on 127.0.0.1")
        return holds(True, f"port {probe.getsockname()[1]} is free", "")


def region_enabled(ws: Workshop) -> Finding:
    """Check that the region is enabled for this account. A region that isn't rejects our credentials."""
    try:
        ws.client("sqs").get_queue_url(QueueName=ws.name("ecommerce-orders-queue"))
    except ClientError as error:
        code = error.response["Error"]["Code"]
        unknown = code in ("InvalidClientTokenId", "UnrecognizedClientException", "OptInRequired")
        return holds(not unknown, code if unknown else ws.region, "an enabled region")
    return holds(True, ws.region, "")


def all_permissions(ws: Workshop) -> Finding:
    """Check that IAM allows this caller everything in `workshop policy`. The root user is allowed everything.

    Raises:
        WorkshopError: the caller can't read its own role.
    """
    if ws.identity.endswith(":root"):
        return holds(True, "the root user; an IAM user or role would be safer", "")
    session = re.search(r":assumed-role/([^/]+)/", ws.identity)
    if session is None:
        return _permissions_of(ws, ws.identity, user=ws.identity.rpartition("/")[2])
    role = session.group(1)
    try:
        # A session has its role's permissions. Only IAM knows the role's path.
        return _permissions_of(ws, ws.client("iam").get_role(RoleName=role)["Role"]["Arn"])
    except ClientError as error:
        if not is_denied(error):
            raise
        raise WorkshopError(
            f"Your permissions can't be checked: {explain(error).problem}",
            f"Ask for iam:GetRole and iam:SimulatePrincipalPolicy on your role {role}, or skip this check.",
        ) from None


def _permissions_of(ws: Workshop, principal: str, user: str | None = None) -> Finding:
    """Check that a principal is allowed everything in `workshop policy`. For a role, `user` is None."""
    missing, count = set(), 0
    for statement in participant_policy(ws)["Statement"]:
        if statement["Effect"] == "Deny":
            continue
        # The real calls satisfy the policy's conditions.
        keys = [pair for operator in statement.get("Condition", {}).values() for pair in operator.items()]
        context = {key: as_list(values)[0] for key, values in keys}
        if ws.settings.boundary is None:
            # Then the roles have no boundary.
            context.pop("iam:PermissionsBoundary", None)
        needed = [
            (action, resource.replace("${aws:username}", user or ""))
            for action in as_list(statement["Action"])
            for resource in as_list(statement["Resource"])
            if user is not None or "${aws:username}" not in resource
        ]
        allowed = simulate(ws, principal, needed, context)
        # IAM may change the case of actions. Report them as they are in the policy.
        denied = {(action.lower(), resource) for (action, resource), yes in allowed.items() if not yes}
        missing |= {action for action, resource in needed if (action.lower(), resource) in denied}
        count += len(needed)
    return holds(not missing, f"missing: {', '.join(sorted(missing))}" if missing else f"{count} permissions", "all")


def boundary_hint(ws: Workshop) -> str:
    """Return the option to add for a boundary. If one is required, creating roles without it is denied."""
    if ws.settings.boundary:
        return f" --boundary-arn {ws.settings.boundary}"
    return "; if you were given a boundary's ARN, add --boundary ARN"


def mailbox(email: str | None) -> str:
    """Describe an address, with a warning if its domain is reserved and can't receive mail (RFC 2606)."""
    if email is None:
        return "none"
    domain = email.rpartition("@")[2].lower()
    reserved = re.search(r"(^|\.)(example\.(com|net|org)|example|test|invalid|localhost)$", domain)
    return f"{email}, which can't receive mail" if reserved else email


def _existing(settings: Settings) -> str:
    """Return the state folder, or the nearest parent that exists."""
    folder = settings.state_dir
    while not folder.exists():
        folder = folder.parent
    return str(folder)


def _row(name: str, passed: bool, detail: str, remedy: str) -> dict[str, Any]:
    return {"name": name, "passed": passed, "detail": detail, "remedy": remedy}
