"""Serves ministack, over TLS and behind the gate: `python -m workshop.embedded.launcher FOLDER [tied]`.

ministack's application is an ASGI application, and hypercorn the server that its own entry point starts it in. This
one does the same with its public means, and adds three things: a certificate of its own authority, the gate, and an
end. It ends when its state folder is gone, and, if it is tied to the process that started it, with that process.

Port and secret come as one line of JSON through standard input, so that the secret stands in no environment and in no
list of processes.
"""

import asyncio
import contextlib
import json
import os
import resource
import shutil
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

import trustme

from workshop.base import folder as files
from workshop.embedded.credentials import root_key

#: Seconds between two looks at whether the state folder is still there.
LOOK = 1.0
_parent_is_gone = threading.Event()


def main() -> None:
    """Serve until killed."""
    folder, tied = Path(sys.argv[1]), sys.argv[2:] == ["tied"]
    told = sys.stdin.buffer.readline()
    watch = threading.Thread(target=_end_with_parent if tied else _end_without_folder, args=(folder,), daemon=True)
    watch.start()
    try:
        # Nothing is told if who started this was killed before it could.
        if told:
            _serve(folder, *json.loads(told))
    finally:
        if tied and (not told or _parent_is_gone.is_set()):
            watch.join()


def _serve(folder: Path, port: int, secret: str) -> None:
    certificate = _certificate(folder / "embedded.ca.pem", Path(os.environ["TMPDIR"]) / "tls.pem")
    os.environ |= _environment(port, secret, folder / "embedded.ca.pem")
    # Connections come in bursts; 1,024 open files are soon too few.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))

    # ministack reads the environment when it is imported.
    from hypercorn.asyncio import serve
    from hypercorn.config import Config
    from ministack.app import app

    from workshop.embedded.gate import Gate

    config = Config()
    config.bind = [f"127.0.0.1:{port}"]
    config.certfile = config.keyfile = str(certificate)
    # ministack speaks HTTP/1.1, as AWS does; there is no reason to offer more.
    config.alpn_protocols = ["http/1.1"]
    config.keep_alive_timeout = 75
    config.loglevel = "WARNING"
    gate: Any = Gate(app, port, secret)
    asyncio.run(serve(gate, config))


def _environment(port: int, secret: str, authority: Path) -> dict[str, str]:
    """What ministack is told; the functions inherit it, with their role's keys in place of the root user's."""
    key = root_key(secret)
    return {
        "GATEWAY_PORT": str(port),
        "BIND_HOST": "127.0.0.1",
        "MINISTACK_HOST": "127.0.0.1",
        "USE_SSL": "1",
        "AUTH": "true",
        "LOG_LEVEL": "WARNING",
        "LAMBDA_EXECUTOR": "local",
        # Listeners that nothing here needs.
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        # The key that ministack takes for the root user's. The gate alone sees to it that nobody else is root.
        "AWS_ACCESS_KEY_ID": key.id,
        "AWS_SECRET_ACCESS_KEY": key.secret,
        "AWS_ENDPOINT_URL": f"https://127.0.0.1:{port}",
        "AWS_CA_BUNDLE": str(authority),
    }


def _certificate(authority_path: Path, path: Path) -> Path:
    """Make an authority and a certificate for this life; the authority's key is forgotten at once.

    Args:
        authority_path: where clients find the authority's certificate.
        path: where the server finds its certificate and key.

    Returns:
        `path`.
    """
    authority = trustme.CA(organization_name="Orders workshop", organization_unit_name="Embedded AWS of one folder")
    leaf = authority.issue_cert("127.0.0.1", "localhost")
    files.write(path, leaf.private_key_and_cert_chain_pem.bytes().decode())
    files.write(authority_path, authority.cert_pem.bytes().decode())
    return path


def _end_with_parent(folder: Path) -> None:
    """Wait until the other end of the pipe is closed, then leave nothing behind."""
    sys.stdin.buffer.read()
    _parent_is_gone.set()
    # Functions that still run may write while we delete.
    for _ in range(3):
        shutil.rmtree(folder, ignore_errors=True)
    _end()


def _end_without_folder(folder: Path) -> None:
    """Wait until the folder is gone: nobody can find this process any more."""
    while (folder / "embedded.lock").exists() or (folder / "embedded.json").exists():
        time.sleep(LOOK)
    _end()


def _end() -> None:
    """End, with the functions' worker processes, which are in the same group."""
    os.killpg(os.getpgrp(), signal.SIGKILL)


if __name__ == "__main__":
    main()
