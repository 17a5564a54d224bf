"""`workshop redrive`: list the dead-letter queues, and send their messages back.

Orders go back through the API. Only its role can send to the orders queue, which rules out StartMessageMoveTask, and
the API rejects invalid orders again. An order without an id gets the id of its first message, so that an order which
was stored after all isn't stored twice.

A message is deleted once it is sent, or, with `--discard`, once it is proven invalid. Each queue is read once, a few
hundred messages at a time, so 100,000 messages need no more memory than 1,000.
"""

import contextlib
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Annotated, Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from typer import Option

from workshop.base.errors import Interrupted, WorkshopError
from workshop.base.interrupts import ctrl_c_sets
from workshop.base.spelling import counted
from workshop.build.opening import OpenWorkshop
from workshop.orders.dead_letters import (
    FAILURES,
    VISIBILITY_TIMEOUT,
    DeadLetterQueue,
    Message,
    last_errors,
    sent_at,
)
from workshop.orders.discarding import current_code_since, logged_after, require_unmodified_validation
from workshop.orders.records import reason_of
from workshop.orders.resend import ORDERS, RECORDS, DeadLetterMessage, Orders, Records, Verdict

#: Concurrent requests. At 40 ms each, that's 500 a second, the stage's throttle.
SENDERS = 20
#: How many messages to read before asking, and how many to print.
MAX_PREVIEWED, MAX_SHOWN = 1_000, 100
#: Stop after this many failures in a row.
MAX_FAILURES = 200
NOT_LOGGED = "POC-Lambda-1 logged nothing about it: it failed, or never received it"
#: How a result is printed.
LABELS = {"sent": "sent", "refused": "rejected", "discarded": "discarded", "later": "kept"}


def redrive(
    ws: OpenWorkshop,
    id: Annotated[str | None, Option(help="Only the message with this id.")] = None,
    dry_run: Annotated[bool, Option("--dry-run", help="List the messages, and send nothing.")] = False,
    discard: Annotated[bool, Option("--discard", help="Delete messages that are proven invalid.")] = False,
) -> dict[str, Any]:
    """List the dead-letter queues and send the messages back.

    The list shows each message's age and why it failed.

    Example: workshop redrive --dry-run
    """
    ws.need("rest-api", "ecommerce-orders-api")
    with ThreadPoolExecutor(SENDERS) as pool:
        run = Redrive(ws, pool, id, discard)
        try:
            if dry_run:
                return run.show()
            if discard:
                require_unmodified_validation(ws)
                run.log_since = current_code_since(ws)
            return run.all()
        finally:
            with ctrl_c_sets(threading.Event()):
                run.release()


class Redrive:
    """One run of the command.

    Args:
        ws: the context.
        pool: runs calls concurrently.
        id: the id of the only message to send; None for all.
        discard: delete invalid orders.
    """

    def __init__(self, ws: OpenWorkshop, pool: Executor, id: str | None, discard: bool) -> None:
        self.ws, self.pool, self.id, self.discard = ws, pool, id, discard
        self.queues = {base: DeadLetterQueue(ws, base, pool) for base in (ORDERS, RECORDS)}
        self.outcome: dict[str, list[dict[str, Any]]] = {"sent": [], "refused": [], "discarded": [], "later": []}
        self.found: list[DeadLetterMessage] = []
        #: From when the log of POC-Lambda-1 proves that an order is invalid, in seconds since 1970.
        self.log_since = 0.0
        #: Whether `found` is everything in the queues.
        self.complete = False
        self.logged: dict[str, dict[str, Any]] = {}
        #: Messages that are done but that SQS failed to delete.
        self.undeleted: dict[str, Verdict] = {}
        self.failures = 0
        self.stopped: dict[str, Any] = {}
        #: Set by Ctrl-C, to send nothing more.
        self.stop = threading.Event()

    def show(self, dry_run: bool = True) -> dict[str, Any]:
        """Print the messages in the queues, and return the document of a dry run."""
        self._look()
        shown, waiting = self.found[:MAX_SHOWN], 0 if self.complete else self._waiting()
        if shown:
            rows = [(one.queue, one.id, f"{one.age} s", one.reason) for one in shown]
            self.ws.console.table("Messages in the dead-letter queues", ("Queue", "Message", "Age", "Reason"), rows)
        else:
            self.ws.console.say("The dead-letter queues are empty.")
        if hidden := len(self.found) - len(shown) + waiting:
            self.ws.console.say(f"  and {'about ' if waiting else ''}{hidden} more")
        if dry_run and shown:
            self.ws.console.say(f"Would send {self._count(waiting)} back.")
        return self._document()

    def all(self) -> dict[str, Any]:
        """List the messages, ask, and send all of them back."""
        asked = self.ws.waiter.clock()
        self.show(dry_run=False)
        if not self.found:
            return self._document()
        count = self._count(0 if self.complete else self._waiting())
        self.ws.console.confirm(f"Send {count} back?", self.ws.settings.yes)
        answered = self.ws.waiter.clock()
        try:
            with ctrl_c_sets(self.stop), self._progress() as advance:
                self._send(answered - asked > VISIBILITY_TIMEOUT / 4, advance)
        except KeyboardInterrupt:
            self.stop.set()
        except FAILURES as error:
            if not any(self.outcome.values()):
                raise
            self.stopped = {"stopped": error.problem if isinstance(error, WorkshopError) else str(error)}
        if self.stop.is_set():
            self.stopped = {"interrupted": True, "stopped": "Interrupted"}
        self._give_up_undeleted()
        if self.stopped:
            with contextlib.suppress(*FAILURES):
                self.stopped["untried"] = self._untried()
        self.ws.console.say(", ".join(f"{len(entries)} {LABELS[word]}" for word, entries in self.outcome.items()))
        return self._document()

    def release(self) -> None:
        """Make the messages that are still in the queues visible to other consumers."""
        for queue in self.queues.values():
            queue.release()

    def _count(self, waiting: int) -> str:
        return f"about {len(self.found) + waiting}" if waiting else str(len(self.found))

    def _waiting(self) -> int:
        return sum(queue.waiting() for queue in self.queues.values())

    def _untried(self) -> int:
        """Return about how many messages weren't tried: those in the queue, and those received without a verdict."""
        received = sum(len(queue.handles) for queue in self.queues.values())
        return self._waiting() + max(0, received - len(self.outcome["refused"]) - len(self.outcome["later"]))

    def _document(self) -> dict[str, Any]:
        return {"messages": [vars(one) for one in self.found], **self.outcome, **self.stopped}

    def _look(self) -> None:
        """Read the first thousand messages, and find out why they failed."""
        found: list[tuple[str, Message]] = []
        enough = MAX_PREVIEWED if self.id is None else 1
        with ctrl_c_sets(self.stop):
            for base, queue in self.queues.items():
                while len(found) < enough and not self.stop.is_set() and (messages := queue.receive()):
                    found += [(base, message) for message in messages if self.id in (None, message["MessageId"])]
        if self.stop.is_set():
            raise KeyboardInterrupt
        self.complete = self.id is not None or len(found) < enough
        if self.id is not None and not found:
            raise WorkshopError(f"No dead-letter queue contains {self.id}.", "List them: workshop redrive --dry-run")
        orders = [sent_at(message) for base, message in found if base == ORDERS]
        if orders:
            self.logged = last_errors(self.ws, min(orders), everything=self.complete)
        self.found = [self._described(base, message) for base, message in found]

    def _described(self, base: str, message: Message) -> DeadLetterMessage:
        entry = self.logged.get(message["MessageId"], {})
        return DeadLetterMessage(
            base, message["MessageId"], message["Body"], round(time.time() - sent_at(message)),
            reason_of(message["Body"]) if base == RECORDS else str(entry.get("reason", NOT_LOGGED)),
            invalid=base == ORDERS and entry.get("event") == "refused" and logged_after(entry, self.log_since),
        )  # fmt: skip

    def _send(self, hide_again: bool, advance: Any) -> None:
        """Send the messages of both queues, starting with those that were listed."""
        orders = Orders(self.ws, self.pool, self.stop)
        for base, sender in ((ORDERS, orders), (RECORDS, Records(self.ws, self.stop))):
            queue = self.queues[base]
            chunk = [one for one in self.found if one.queue == base]
            lost = queue.hide_again([one.id for one in chunk]) if hide_again else set()
            chunk = [one for one in chunk if one.id not in lost]
            more = bool(lost) or not self.complete
            while (chunk or more) and not self.stop.is_set():
                self._settle(queue, sender, chunk)
                advance(len(chunk))
                # A message that was sent back and failed again has a new id. It had its turn.
                queue.seen |= orders.resent
                if self.failures >= MAX_FAILURES:
                    self.stopped = {"stopped": f"The last {self.failures} failed"}
                    return
                more = more or bool(self.undeleted)
                messages = queue.receive() if more else []
                more = bool(messages)
                chunk = [self._described(base, one) for one in messages if self.id in (None, one["MessageId"])]
            # If SQS delivered them again, their receipt handles are current now.
            again = {one: self.undeleted.pop(one) for one in self.undeleted.keys() & queue.handles.keys()}
            self._delete(queue, again)

    def _settle(self, queue: DeadLetterQueue, sender: Orders | Records, chunk: list[DeadLetterMessage]) -> None:
        """Send some messages back, and delete those that are done, even after an error."""
        done: dict[str, Verdict] = {}
        before = self._settled()

        def on_verdict(message: DeadLetterMessage, verdict: Verdict) -> None:
            word, detail = verdict
            if word == "refused" and self.discard:
                word = "discarded"
            if word in ("sent", "discarded"):
                done[message.id] = word, detail
            else:
                self._record(queue.base, message.id, word, detail)

        try:
            invalid = [one for one in chunk if one.invalid and self.discard]
            for message in invalid:
                # The API would accept some of these again, such as JSON that isn't valid Unicode.
                on_verdict(message, ("refused", message.reason))
            if rest := [one for one in chunk if one not in invalid]:
                sender.send(rest, on_verdict)
        finally:
            self._delete(queue, done)
            self.failures = 0 if self._settled() > before else self.failures + len(chunk)

    def _delete(self, queue: DeadLetterQueue, done: dict[str, Verdict]) -> None:
        """Delete messages that are done. Only then do they count as sent or discarded."""
        failed = queue.delete(done.keys())
        for one, (word, detail) in done.items():
            if one in failed:
                self.undeleted[one] = word, f"{detail}; SQS didn't delete it: {failed[one]}"
            else:
                self._record(queue.base, one, word, detail)

    def _settled(self) -> int:
        """Return how many messages this run is done with."""
        return sum(len(self.outcome[word]) for word in ("sent", "refused", "discarded"))

    def _give_up_undeleted(self) -> None:
        for base, queue in self.queues.items():
            for one in [one for one in self.undeleted if one in queue.handles]:
                word, detail = self.undeleted.pop(one)
                self._record(base, one, "later", f"{LABELS[word]} {detail}")

    def _record(self, base: str, message_id: str, word: str, detail: str) -> None:
        entries = self.outcome[word]
        entries.append({"id": message_id, "queue": base, "detail": detail})
        if len(entries) <= MAX_SHOWN:
            self.ws.console.say(f"{message_id}  {detail}", lead=f"  {LABELS[word]:<10}")
        elif len(entries) == MAX_SHOWN + 1:
            self.ws.console.say(f"  {LABELS[word]:<10}more (--json lists all)")

    @contextlib.contextmanager
    def _progress(self) -> Iterator[Any]:
        """Show a progress bar on standard error if it's a terminal and there is enough to wait for."""
        console, total = self.ws.console.err, len(self.found) + (0 if self.complete else self._waiting())
        columns = (TextColumn("sending"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(
            *columns, console=console, transient=True, disable=self.complete or not console.is_terminal
        ) as bar:
            task = bar.add_task("", total=total)
            yield lambda count: bar.advance(task, count)


def refused(document: dict[str, Any], dry_run: bool = False, **_: Any) -> WorkshopError | None:
    """Return the error to exit with if a message couldn't be sent back."""
    if document.get("stopped"):
        kind = Interrupted if document.get("interrupted") else WorkshopError
        left = f", about {document['untried']} not tried" if document.get("untried") else ""
        return kind(
            f"{document['stopped']}: {len(document['sent'])} sent back, {len(document['later'])} failed{left}.",
            "They stay in the queue. Run it again: workshop redrive",
        )
    if document["later"]:
        first = document["later"][0]["detail"].rstrip(".")
        return WorkshopError(
            f"{counted(len(document['later']), 'message')} couldn't be sent back, and stay in the queue: {first}.",
            "Try again later: workshop redrive",
        )
    if document["refused"] and not dry_run:
        return WorkshopError(
            f"{counted(len(document['refused']), 'message')} rejected again, and kept in the queue.",
            "They will never be valid. To delete them: workshop redrive --discard",
        )
    return None
