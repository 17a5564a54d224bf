"""One life of the embedded AWS: where it is, how its process is recognised, and how a client gets in."""

import json
import os
import ssl
import subprocess
import urllib.request
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workshop.base.services import ClientsByService
from workshop.embedded import calls
from workshop.embedded.credentials import ACCOUNT, PASSWORD_HEADER, password, root_key

if TYPE_CHECKING:
    import boto3

#: What a record holds of a life.
RECORDED = {"id": str, "pid": int, "started": str, "port": int, "secret": str}


@dataclass(frozen=True)
class Instance:
    """One life of the embedded AWS.

    Attributes:
        id: unique for this life.
        pid: its process, which leads a process group of its own.
        started: when that process started, by which it is told from a later one with the same number.
        port: where it listens, on 127.0.0.1.
        secret: what its keys are derived from.
        folder: its state folder.
    """

    id: str
    pid: int
    started: str
    port: int
    secret: str = field(repr=False)
    folder: Path

    @classmethod
    def parse(cls, record: str, folder: Path) -> "Instance":
        """Read a record.

        Raises:
            ValueError, KeyError, TypeError, RecursionError: it is none.
        """
        document = json.loads(record)
        fields = {name: kind(document[name]) for name, kind in RECORDED.items()}
        bytes.fromhex(fields["secret"])
        return cls(**fields, folder=folder)

    @property
    def record(self) -> str:
        """What `parse` reads."""
        return json.dumps({name: getattr(self, name) for name in RECORDED}) + "\n"

    @property
    def endpoint(self) -> str:
        """The URL that clients are pointed at."""
        return f"https://127.0.0.1:{self.port}"

    @property
    def ca_bundle(self) -> Path:
        """The certificate of the authority that vouches for this endpoint, and for nothing else."""
        return self.folder / "embedded.ca.pem"

    @property
    def is_alive(self) -> bool:
        """Whether its process runs: that very one, and none that got the same number later."""
        return bool(self.started) and started(self.pid) == self.started

    def session(self, region: str, account: str = ACCOUNT) -> "boto3.Session":
        """A boto3 session of an account's root user, untouched by the user's own AWS configuration.

        Args:
            region: the region's name.
            account: the account's number.
        """
        # The launcher needs none of this, and boto3 takes a third of a second to load.
        import boto3
        import botocore.session

        core = botocore.session.Session()
        for variable in ("profile", "config_file", "credentials_file"):
            core.session_var_map[variable] = (None, None, None if variable == "profile" else os.devnull, None)
        core.set_config_variable("ca_bundle", str(self.ca_bundle))
        calls.register(core)
        key = root_key(self.secret, account)
        return boto3.Session(
            aws_access_key_id=key.id, aws_secret_access_key=key.secret, region_name=region, botocore_session=core
        )

    def clients(self, region: str, account: str = ACCOUNT) -> ClientsByService:
        """boto3's clients, as an account's root user."""
        session: Any = self.session(region, account)
        return ClientsByService(lambda service: session.client(service, endpoint_url=self.endpoint))

    def get(self, path: str, timeout: float = 30) -> Any:
        """Ask one of ministack's own endpoints, such as `/_ministack/health`.

        Args:
            path: with its query.
            timeout: seconds.

        Returns:
            The JSON document that it answers.

        Raises:
            OSError: nobody answers, or it is not this life that does.
            ValueError: the answer is no JSON.
        """
        request = urllib.request.Request(self.endpoint + path, headers={PASSWORD_HEADER: password(self.secret)})
        with urllib.request.urlopen(request, timeout=timeout, context=self._trust) as answer:  # nosec B310
            return json.load(answer)

    @cached_property
    def _trust(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.ca_bundle))


def started(pid: int) -> str:
    """When a process started, in the words of its system; an empty text if there is no such process."""
    try:
        # Linux: the 22nd field, clock ticks since the machine started. The second may hold spaces and brackets.
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        state, *fields = text.rpartition(")")[2].split()
        return "" if state in "ZX" else fields[18]
    except (OSError, IndexError):
        pass
    if os.path.exists("/proc/self/stat"):
        return ""
    command = ["ps", "-o", "lstart=", "-p", str(pid)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env={"LC_ALL": "C"}).stdout.strip()
