"""An `aws` that starts in no time, for shells: a small client of a process that has the AWS CLI loaded (`prefork`).

The client can also play a machine that goes down: with KILL_AFTER it kills its process group after so many changes were
carried out, before anybody hears of it.
"""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

import prefork

CLIENT = """#!{python} -IS
import json, os, re, signal, socket, sys
with socket.socket(socket.AF_UNIX) as server:
    server.connect({address!r})
    what = json.dumps([["aws", *sys.argv[1:]], dict(os.environ), os.getcwd()]).encode()
    socket.send_fds(server, [len(what).to_bytes(4, "big")], [0, 1, 2])
    server.sendall(what)
    # First comes the number of the process.
    said = b""
    while len(said) < 8 and (part := server.recv(8)):
        said += part
code = int.from_bytes(said[4:], "big", signed=True) if len(said) == 8 else 255
words = [word for word in sys.argv[1:] if not word.startswith("-")]
changes = not any(re.match("(get|list|describe)-|wait$", word) for word in words)
if "KILL_AFTER" in os.environ and changes and code == 0:
    with open(os.environ["KILL_COUNT"], "a+b") as counted:
        counted.write(b".")
        counted.flush()
        if counted.tell() >= int(os.environ["KILL_AFTER"]):
            os.killpg(0, signal.SIGKILL)
sys.exit(code if code >= 0 else 255)
"""


@contextlib.contextmanager
def install(folder: Path) -> Iterator[Path]:
    """Put `aws` into a folder, which is given back for the front of PATH."""
    folder.mkdir()
    server = prefork.Server("aws", folder)
    (folder / "aws").write_text(CLIENT.format(python=sys.executable, address=server.address))
    (folder / "aws").chmod(0o755)
    try:
        server.wait()
        yield folder
    finally:
        server.stop()
