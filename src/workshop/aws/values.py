"""When two settings are the same, and how one is shown in a line. Pure."""

import json
from typing import Any

LINE = 100


def same(actual: Any, should: Any) -> bool:
    """Whether two values mean the same to AWS: order in lists, and the spelling of JSON, do not count."""
    return bool(normalize(actual) == normalize(should))


def normalize(value: Any) -> Any:
    """A value without what does not count: JSON texts read, lists sorted, lists of one as the one."""
    if isinstance(value, str) and value[:1] in ("{", "["):
        try:
            return normalize(json.loads(value))
        except ValueError:
            return value
    if isinstance(value, dict):
        return {key: normalize(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        entries = [normalize(entry) for entry in value]
        return entries[0] if len(entries) == 1 else sorted(entries, key=lambda entry: json.dumps(entry, sort_keys=True))
    return value


def in_a_line(value: Any) -> str:
    """A whole value in a line."""
    text = value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
    return " ".join(text.split())


def brief(value: Any) -> str:
    """A value in a line of at most 100 characters."""
    text = in_a_line(value)
    return text if len(text) <= LINE else f"{text[: LINE - 1]}…"


def brief_pair(actual: Any, should: Any) -> tuple[str, str]:
    """Two values that differ, each in a line; of long ones, the part where they part."""
    one, other = (
        value if isinstance(value, str) else json.dumps(value, default=str, sort_keys=True, ensure_ascii=False)
        for value in (normalize(actual), normalize(should))
    )
    if len(one) <= LINE and len(other) <= LINE:
        return brief(one), brief(other)
    start = next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    start = max(0, start - 20)
    return tuple(("…" if start else "") + brief(text[start:] or "nothing") for text in (one, other))  # type: ignore[return-value]
