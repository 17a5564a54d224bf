"""The record of what a participant made: one JSON file for each target, account, region and prefix.

The file is a record and not the truth: every command asks AWS first, and names and tags find everything
again when the file is lost. It is written after every single resource, so that a killed command leaves a
record of all that it made. The drawback is a write for each resource, which costs a millisecond or two.
"""

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from workshop.base import folder as files
from workshop.base.errors import WorkshopError
from workshop.base.settings import PROJECT, Settings

VERSION = 1


@dataclass
class State:
    """What stands in one state file.

    Attributes:
        path: where the file is, or will be.
        owner: whose records these are: `project`, `target`, `account`, `region`, `prefix`.
        embedded: the id of the embedded AWS that holds the resources; None on real AWS.
        resources: the records, oldest first: `{"step", "kind", "name", "arn"}`.
        forgotten: True when the file spoke of an embedded AWS that is gone, so that its records were let go.
    """

    path: Path
    owner: dict[str, str]
    embedded: str | None = None
    resources: list[dict[str, Any]] = field(default_factory=list)
    forgotten: bool = False
    #: The descriptor of the lock file while this command holds it, and what the command is called.
    _lock: int | None = field(default=None, repr=False, compare=False)
    _holder: str = field(default="", repr=False, compare=False)

    @classmethod
    def load(cls, settings: Settings, account: str, embedded: str | None = None) -> "State":
        """Read the record of this participant, or begin an empty one.

        Args:
            settings: the options of this command.
            account: the AWS account id, 12 digits.
            embedded: the id of the embedded AWS that runs now; None on real AWS.

        Raises:
            WorkshopError: the file cannot be read, is no state file of this workshop and version, or
                belongs to somebody else. It stays as it is.
        """
        path = settings.state_dir / f"{settings.target}-{account}-{settings.region}-{settings.participant}.json"
        owner = {
            "project": PROJECT,
            "target": settings.target,
            "account": account,
            "region": settings.region,
            "prefix": settings.prefix,
        }
        state = cls(path, owner, embedded)
        state._read()
        return state

    def _read(self) -> None:
        with _reporting(self.path, "read"):
            files.check(self.path.parent)
            try:
                content = files.read(self.path)
            except FileNotFoundError:
                self.resources = []
                return
        document = _parse(self.path, content, self.owner)
        if document.get("embedded") == self.embedded:
            self.resources = document["resources"]
        else:
            self.forgotten = bool(document["resources"])

    def find(self, kind: str, name: str) -> dict[str, Any] | None:
        """The record of one resource, or None."""
        return next((r for r in self.resources if (r["kind"], r["name"]) == (kind, name)), None)

    def record(self, step: int, kind: str, name: str, arn: str) -> None:
        """Note that a resource stands, and save.

        Raises:
            WorkshopError: the file cannot be written, or another command has taken the lock.
        """
        self._keep_lock()
        entry = {"step": step, "kind": kind, "name": name, "arn": arn}
        known = self.find(kind, name)
        if known == entry:
            return
        if known is None:
            self.resources.append(entry)
        else:
            known.update(entry)
        self.save()

    def forget(self, kind: str, name: str) -> None:
        """Note that a resource is gone, and save if that is news.

        Raises:
            WorkshopError: the file cannot be written, or another command has taken the lock.
        """
        self._keep_lock()
        kept = [r for r in self.resources if (r["kind"], r["name"]) != (kind, name)]
        if kept != self.resources:
            self.resources = kept
            self.save()

    def save(self) -> None:
        """Write the file in one piece: a reader, or a kill, sees the old one or the new one.

        Raises:
            WorkshopError: the folder cannot be made or written to.
        """
        document = {
            "version": VERSION,
            **self.owner,
            "embedded": self.embedded,
            "updated": datetime.now(UTC).isoformat(timespec="seconds"),
            "resources": self.resources,
        }
        with _reporting(self.path, "written"):
            files.secure(self.path.parent)
            files.write(self.path, json.dumps(document, indent=2) + "\n")

    def delete(self) -> None:
        """Remove the file; a missing one is as good."""
        with _reporting(self.path, "removed"):
            self.path.unlink(missing_ok=True)

    @contextlib.contextmanager
    def lock(self, command: str) -> Iterator[None]:
        """Keep a second command of this participant from changing things at the same time.

        The kernel frees the lock when the process ends, however it ends. Should somebody delete its file, this command
        takes the lock anew with its next record, or stops there if another one was faster.

        Args:
            command: what the holder is called in the message that the second one gets.

        Raises:
            WorkshopError: somebody holds the lock, or the folder cannot be written to.
        """
        self._lock = self._take_lock(command)
        try:
            # Somebody may have recorded something between our reading and our locking.
            self._read()
            yield
        finally:
            os.close(self._lock)
            self._lock = None

    def _take_lock(self, command: str) -> int:
        """Open and lock the lock file, and note in it who holds it; returns its descriptor."""
        self._holder = command
        path = self._lock_path
        while True:
            with _reporting(path, "written"):
                files.secure(path.parent)
                # Opening must not cut what the holder wrote about itself.
                lock = files.open_file(path, os.O_RDWR | os.O_CREAT)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # A lock counts only on the file that the next command will find at this path.
                if files.is_at(lock, path):
                    with _reporting(path, "written"):
                        os.ftruncate(lock, 0)
                        os.write(lock, f"{command} (process {os.getpid()}, since {datetime.now():%H:%M:%S})".encode())
                    return lock
            except BlockingIOError:
                holder = os.read(lock, 1000).decode(errors="replace").strip() or "another command"
                os.close(lock)
                raise WorkshopError(
                    f"{holder} is running for the same participant.", "Wait until it ends, or choose another --prefix."
                ) from None
            except BaseException:
                os.close(lock)
                raise
            os.close(lock)

    def _keep_lock(self) -> None:
        """Take the lock again if its file was deleted meanwhile.

        Raises:
            WorkshopError: another command has taken it; this one must not go on beside it.
        """
        if self._lock is None or files.is_at(self._lock, self._lock_path):
            return
        try:
            again = self._take_lock(self._holder)
        except WorkshopError as error:
            raise WorkshopError(
                f"The lock {self._lock_path} was deleted, and {error.problem}",
                f"This command stops. {error.remedy}",
            ) from None
        os.close(self._lock)
        self._lock = again

    @property
    def _lock_path(self) -> Path:
        return self.path.with_suffix(".lock")


def _parse(path: Path, content: str, owner: dict[str, str]) -> dict[str, Any]:
    """Check that a file is a state file of ours; the file itself stays as it is in any case."""
    remedy = f"It is kept as it is: move it away ({path}) and run again; names and tags find everything."
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        raise WorkshopError("The state file is damaged: it isn't JSON.", remedy) from None
    if not isinstance(document, dict) or document.get("project") != PROJECT:
        raise WorkshopError("The file isn't a state file of this workshop.", remedy)
    if document.get("version") != VERSION:
        raise WorkshopError(
            f"The state file has version {document.get('version')}, but this workshop writes version {VERSION}.",
            f"{remedy} Or use the workshop that wrote it.",
        )
    strangers = [f"{key} {document.get(key)!r}" for key, value in owner.items() if document.get(key) != value]
    if strangers:
        raise WorkshopError(f"The state file belongs to {', '.join(strangers)}.", remedy)
    resources = document.get("resources")
    if not isinstance(resources, list) or not all(
        isinstance(r, dict) and {"step", "kind", "name", "arn"} <= r.keys() for r in resources
    ):
        raise WorkshopError("The state file is damaged: its list of resources isn't valid.", remedy)
    return document


@contextlib.contextmanager
def _reporting(path: Path, what: str) -> Iterator[None]:
    """Turn an error of the file system into one of ours."""
    try:
        yield
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise WorkshopError(
            f"{path} can't be {what}: {reason}.", "Check the folder's permissions, or choose another --state-dir."
        ) from None
