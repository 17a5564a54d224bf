"""The `workshop` command line: registers the commands, adds the common options and prints errors.

A command is a plain function. It takes the context (or settings and console, if it needs no AWS) and its own
options, and returns the document that `--json` prints. Only `__main__` imports this module.
"""

import functools
import inspect
import re
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from botocore.exceptions import BotoCoreError, ClientError
from typer.core import TyperGroup
from typer.exceptions import TyperException
from typer.main import get_command

from workshop.aws.error_messages import explain
from workshop.aws.options import VARIABLES, settings_from
from workshop.base.console import Console
from workshop.base.errors import UsageError, WorkshopError
from workshop.base.settings import DEFAULT_REGION, Settings
from workshop.build.opening import OpenWorkshop, load_steps, open_workshop
from workshop.build.step import Step
from workshop.commands import build, clean, local
from workshop.commands import cli_script as cli_script_command
from workshop.commands import cost as cost_command
from workshop.commands import demo as demo_command
from workshop.commands import diff as diff_command
from workshop.commands import doctor as doctor_command
from workshop.commands import inbox as inbox_command
from workshop.commands import order as order_command
from workshop.commands import policy as policy_command
from workshop.commands import redrive as redrive_command
from workshop.commands import spike as spike_command
from workshop.commands import trace as trace_command
from workshop.commands import verify as verify_command
from workshop.commands.overview import ROOT_OPTIONS
from workshop.commands.usage import Commands, usage_error
from workshop.orders.tracing import incomplete

#: The common options, with their help. Every command accepts all of them, so you can reuse one set of options. A
#: command's help shows only those that affect it.
COMMON: dict[str, tuple[Any, dict[str, Any]]] = {
    "target": (str, {"metavar": "NAME", "help": "local (the embedded AWS) or aws."}),
    "region": (str | None, {"metavar": "NAME", "help": f"Default: {DEFAULT_REGION}."}),
    "profile": (str | None, {"metavar": "NAME", "help": "Profile in ~/.aws/config."}),
    "prefix": (str, {"metavar": "NAME", "help": "Prefix of every resource name."}),
    "environment": (str, {"metavar": "NAME", "help": "API stage and Environment tag."}),
    "email": (str | None, {"metavar": "ADDRESS", "help": "Address that gets the notifications."}),
    "state_dir": (Path | None, {"metavar": "FOLDER", "help": "Default: .workshop/ here."}),
    "boundary": (str | None, {"metavar": "ARN", "help": "Permissions boundary for the roles."}),
    "yes": (bool, {"help": "Answer yes to every question."}),
}
#: Options whose flag differs from their name. In `policy`, `--boundary` prints the boundary itself.
FLAGS = {"yes": ("--yes", "-y"), "state_dir": ("--state-dir",)}
POLICY_FLAGS = FLAGS | {"boundary": ("--boundary-arn",)}
#: The common options that affect a command: where it works, and what it creates.
PLACE = ("target", "region", "profile", "prefix", "environment", "state_dir")
CHANGES, COMPARES = (*PLACE, "yes"), (*PLACE, "email", "boundary")
OF_STEPS = {1: (*CHANGES, "boundary"), 6: (*CHANGES, "email")}
DEFAULTS: dict[str, Any] = {"target": "local", "prefix": "", "environment": "dev", "yes": False}
SHOW_CLI = Annotated[
    bool | None,
    typer.Option("--show-cli/--no-show-cli", help="Print each call as an AWS CLI command."),
]
VERBOSE = Annotated[bool, typer.Option("--verbose", help="Print ARNs, full commands and every call.")]
JSON = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]

#: The exit code that shells expect after Ctrl-C.
INTERRUPTED = 130

#: The command groups in `workshop --help`.
BUILD, USE, LOOK, CLEAN_UP, EMBEDDED = "Build", "Use", "Look", "Clean up", "Embedded AWS"

app = typer.Typer(cls=Commands, add_completion=False, **ROOT_OPTIONS)
local_app = typer.Typer(
    cls=Commands,
    help="Start, stop and connect to the embedded AWS.\n\nExample: workshop local start",
    rich_markup_mode="rich",
)


def settings_of(ctx: typer.Context, given: dict[str, Any]) -> Settings:
    """Build the settings from the common options.

    Typer also fills in environment variables; `settings_from` reads those itself, so they don't count as given here.

    Raises:
        UsageError: an option isn't valid.
    """
    typed = {name for name in given if (source := ctx.get_parameter_source(name)) and source.name == "COMMANDLINE"}
    options = {name: value if name in typed else None for name, value in given.items()}
    return settings_from(**options | {"email": options["email"] or None})


def command(
    to: typer.Typer,
    function: Callable[..., Any],
    *,
    name: str | None = None,
    json: bool = False,
    panel: str | None = None,
    uses: tuple[str, ...] = PLACE,
    flags: dict[str, tuple[str, ...]] = FLAGS,
    check: Callable[..., object] = lambda **options: None,
    failure: Callable[..., WorkshopError | None] = lambda result, **options: None,
) -> None:
    """Register a function as a command with the common options.

    Args:
        to: the Typer app.
        function: takes the context `ws`, or `settings` and `console`, then its own options.
        name: the command's name; by default the function's.
        json: add `--json`, which prints what the function returns.
        panel: the group in which help lists the command.
        uses: the common options that its help shows; it accepts the others too.
        flags: the flags of common options that differ from their names.
        check: validates the function's options before anything starts.
        failure: given the result and the function's options, returns the error to exit with, or None.
    """
    own = [p for p in inspect.signature(function).parameters.values() if p.name not in ("ws", "settings", "console")]
    takes_workshop = "ws" in inspect.signature(function).parameters

    @functools.wraps(function)
    def run(ctx: typer.Context, **given: Any) -> None:
        as_json = given.pop("json", False)
        typed = {p.name: given.pop(p.name) for p in own}
        console = Console(json_only=as_json)
        settings = settings_of(ctx, given)
        check(**typed)
        if takes_workshop:
            result = function(open_workshop(settings, console), **typed)
        else:
            result = function(settings=settings, console=console, **typed)
        if as_json:
            console.json(result)
        problem = failure(result, **typed)
        if problem is not None:
            raise problem

    kind = inspect.Parameter.KEYWORD_ONLY
    common: dict[str, Any] = {"json": JSON} if json else {}
    for key, (annotation, about) in COMMON.items():
        more = about | {
            "hidden": key not in uses,
            "rich_help_panel": "Where and for whom",
            "envvar": VARIABLES.get(key),
        }
        option: Any = Annotated[annotation, typer.Option(*flags.get(key, (f"--{key}",)), **more)]
        common[key] = option
    parameters = [
        inspect.Parameter("ctx", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context),
        *(p.replace(kind=kind) for p in own),
        *(
            inspect.Parameter(key, kind, default=DEFAULTS.get(key, False if key == "json" else None), annotation=option)
            for key, option in common.items()
        ),
    ]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in parameters}
    # Help leaves out the docstring's sections for callers.
    text = re.split(r"\n\s*(?:Args|Returns|Raises):", inspect.getdoc(function) or "")[0]
    text = re.sub(r"(?<!\n)\n(?!\n)", " ", text)
    to.command(name or function.__name__, help=text, rich_help_panel=panel)(run)


def step_command(step: Step) -> Callable[[OpenWorkshop], dict[str, Any]]:
    """Return the command that runs one step."""

    def run(ws: OpenWorkshop, show_cli: SHOW_CLI = None, verbose: VERBOSE = False) -> dict[str, Any]:
        chosen = [one for one in ws.steps if one.number == step.number]
        return build.run_steps(ws, chosen, step.command, show_cli, verbose)

    run.__doc__ = f"Step {step.number}: {step.title}.\n\nExample: workshop {step.command} --prefix alice"
    return run


def up(ws: OpenWorkshop, show_cli: SHOW_CLI = False, verbose: VERBOSE = False) -> dict[str, Any]:
    """Run all steps in order.

    Example: workshop up --prefix alice
    """
    return build.run_steps(ws, ws.steps, "up", show_cli, verbose)


def known_steps(steps: list[str] | None, **_: Any) -> None:
    """Reject unknown steps.

    Raises:
        UsageError: there is no such step.
    """
    verify_command.choose(load_steps(), steps)


@functools.cache
def register_commands() -> None:
    """Register every command, once."""
    for step in load_steps():
        uses = OF_STEPS.get(step.number, CHANGES)
        command(app, step_command(step), name=step.command, json=True, panel=BUILD, uses=uses)
    command(app, up, json=True, panel=BUILD, uses=(*CHANGES, "email", "boundary"))
    command(app, cli_script_command.cli_script, name="cli-script", panel=BUILD,
            uses=("region", "prefix", "environment", "email", "boundary"))  # fmt: skip
    command(app, policy_command.policy, panel=BUILD, uses=("target", "region", "profile", "prefix", "boundary"),
            flags=POLICY_FLAGS, check=policy_command.known_part)  # fmt: skip
    command(app, demo_command.demo, panel=USE, uses=("region", "prefix", "environment", "email"))
    command(app, order_command.order, json=True, panel=USE, failure=incomplete)
    command(app, trace_command.trace, json=True, panel=USE, failure=incomplete)
    command(app, order_command.url, json=True, panel=USE)
    command(app, inbox_command.inbox, json=True, panel=USE)
    command(app, spike_command.spike, json=True, panel=USE, failure=spike_command.failed)
    command(app, redrive_command.redrive, json=True, panel=USE, uses=CHANGES, failure=redrive_command.refused)
    command(app, verify_command.verify, json=True, panel=LOOK, check=known_steps, failure=verify_command.failed)
    command(app, build.status, json=True, panel=LOOK, uses=COMPARES)
    command(app, diff_command.diff, json=True, panel=LOOK, uses=COMPARES, failure=diff_command.differs)
    command(app, doctor_command.doctor, json=True, panel=LOOK, uses=COMPARES, failure=doctor_command.unwell)
    command(app, cost_command.cost, json=True, panel=LOOK, uses=("state_dir",))
    command(app, clean.cleanup, json=True, panel=CLEAN_UP, uses=CHANGES, failure=clean.remaining_is_failure)
    app.add_typer(local_app, name="local", rich_help_panel=EMBEDDED)
    for function in (local.start, local.stop, local.status, local.reset):
        command(local_app, function, uses=("state_dir",))
    command(local_app, local.env, uses=("region", "state_dir"))


def commands() -> TyperGroup:
    """Return all commands as a group."""
    register_commands()
    group = get_command(app)
    assert isinstance(group, TyperGroup)
    return group


def main() -> NoReturn:
    """Run the command line and exit with its exit code."""
    # The reader of our output may stop early: `workshop status | head`.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    # SIGTERM cleans up like Ctrl-C: a demo stops its embedded AWS first.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    console = Console()
    try:
        register_commands()
        # Commands return nothing here; a number is the exit code Typer would have used.
        code = app(standalone_mode=False) or 0
        if code == INTERRUPTED:
            raise KeyboardInterrupt
    except (KeyboardInterrupt, typer.Abort):
        console.error(WorkshopError("Interrupted.", "Run the same command again to continue."))
        code = INTERRUPTED
    except TyperException as wrong_usage:
        console.error(usage_error(wrong_usage))
        code = UsageError.exit_code
    except (WorkshopError, ClientError, BotoCoreError) as error:
        problem = explain(error)
        console.error(problem)
        code = problem.exit_code
    sys.stdout.flush()
    sys.exit(code)
