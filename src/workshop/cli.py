"""The roof: finds the steps, joins the commands, gives all the same options, and translates errors once.

A command is a plain function that takes the context (or, if it needs no AWS, settings and console) and its own
options. What it returns is what `--json` prints. Nothing else imports this module.
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
from typer.exceptions import TyperException

from workshop.aws_errors import explain
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
from workshop.console import Console
from workshop.errors import UsageError, WorkshopError
from workshop.opening import load_steps, open_workshop
from workshop.options import VARIABLES, settings_from
from workshop.settings import DEFAULT_REGION, Settings
from workshop.step import Step, Workshop
from workshop.tracing import way_ended

BOUNDARY: dict[str, Any] = {
    "envvar": VARIABLES["boundary"],
    "metavar": "ARN",
    "help": "The permissions boundary of the roles.",
}
COMMON = {
    "target": Annotated[str, typer.Option(envvar=VARIABLES["target"], help="local (the embedded AWS) or aws.")],
    "region": Annotated[str | None, typer.Option(envvar=VARIABLES["region"], help=f"Default: {DEFAULT_REGION}.")],
    "profile": Annotated[str | None, typer.Option(envvar=VARIABLES["profile"], help="A profile of ~/.aws/config.")],
    "prefix": Annotated[str, typer.Option(envvar=VARIABLES["prefix"], help="Goes in front of every name.")],
    "environment": Annotated[str, typer.Option(envvar=VARIABLES["environment"], help="The API's stage, and a tag.")],
    "email": Annotated[str | None, typer.Option(envvar=VARIABLES["email"], help="Who is notified of orders.")],
    "state_dir": Annotated[Path | None, typer.Option(envvar=VARIABLES["state_dir"], help="Default: .workshop/ here.")],
    "boundary": Annotated[str | None, typer.Option(**BOUNDARY)],
    "yes": Annotated[bool, typer.Option("--yes", "-y", help="Answer every question with yes.")],
}
#: `policy --boundary` prints the boundary itself.
FOR_POLICY = COMMON | {"boundary": Annotated[str | None, typer.Option("--boundary-arn", **BOUNDARY)]}
DEFAULTS: dict[str, Any] = {"target": "local", "prefix": "", "environment": "dev", "yes": False}
SHOW_CLI = Annotated[
    bool | None,
    typer.Option("--show-cli/--no-show-cli", help="Print each call as an AWS CLI command; on a terminal by default."),
]
VERBOSE = Annotated[bool, typer.Option("--verbose", help="Print the calls that only look as well.")]
JSON = Annotated[bool, typer.Option("--json", help="Print one JSON document, and nothing else.")]

#: What shells expect of a command that Ctrl-C ended.
INTERRUPTED = 130

app = typer.Typer(
    name="workshop",
    help="Build a serverless order backend step by step, and watch it work.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
local_app = typer.Typer(help="The embedded AWS.", rich_markup_mode=None)
app.add_typer(local_app, name="local")


def settings_of(ctx: typer.Context, given: dict[str, Any]) -> Settings:
    """Build the settings from the common options; what Typer read from a variable counts as not typed.

    Raises:
        UsageError: one of them is not valid.
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
    options: dict[str, Any] = COMMON,
    check: Callable[..., object] = lambda **options: None,
    failure: Callable[..., WorkshopError | None] = lambda result, **options: None,
) -> None:
    """Make a function a command: with the common options, with `--json` if it has a document to show.

    Args:
        to: the group that it joins.
        function: takes the context `ws`, or `settings` and `console`; then its own options.
        name: what it is called; by default like the function.
        json: whether `--json` prints what it returns.
        options: the common options.
        check: looks at the function's options before anything is started or asked.
        failure: tells from the result and the function's options what the command ends with, if it fails.
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
    common = {"json": JSON, **options} if json else options
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
    # A docstring's sections are for who calls the function.
    text = re.split(r"\n\s*(?:Args|Returns|Raises):", inspect.getdoc(function) or "")[0]
    to.command(name or function.__name__, help=text)(run)


def step_command(step: Step) -> Callable[[Workshop], None]:
    """The command that runs one step."""

    def run(ws: Workshop, show_cli: SHOW_CLI = None, verbose: VERBOSE = False) -> None:
        chosen = [one for one in ws.steps if one.number == step.number]
        build.run_steps(ws, chosen, step.command, show_cli, verbose)

    run.__doc__ = f"Step {step.number}: {step.title}.\n\nExample: workshop {step.command} --prefix alice"
    return run


def up(ws: Workshop, show_cli: SHOW_CLI = None, verbose: VERBOSE = False) -> None:
    """Run all eight steps in order.

    Example: workshop up --prefix alice
    """
    build.run_steps(ws, ws.steps, "up", show_cli, verbose)


def known_steps(steps: list[str] | None, **_: Any) -> None:
    """Refuse a step that does not exist.

    Raises:
        UsageError: one of them does not.
    """
    verify_command.choose(load_steps(), steps)


def join_commands() -> None:
    """Put every command under the roof."""
    for step in load_steps():
        command(app, step_command(step), name=step.command)
    command(app, up)
    command(app, build.status, json=True)
    command(app, diff_command.diff, json=True, failure=diff_command.differs)
    command(app, verify_command.verify, json=True, check=known_steps, failure=verify_command.failed)
    command(app, order_command.order, json=True, failure=way_ended)
    command(app, trace_command.trace, json=True, failure=way_ended)
    command(app, inbox_command.inbox, json=True)
    command(app, spike_command.spike, json=True, failure=spike_command.failed)
    command(app, redrive_command.redrive, json=True, failure=redrive_command.refused)
    command(app, cost_command.cost, json=True)
    command(app, cli_script_command.cli_script, name="cli-script")
    command(app, policy_command.policy, options=FOR_POLICY, check=policy_command.known_part)
    command(app, doctor_command.doctor, json=True, failure=doctor_command.unwell)
    command(app, clean.cleanup, json=True, failure=clean.remaining_is_failure)
    command(app, demo_command.demo)
    for function in (local.start, local.stop, local.status, local.reset, local.env):
        command(local_app, function)


def main() -> NoReturn:
    """Run the command line, and end the process with its exit code."""
    # Whoever reads our output may stop reading: `workshop status | head`.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    # Whoever ends us politely gets what Ctrl-C gets: a demo takes its embedded AWS away first.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    console = Console()
    try:
        join_commands()
        if len(sys.argv) == 1:
            sys.argv.append("--help")
        # Our commands return nothing: a number is the exit code that Typer would end with.
        code = app(standalone_mode=False) or 0
        if code == INTERRUPTED:
            raise KeyboardInterrupt
    except (KeyboardInterrupt, typer.Abort):
        console.error(WorkshopError("Interrupted.", "Run the same command again: it goes on where it stopped."))
        code = INTERRUPTED
    except TyperException as wrong_usage:
        console.error(UsageError(f"{wrong_usage.format_message().rstrip('.')}.", "See --help."))
        code = UsageError.exit_code
    except (WorkshopError, ClientError, BotoCoreError) as error:
        problem = explain(error)
        console.error(problem)
        code = problem.exit_code
    sys.stdout.flush()
    sys.exit(code)
