"""`workshop redrive`: what lies in the dead-letter queues, and back with it into the flow.

Orders go back through the front door, the API: nobody but its role may send to the queue (which rules out SQS's own
StartMessageMoveTask), and what was no order then is refused there once more and stays where it is. An order without
an id of its own gets the id of its first message, so that one which was stored after all is not stored twice.

A message is deleted when it was sent, or, with `--discard`, when it is proven that it never can be. The queue is gone
through once, some hundred messages at a time, so that 100,000 need no more memory than a thousand.
"""

import contextlib
import time
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Annotated, Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from typer import Option

from workshop.backlog import FAILURES, HIDDEN, Backlog, Message
from workshop.errors import Interrupted, WorkshopError
from workshop.records import part
from workshop.resend import ORDERS, RECORDS, DeadLetter, Orders, Records, Verdict
from workshop.step import Workshop

#: So many are sent at once. With an answer in 40 ms that makes 500 a second, the stage's throttle.
SENDERS = 20
#: So many are looked at before the question; so many lines are printed.
MOST_LOOKED_AT, MOST_SHOWN = 1_000, 100
#: After so many in a row of which none got through, the run ends.
FRUITLESS = 200
SILENCE = "POC-Lambda-1 said nothing of it: it failed, or never got it"


def redrive(
    ws: Workshop,
    id: Annotated[str | None, Option(help="Only the message with this id.")] = None,
    dry_run: Annotated[bool, Option("--dry-run", help="Only show what lies there.")] = False,
    discard: Annotated[bool, Option("--discard", help="Delete what can never be sent: what is no order.")] = False,
) -> dict[str, Any]:
    """Show what lies in the dead-letter queues, with reason and age, and send it back.

    Example: workshop redrive --dry-run
    """
    ws.need("rest-api", "ecommerce-orders-api")
    with ThreadPoolExecutor(SENDERS) as pool:
        run = Redrive(ws, pool, id, discard)
        try:
            return run.show(dry_run) if dry_run else run.all()
        finally:
            run.release()


class Redrive:
    """One run of the command.

    Args:
        ws: the context.
        pool: makes several calls at once.
        id: the id of the only message that is meant; None for all.
        discard: delete what can never be sent.
    """

    def __init__(self, ws: Workshop, pool: Executor, id: str | None, discard: bool) -> None:
        self.ws, self.pool, self.id, self.discard = ws, pool, id, discard
        self.backlogs = {base: Backlog(ws, base, pool) for base in (ORDERS, RECORDS)}
        self.outcome: dict[str, list[dict[str, Any]]] = {"sent": [], "refused": [], "discarded": [], "later": []}
        self.letters: list[DeadLetter] = []
        #: Whether `letters` is all there is.
        self.whole = False
        self.said: dict[str, dict[str, Any]] = {}
        #: Done with, but SQS would not delete them: the word, and the detail.
        self.undeleted: dict[str, Verdict] = {}
        self.fruitless = 0
        self.stopped: dict[str, Any] = {}

    def show(self, dry_run: bool = True) -> dict[str, Any]:
        """Print what lies in the queues; the document of a dry run."""
        self._look()
        shown, waiting = self.letters[:MOST_SHOWN], 0 if self.whole else self._waiting()
        if shown:
            rows = [(one.queue, one.id, f"{one.age} s", one.reason) for one in shown]
            self.ws.console.table("Dead letters", ("Queue", "Message", "Age", "Reason"), rows)
        else:
            self.ws.console.say("There are no dead letters.")
        if hidden := len(self.letters) - len(shown) + waiting:
            self.ws.console.say(f"  and {'about ' if waiting else ''}{hidden} more")
        if dry_run and shown:
            self.ws.console.say(f"{self._count(waiting)} would be sent back.")
        return self._document()

    def all(self) -> dict[str, Any]:
        """Show, ask, and send everything back."""
        asked = self.ws.patience.clock()
        self.show(dry_run=False)
        if not self.letters:
            return self._document()
        self.ws.console.confirm(f"Send {self._count(0 if self.whole else self._waiting())} back?", self.ws.settings.yes)
        answered = self.ws.patience.clock()
        try:
            with self._progress() as advance:
                self._send(answered - asked > HIDDEN / 4, advance)
        except KeyboardInterrupt:
            self.stopped = {"interrupted": True, "stopped": "Interrupted"}
        except FAILURES as error:
            if not any(self.outcome.values()):
                raise
            self.stopped = {"stopped": error.problem if isinstance(error, WorkshopError) else str(error)}
        self._give_up_undeleted()
        if self.stopped:
            with contextlib.suppress(*FAILURES):
                self.stopped["untried"] = self._untried()
        self.ws.console.say(", ".join(f"{len(entries)} {word}" for word, entries in self.outcome.items()))
        return self._document()

    def release(self) -> None:
        """Let others see what is still in the queues."""
        for backlog in self.backlogs.values():
            backlog.release()

    def _count(self, waiting: int) -> str:
        return f"about {len(self.letters) + waiting}" if waiting else str(len(self.letters))

    def _waiting(self) -> int:
        return sum(backlog.waiting() for backlog in self.backlogs.values())

    def _untried(self) -> int:
        """How many have had no turn, about: those that wait, and those in hand that were not judged."""
        in_hand = sum(len(backlog.handles) for backlog in self.backlogs.values())
        return self._waiting() + max(0, in_hand - len(self.outcome["refused"]) - len(self.outcome["later"]))

    def _document(self) -> dict[str, Any]:
        return {"letters": [vars(one) for one in self.letters], **self.outcome, **self.stopped}

    def _look(self) -> None:
        """Read the first thousand dead letters that are meant, and why they are here."""
        found: list[tuple[str, Message]] = []
        enough = MOST_LOOKED_AT if self.id is None else 1
        for base, backlog in self.backlogs.items():
            while len(found) < enough and (messages := backlog.take()):
                found += [(base, message) for message in messages if self.id in (None, message["MessageId"])]
        self.whole = self.id is not None or len(found) < enough
        if self.id is not None and not found:
            raise WorkshopError(f"There is no dead letter {self.id}.", "See: workshop redrive --dry-run")
        orders = [sent_at(message) for base, message in found if base == ORDERS]
        if orders:
            self.said = last_words(self.ws, min(orders), everything=self.whole)
        self.letters = [self._letter(base, message) for base, message in found]

    def _letter(self, base: str, message: Message) -> DeadLetter:
        said = self.said.get(message["MessageId"], {})
        return DeadLetter(
            base, message["MessageId"], message["Body"], round(time.time() - sent_at(message)),
            reason_for_record(message) if base == RECORDS else str(said.get("reason", SILENCE)),
            hopeless=base == ORDERS and said.get("event") == "refused",
        )  # fmt: skip

    def _send(self, waited_long: bool, advance: Any) -> None:
        """Go through both queues, beginning with what was shown."""
        orders = Orders(self.ws, self.pool)
        for base, sender in ((ORDERS, orders), (RECORDS, Records(self.ws))):
            backlog = self.backlogs[base]
            chunk = [one for one in self.letters if one.queue == base]
            lost = backlog.hold([one.id for one in chunk]) if waited_long else set()
            chunk = [one for one in chunk if one.id not in lost]
            more = bool(lost) or not self.whole
            while chunk or more:
                self._settle(backlog, sender, chunk)
                advance(len(chunk))
                # What was sent back and died again comes as another message; it has had its turn.
                backlog.seen |= orders.made
                if self.fruitless >= FRUITLESS:
                    self.stopped = {"stopped": f"The last {self.fruitless} got nowhere"}
                    return
                more = more or bool(self.undeleted)
                messages = backlog.take() if more else []
                more = bool(messages)
                chunk = [self._letter(base, one) for one in messages if self.id in (None, one["MessageId"])]
            # By now their handles are those of a later reception, if there was one.
            again = {one: self.undeleted.pop(one) for one in self.undeleted.keys() & backlog.handles.keys()}
            self._delete(backlog, again)

    def _settle(self, backlog: Backlog, sender: Orders | Records, chunk: list[DeadLetter]) -> None:
        """Send some letters back, and delete those that are done with; also of a chunk that Ctrl-C cuts short."""
        done: dict[str, Verdict] = {}
        before = self._settled()

        def judge(letter: DeadLetter, verdict: Verdict) -> None:
            word, detail = verdict
            if word == "refused" and self.discard:
                word = "discarded"
            if word in ("sent", "discarded"):
                done[letter.id] = word, detail
            else:
                self._record(backlog.base, letter.id, word, detail)

        try:
            hopeless = [one for one in chunk if one.hopeless and self.discard]
            for letter in hopeless:
                # The API would let some of these in again: text that is JSON, but no Unicode, for one.
                judge(letter, ("refused", letter.reason))
            if rest := [one for one in chunk if one not in hopeless]:
                sender.send(rest, judge)
        finally:
            self._delete(backlog, done)
            self.fruitless = 0 if self._settled() > before else self.fruitless + len(chunk)

    def _delete(self, backlog: Backlog, done: dict[str, Verdict]) -> None:
        """Delete what is done with. Only then it counts as sent, or discarded."""
        failed = backlog.delete(done.keys())
        for one, (word, detail) in done.items():
            if one in failed:
                self.undeleted[one] = word, f"{detail}; SQS did not delete it: {failed[one]}"
            else:
                self._record(backlog.base, one, word, detail)

    def _settled(self) -> int:
        """For how many nothing more is to be done in this run."""
        return sum(len(self.outcome[word]) for word in ("sent", "refused", "discarded"))

    def _give_up_undeleted(self) -> None:
        for base, backlog in self.backlogs.items():
            for one in [one for one in self.undeleted if one in backlog.handles]:
                word, detail = self.undeleted.pop(one)
                self._record(base, one, "later", f"{word} {detail}")

    def _record(self, base: str, message_id: str, word: str, detail: str) -> None:
        entries = self.outcome[word]
        entries.append({"id": message_id, "queue": base, "detail": detail})
        if len(entries) <= MOST_SHOWN:
            self.ws.console.say(f"  {word:<10}{message_id}  {detail}")
        elif len(entries) == MOST_SHOWN + 1:
            self.ws.console.say(f"  {word:<10}and more; --json names all")

    @contextlib.contextmanager
    def _progress(self) -> Iterator[Any]:
        """A bar on standard error, if that is a terminal and there is enough to wait for."""
        console, total = self.ws.console.err, len(self.letters) + (0 if self.whole else self._waiting())
        columns = (TextColumn("redriving"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=console, transient=True, disable=self.whole or not console.is_terminal) as bar:
            task = bar.add_task("", total=total)
            yield lambda count: bar.advance(task, count)


def sent_at(message: Message) -> float:
    """When a message was sent first, in seconds since 1970: moving it to another queue does not change that."""
    return int(message["Attributes"]["SentTimestamp"]) / 1000


def last_words(ws: Workshop, since: float, everything: bool) -> dict[str, dict[str, Any]]:
    """What POC-Lambda-1 said at last of every message that it could not do: `{message id: line of its log}`.

    Args:
        ws: the context.
        since: seconds since 1970.
        everything: not only of what it refused for good. Of 100,000 messages there is too much to read.
    """
    try:
        lines = ws.read_log("POC-Lambda-1", "ERROR", *([] if everything else ["refused"]), since=since)
    except FAILURES as error:
        ws.console.note(f"The log of POC-Lambda-1 cannot be read, so reasons are missing: {error}")
        return {}
    return {line["messageId"]: line for line in lines if line.get("level") == "ERROR" and "messageId" in line}


def reason_for_record(message: Message) -> str:
    """Why the trigger of POC-Lambda-2 gave up, and on how many records."""
    batch, context = part(message["Body"], "DDBStreamBatchInfo"), part(message["Body"], "requestContext")
    return f"{batch.get('batchSize', '?')} record(s): {context.get('condition', 'unknown')}"


def refused(document: dict[str, Any], dry_run: bool = False, **_: Any) -> WorkshopError | None:
    """What the command ends with when something could not be sent back."""
    if document.get("stopped"):
        kind = Interrupted if document.get("interrupted") else WorkshopError
        left = f", and about {document['untried']} not tried" if document.get("untried") else ""
        return kind(
            f"{document['stopped']}: {len(document['sent'])} were sent back, {len(document['later'])} were not{left}.",
            "They stay in the queue; run it again: workshop redrive",
        )
    if document["later"]:
        first = document["later"][0]["detail"].rstrip(".")
        return WorkshopError(
            f"{len(document['later'])} dead letter(s) could not be sent back now and stay in the queue: {first}.",
            "Try again later: workshop redrive",
        )
    if document["refused"] and not dry_run:
        return WorkshopError(
            f"{len(document['refused'])} dead letter(s) were refused again and stay where they are.",
            "What is no order cannot become one; delete it with: workshop redrive --discard",
        )
    return None
