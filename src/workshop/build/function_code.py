"""The code of a function: packed for Lambda, and read back from it."""

import base64
import hashlib
import io
import urllib.request
import zipfile
from typing import Any

from workshop.base.http import trust

#: The one file of a function. CloudFormation calls inline code so as well.
FILE = "index.py"


def packed(source: str) -> bytes:
    """A zip file with the source as `index.py`, the same bytes for the same text whenever and wherever it is made."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        entry = zipfile.ZipInfo(FILE)  # dated 1980-01-01
        entry.external_attr = 0o644 << 16
        archive.writestr(entry, source)
    return buffer.getvalue()


def deployed(function: dict[str, Any], expected: str, ca_bundle: str | None = None) -> str:
    """The source that a function runs.

    A package made elsewhere (by CloudFormation, by the AWS CLI) holds the same file in other bytes, so the file
    is compared, not the package. It is fetched only if the packages differ.

    Args:
        function: what `GetFunction` says: the configuration, and `Code` with a link that works for ten minutes.
        expected: the source that we think it runs.
        ca_bundle: a file with the only authorities whose certificates count; None for the system's.

    Returns:
        The text of its `index.py`; an empty text if it has none.
    """
    digest = base64.b64encode(hashlib.sha256(packed(expected)).digest()).decode()
    if function["CodeSha256"] == digest:
        return expected
    link = str(function["Code"]["Location"])
    if not link.startswith(("https://", "http://")):
        raise ValueError(f"AWS gave {link.partition(':')[0]}: as the link to a function's code.")
    with urllib.request.urlopen(link, timeout=30, context=trust(ca_bundle)) as answer:  # nosec B310
        archive = zipfile.ZipFile(io.BytesIO(answer.read()))
    return archive.read(FILE).decode() if FILE in archive.namelist() else ""
