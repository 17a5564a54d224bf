"""The workshop in Jupyter: the commands' own functions, with tables, pictures and errors for a notebook.

The one module that knows IPython, and like the commands a top floor: it uses the package, and nothing in the
package uses it. Everything that it shows comes from the same functions as in the terminal, so both say the same.

Each table of checks carries its account as metadata of the output (`{"workshop": {"passed", "failed"}}`). That
is how a test tells red from green without reading HTML.
"""

import contextlib
import io
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from html import escape
from types import TracebackType
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from IPython import display as ipython_display
from IPython import get_ipython
from rich.console import Console as RichConsole

from workshop.aws import Call
from workshop.aws_errors import explain
from workshop.commands import build
from workshop.commands import inbox as inbox_command
from workshop.commands import spike as spike_command
from workshop.commands.verify import grade
from workshop.console import STYLES, Console
from workshop.errors import NotBuilt, WorkshopError
from workshop.kinds import KINDS
from workshop.meaning import brief
from workshop.opening import load, open_workshop
from workshop.options import settings_from
from workshop.plot import spike_axes
from workshop.printable import printable
from workshop.settings import REPOSITORY
from workshop.state import State
from workshop.step import Workshop
from workshop.tracing import follow, way_ended
from workshop.waiting import is_denied

#: What puts something on the page; IPython does not say of what type its functions are.
jupyter: Any = ipython_display
shell_of: Any = get_ipython

#: How a state is coloured: readable on JupyterLab's light and dark themes.
COLOURS = {"green": "#1a9850", "yellow": "#c77700", "red": "#d73027", "dim": "#7f8792"}
STYLE = """<style>
table.workshop {font-size: 0.92em; border-collapse: collapse; margin: 0.4em 0 0.8em 0}
table.workshop caption {caption-side: top; text-align: left; font-weight: 600; padding: 0.3em 0; color: inherit}
table.workshop th, table.workshop td {text-align: left !important; vertical-align: top; padding: 0.28em 0.9em 0.28em
 0.4em; border-bottom: 1px solid rgba(128, 128, 128, 0.22); overflow-wrap: anywhere; max-width: 44em}
table.workshop th, table.workshop b {font-weight: 600; white-space: nowrap}
div.workshop {border-left: 4px solid; padding: 0.45em 0.9em; margin: 0.3em 0; background: rgba(128, 128, 128, 0.08)}
div.workshop pre {margin: 0.5em 0 0 0; white-space: pre-wrap; background: none !important}
</style>"""
#: The colour of each hop in the picture of an order's way: that of its AWS service.
HOP_COLOURS = {
    "api": "#8c4fff",
    "queue": "#e7157b",
    "lambda-1": "#ed7100",
    "table": "#3b48cc",
    "stream": "#6b76dd",
    "lambda-2": "#ed7100",
    "topic": "#e7157b",
    "inbox": "#5a6b86",
}
#: Ours, and none of MathJax's business: a `$` in a mapping template is no formula.
CLASSES = "workshop mathjax_ignore tex2jax_ignore"
#: How AWS names it when a caller may not, or is nobody: services have different codes for it.
DENIED = (
    "AccessDenied",
    "AccessDeniedException",
    "AuthorizationError",
    "AuthorizationErrorException",
    "InvalidClientTokenId",
    "MissingAuthenticationToken",
    "MissingAuthenticationTokenException",
)
#: Calls of which a list is long enough.
MOST_CALLS = 40
#: What to do in a notebook where nothing has to be mended first.
AGAIN = "Run this cell again: it goes on where it stopped."
#: Characters that fit into a table's cell in any window.
SHORT = 24


class NotebookConsole(Console):
    """A console that draws tables as HTML and shows what it is working on in one line that comes and goes."""

    def __init__(self) -> None:
        super().__init__()
        # Neither a terminal nor rich's own form of Jupyter output, which needs ipywidgets for anything live.
        self.out = self.err = RichConsole(force_jupyter=False, force_terminal=False, highlight=False, soft_wrap=True)
        self._in_place = False
        self._line: tuple[int, Any] = (-1, None)

    @contextlib.contextmanager
    def working(self, what: str) -> Iterator[None]:
        """Show what is being done, for as long as it takes."""
        self._write(what)
        try:
            yield
        finally:
            self._write("")

    @contextlib.contextmanager
    def in_place(self) -> Iterator[None]:
        """Let each note take the place of the one before, during a long piece of work."""
        self._in_place = True
        try:
            yield
        finally:
            self._in_place = False
            self._write("")

    def note(self, text: str) -> None:
        """Print a line beside the result."""
        if self._in_place:
            self._write(text)
        else:
            self.say(text)

    def table(self, title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """Draw rows of text as a table."""
        jupyter.display(jupyter.HTML(_table(title, columns, rows)))

    def _write(self, text: str) -> None:
        """Write over the one line of this cell."""
        html = jupyter.HTML(f'<span style="color: {COLOURS["dim"]}">{_html(text)} &#8230;</span>' if text else "")
        cell, handle = self._line
        if cell == _cell() and handle is not None:
            handle.update(html)
        elif text:
            self._line = (_cell(), jupyter.display(html, display_id=True))


class _Calls:
    """The AWS calls of the cell that runs."""

    def __init__(self) -> None:
        self.cell, self.calls = -1, []  # type: int, list[Call]

    def hear(self, call: Call) -> None:
        if self.cell != _cell():
            self.cell, self.calls = _cell(), []
        self.calls.append(call)


_calls = _Calls()


def begin(
    number: int,
    *,
    needs: tuple[int, ...] | None = None,
    target: str | None = None,
    profile: str | None = None,
    region: str | None = None,
    prefix: str | None = None,
    environment: str | None = None,
    email: str | None = None,
    yes: bool = False,
) -> Workshop:
    """Open the workshop: the first code cell of each notebook, which can be run again at any time.

    What is not given comes from the same environment variables as in the terminal, and has the same defaults.

    Args:
        number: of the notebook, 0 to 9.
        needs: the numbers of the steps that must have run; by default those that the step itself needs.
        target: `local`, the embedded AWS, or `aws`.
        profile: of `~/.aws/config`; with `aws` only.
        region: such as `eu-central-1`.
        prefix: goes in front of every name.
        environment: the API's stage, and a tag.
        email: who is notified of orders.
        yes: with `aws`: this is the right account, change it.

    Raises:
        WorkshopError: the target cannot be used, or an earlier step is missing.
    """
    _explain_errors()
    settings = settings_from(
        target=target, profile=profile, region=region, prefix=prefix, environment=environment, email=email, yes=yes
    )
    # What is embedded is nobody's: there is no question to ask.
    settings = replace(settings, yes=yes or settings.target == "local")
    ws = open_workshop(settings, NotebookConsole())
    ws.client.listeners.append(_calls.hear)
    _introduce(ws)
    if settings.target == "aws" and not yes:
        raise WorkshopError(
            "Nothing was changed.", "If this is the right account, add yes=True and run this cell again."
        )
    if needs is None:
        needs = ws.steps[number - 1].needs if 1 <= number <= len(ws.steps) else ()
    _demand(ws, needs)
    return ws


def _introduce(ws: Workshop) -> None:
    """Say where the work will be done, as whom, and at what cost."""
    local = ws.settings.target == "local"
    rows = {
        "Target": f"the embedded AWS at {ws.client.endpoint}" if local else f"AWS, account {ws.account}",
        "Identity": ws.identity,
        "Region": ws.region,
        "Names": f"{ws.name('ecommerce-orders')}, {ws.name('POC-Lambda-1')}, …",
        "Cost": "nothing"
        if local
        else "less than a cent for all ten notebooks; up to $0.26 a month if it stays (workshop cost)",
    }
    if not local:
        rows["E-mail"] = ws.settings.email or "nobody yet: add email=…, step 6 needs it"
    jupyter.display(jupyter.HTML(_table("", (), rows.items())))


def _demand(ws: Workshop, needs: Iterable[int]) -> None:
    """Check that earlier steps stand.

    Raises:
        NotBuilt: one does not; the message names its notebook.
    """
    for step in (ws.steps[number - 1] for number in needs):
        for declaration in step.declarations:
            if declaration.kind in KINDS and ws.find(declaration.kind, declaration.base) is None:
                raise NotBuilt(
                    f"Step {step.number} must run first: the {declaration.kind} {declaration.named(ws)} is missing.",
                    f"Run {step.command}.ipynb, or in a terminal: workshop {step.command}{ws.settings.options};"
                    " then run this cell again.",
                )
    done = ", ".join(str(number) for number in needs)
    _tell(f"Ready: step {done} stands." if len(done) == 1 else f"Ready: steps {done} stand." if done else "Ready.")


def run(ws: Workshop, number: int) -> None:
    """Run a step, exactly as `workshop 03_sqs` does, and fold its changes away as AWS CLI commands.

    Args:
        ws: the context.
        number: of the step.

    Raises:
        WorkshopError: something stands in the way.
    """
    step = ws.steps[number - 1]
    if ws.settings.target == "aws" and not ws.settings.prefix:
        build.refuse_foreign_names(ws)
    with ws.state.lock(f"the notebook of {step.command}"):
        # A terminal may have written to the record since this notebook opened it.
        ws.state = State.load(ws.settings, ws.account, ws.state.embedded)
        resources = step.run(ws)
    counts = {word: sum(r.result == word for r in resources) for word in ("created", "updated", "unchanged")}
    _tell(", ".join(f"{count} {word}" for word, count in counts.items() if count) + ".")
    as_cli(changes=True)


def verify(ws: Workshop, *numbers: int, only_failed: bool = False, read_only: bool = False) -> None:
    """Run the checks of some steps, exactly as `workshop verify` does.

    Args:
        ws: the context.
        numbers: of the steps; none stands for all.
        only_failed: leave out what passed.
        read_only: run only the checks that send nothing: no order, no e-mail.
    """
    steps = [ws.steps[number - 1] for number in numbers] or ws.steps
    verdicts = grade(ws, steps, read_only)
    failed = [verdict for verdict in verdicts if not verdict.passed]
    tables = []
    for step in steps:
        rows = [v for v in verdicts if v.step == step.number and not (only_failed and v.passed)]
        if rows:
            columns = ("Check", "Result", "Found", "Remedy") if failed else ("Check", "Result", "Found")
            texts = [(v.name, "pass" if v.passed else "fail", v.detail, v.remedy)[: len(columns)] for v in rows]
            tables.append(_table(f"Step {step.number}: {step.title}", columns, texts))
    summary = f"{len(verdicts) - len(failed)} of {len(verdicts)} checks pass."
    if failed:
        again = "; ".join(f"nb.run(ws, {number})" for number in dict.fromkeys(verdict.step for verdict in failed))
        summary += f" To put things right, run the step again: {again}"
    _account("".join(tables) + _box(summary, "red" if failed else "green"), len(verdicts) - len(failed), len(failed))


def exercise(ws: Workshop, number: int, answer: Any) -> None:
    """Check the answer to a notebook's exercise, and tell what is still missing.

    Args:
        ws: the context.
        number: of the notebook.
        answer: what the exercise asks for.
    """
    rows: list[tuple[str, bool, str]] = []
    try:
        for row in load("notebooks/exercises").CHECKERS[number](ws, answer):
            rows.append(row)
    except Exception as error:  # whatever a first try does wrong
        if isinstance(error, WorkshopError) or (isinstance(error, ClientError) and is_denied(error)):
            # It is not the answer that is wrong: what it is tried on is missing, or may not be made.
            raise
        reason = _in_words(error) if isinstance(error, ClientError) else repr(error)
        rows.append(("your answer can be used", False, f"It led to: {reason}"))
    passed = sum(row[1] for row in rows)
    texts = [(what, "pass" if good else "fail", "" if good else hint) for what, good, hint in rows]
    done = passed == len(rows)
    end = "Solved. Well done!" if done else f"{len(rows) - passed} to go: change the cell above, and run both again."
    html = _table("Your exercise", ("What is asked for", "Result", "Hint"), texts) + _box(
        end, "green" if done else "red"
    )
    _account(html, passed, len(rows) - passed)


def show(path: str, *names: str) -> None:
    """Show a file of this repository with its syntax highlighted, or some of its functions.

    Args:
        path: from the repository's root, such as `steps/03_sqs.py`.
        names: of functions, classes or constants; none stands for the whole file.
    """
    text = (REPOSITORY / path).read_text(encoding="utf-8")
    language = {"py": "python", "json": "json"}.get(path.rsplit(".", 1)[-1], "")
    for first, part in _parts(text, names) if names else [(1, text.rstrip("\n"))]:
        last = first + part.count("\n")
        jupyter.display(jupyter.Markdown(f"[`{path}`](../{path}), lines {first} to {last}\n\n{_code(part, language)}"))


def _parts(text: str, names: Iterable[str]) -> Iterator[tuple[int, str]]:
    """The definitions of some names in a Python text, with their decorators and the comment above."""
    import ast

    lines, tree = text.splitlines(), ast.parse(text)
    defined = {}
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else []
        for name in [getattr(node, "name", None), *(getattr(target, "id", None) for target in targets)]:
            defined[name] = node
    for name in names:
        node = defined[name]
        first = min([node.lineno, *(one.lineno for one in getattr(node, "decorator_list", []))])
        while lines[first - 2].startswith("#"):
            first -= 1
        yield first, "\n".join(lines[first - 1 : node.end_lineno])


def table(rows: Any, title: str = "") -> None:
    """Show rows as a table.

    Args:
        rows: a list of dictionaries with the same keys, or one dictionary, shown as names and values.
        title: stands above.
    """
    if isinstance(rows, dict):
        jupyter.display(jupyter.HTML(_table(title, (), [(key, _cell_text(value)) for key, value in rows.items()])))
        return
    rows = list(rows)
    columns = list(dict.fromkeys(key for row in rows for key in row)) or ["Nothing"]
    jupyter.display(
        jupyter.HTML(_table(title, columns, [[_cell_text(row.get(key, "")) for key in columns] for row in rows]))
    )


def as_cli(changes: bool = False) -> None:
    """Show the AWS calls of this cell as AWS CLI commands; folded away if they are many.

    Args:
        changes: only those that changed something.
    """
    try:
        from workshop.awscli import render
    except ImportError:
        return
    calls = [call for call in _calls.calls if _calls.cell == _cell() and not (changes and call.is_read)]
    lines = dict.fromkeys(render(call.service, call.operation, call.parameters) for call in calls[:MOST_CALLS])
    if not lines:
        return
    text = "\n".join(lines)
    if len(lines) == 1:
        jupyter.display(jupyter.Markdown(f"With the AWS CLI:\n\n{_code(text, 'bash')}"))
        return
    more = f" (the first {MOST_CALLS})" if len(calls) > MOST_CALLS else ""
    summary = f"<summary>With the AWS CLI: {len(lines)} commands{more}</summary>"
    jupyter.display(jupyter.Markdown(f"<details>{summary}\n\n{_code(text, 'bash')}\n\n</details>"))


@contextlib.contextmanager
def expect_error(*codes: str) -> Iterator[None]:
    """Show the error with which the `with` block ends, as what was to be seen.

    Args:
        codes: of the error that is expected: AWS's code, or that of a `WorkshopError`. Any of them will do.

    Raises:
        WorkshopError: it ended without an error, or with another one.
    """
    expected = " or ".join(codes)
    try:
        yield
    except (WorkshopError, ClientError) as error:
        code = error.code if isinstance(error, WorkshopError) else error.response["Error"]["Code"]
        said = error if isinstance(error, WorkshopError) else explain(error).problem
        if code not in codes:
            raise WorkshopError(
                f"This should have failed with {expected}. It failed with {code}: {said}",
                "See what is different: run the cells above again.",
            ) from error
        _tell(f"As expected: {said}")
    else:
        raise WorkshopError(
            f"This should have failed with {expected}, and did not fail.", "Run the step again, then this cell."
        )


def follow_order(ws: Workshop, order_id: str, wait: float = 30) -> None:
    """Follow an order hop by hop, exactly as `workshop trace` does, and draw its way.

    Args:
        ws: the context.
        order_id: which order.
        wait: seconds to wait for the next hop.

    Raises:
        WorkshopError: its way ended; the message names the hop and the likely cause.
    """
    ws.listen_to_mail()
    document = follow(ws, order_id, wait)
    if document["hops"]:
        draw_way(document["hops"])
    problem = way_ended(document)
    if problem:
        raise problem


def draw_way(hops: list[dict[str, Any]]) -> None:
    """Draw the way of an order: its stations, and below them the time that each took, true to scale.

    Args:
        hops: as `workshop trace` returns them: `[{"hop", "at", "detail"}]`.
    """
    from matplotlib.figure import Figure

    known = [(hop["hop"], datetime.fromisoformat(hop["at"]).timestamp() * 1000) for hop in hops if hop["at"]]
    if not known:
        return
    start, names = known[0][1], [name for name, _ in known]
    times = [at - start for _, at in known]
    figure = Figure(figsize=(11, 3.1), layout="constrained")
    above, below = figure.subplots(2, 1, height_ratios=[2, 1])
    above.set_xlim(-0.6, len(names) - 0.4)
    above.set_ylim(-0.75, 0.75)
    above.axis("off")
    for place, (name, at) in enumerate(zip(names, times, strict=True)):
        colour = HOP_COLOURS.get(name, COLOURS["dim"])
        above.plot(place, 0, "o", markersize=27, color=colour)
        above.text(place, 0, str(place + 1), ha="center", va="center", color="white", fontweight="bold")
        above.text(place, -0.42, name, ha="center", va="top", fontweight="bold")
        if place:
            took = at - times[place - 1]
            above.annotate(
                "", (place - 0.24, 0), (place - 0.76, 0), arrowprops={"arrowstyle": "-|>", "color": "#7f8792"}
            )
            above.text(place - 0.5, 0.16, f"{took:,.0f} ms", ha="center", fontsize=10)
            below.barh(0, took, left=times[place - 1], color=colour, edgecolor="white", height=0.7)
            if took > 0.04 * times[-1]:
                middle = times[place - 1] + took / 2
                below.text(middle, 0, str(place + 1), ha="center", va="center", color="white", fontweight="bold")
    below.set_yticks([])
    below.set_xlim(0, max(times[-1], 1))
    below.set_xlabel("milliseconds since the API took the order")
    below.spines[["top", "right", "left"]].set_visible(False)
    picture(figure)


def spike(ws: Workshop, orders: int = 1_000, concurrency: int = 20) -> dict[str, Any]:
    """Place many orders at once, exactly as `workshop spike` does, and draw what became of them.

    Args:
        ws: the context; its console must be a notebook's.
        orders: how many.
        concurrency: how many clients at once.

    Returns:
        The account: `sent`, `accepted`, `stored`, `notified`, `lost`, `duplicates` and more.
    """
    assert isinstance(ws.console, NotebookConsole)
    with ws.console.in_place(), contextlib.redirect_stdout(io.StringIO()):
        document = spike_command.spike(ws, orders=orders, concurrency=concurrency)
    draw_spike(document["samples"])
    return document


def draw_spike(samples: list[dict[str, Any]]) -> None:
    """Draw the curves of a spike: orders accepted, stored and told of, and how many waited in the queue."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4.4), layout="constrained")
    # Nobody looked at the very beginning, when there was nothing.
    spike_axes(figure, [dict.fromkeys(samples[0], 0), *samples])
    picture(figure)


def picture(figure: Any) -> None:
    """Show a matplotlib figure, sharp on every screen."""
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=160, facecolor="white")
    jupyter.display(
        jupyter.Image(data.getvalue(), width=round(figure.get_figwidth() * 80), alt="A plot of the numbers above")
    )


def mail(ws: Workshop, wait: float = 10, last: int = 3) -> None:
    """Show the last e-mails that the subscriber got; on AWS they are in people's mailboxes.

    Args:
        ws: the context.
        wait: seconds to wait for a first one.
        last: how many are shown in full.
    """
    if ws.mailbox is None:
        _tell("On AWS, the e-mails are in the mailbox of whoever subscribed. Have a look there.")
        return
    with contextlib.redirect_stdout(io.StringIO()):
        mails = inbox_command.inbox(ws, wait)
    for one in mails[-last:]:
        head = f"To: {_html(one['to'])}<br>Subject: <b>{_html(one['subject'])}</b>"
        body = one["body"] if len(one["body"]) < 500 else one["body"][:400].rstrip() + "\n…"
        jupyter.display(
            jupyter.HTML(
                f'{STYLE}<div class="{CLASSES}" style="border-color: #d6246e">{head}<pre>{_html(body)}</pre></div>'
            )
        )
    orders = sum(len(one["orderIds"]) for one in mails)
    _tell(f"E-mails so far: {len(mails)}. Orders in them: {orders}.")


def _explain_errors() -> None:
    """Let errors of the workshop and of AWS appear as one line with the remedy."""
    shell = shell_of()
    if shell is not None:
        shell.set_custom_exc((WorkshopError, ClientError, BotoCoreError, NameError), _one_line)


def _one_line(shell: Any, kind: type, error: Exception, trace: TracebackType, tb_offset: int | None = None) -> None:
    """What IPython calls instead of showing a traceback. The cell still counts as failed."""
    if isinstance(error, NameError) and error.name != "ws":
        shell.showtraceback((kind, error, trace), tb_offset=tb_offset)
        return
    # What the kernel itself calls to send a traceback; there is no public way to send a shorter one.
    shell._showtraceback(kind, error, [f"\x1b[1;31mError:\x1b[0m {printable(_in_words(error))}"])


def _in_words(error: Exception) -> str:
    """An error in one line, with what to try."""
    if isinstance(error, NameError):
        return "The workshop is not open yet. Run the first code cell of this notebook."
    return str(explain(error, AGAIN))


def _cell() -> int:
    """The number of the cell that runs; 0 outside of a notebook."""
    shell = shell_of()
    return int(shell.execution_count) if shell is not None else 0


def _html(text: str) -> str:
    """Text from outside, such as a customer's or a subscriber's: it shows what it says, and does nothing."""
    return escape(printable(text))


def _code(text: str, language: str) -> str:
    """Code as Markdown, in a fence that nothing in the code can close."""
    longest = max(map(len, re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{printable(text)}\n{fence}"


def _tell(text: str, colour: str = "green") -> None:
    jupyter.display(jupyter.HTML(_box(text, colour)))


def _account(html: str, passed: int, failed: int) -> None:
    jupyter.display(jupyter.HTML(html), metadata={"workshop": {"passed": passed, "failed": failed}})


def _box(text: str, colour: str) -> str:
    return f'{STYLE}<div class="{CLASSES}" style="border-color: {COLOURS[colour]}">{_html(text)}</div>'


def _table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f"<th>{_html(column)}</th>" for column in columns)
    head = f"<thead><tr>{head}</tr></thead>" if columns else ""
    body = "".join(f"<tr>{''.join(map(_td, row))}</tr>" for row in rows)
    caption = f"<caption>{_html(title)}</caption>" if title else ""
    return f'{STYLE}<table class="{CLASSES}">{caption}{head}<tbody>{body}</tbody></table>'


def _td(text: str) -> str:
    style = STYLES.get(text, "").removeprefix("bold ")
    if style:
        return f'<td><b style="color: {COLOURS[style]}">{_html(text)}</b></td>'
    # What is short stays on one line; what is long may be broken anywhere, as ARNs have no blanks.
    style = ' style="white-space: nowrap"' if len(text) <= SHORT else ""
    return f"<td{style}>{_html(text)}</td>"


def _cell_text(value: Any) -> str:
    """A value as a person writes it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple | set):
        return ", ".join(str(one) if not isinstance(one, dict) else json.dumps(one, default=str) for one in value)
    return value if isinstance(value, str) else brief(value)
