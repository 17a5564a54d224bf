"""Text from outside, made safe to print.

An escape sequence can rename a terminal's window or write to its clipboard; a bidirectional override can make a line
read as another one. Whatever prints text that the workshop did not write passes it through here.
"""

import re

#: Control characters but tab and line feed, line and paragraph separators, bidirectional embeddings, overrides and
#: isolates (https://www.unicode.org/reports/tr36/#Bidirectional_Text_Spoofing), and halves of surrogate pairs.
UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str) -> str:
    r"""Return the text with each unsafe character escaped as JSON escapes it: `\u001b`.

    In a JSON document, such characters stand inside strings only, so the document still means the same.
    """
    return UNSAFE.sub(lambda unsafe: f"\\u{ord(unsafe[0]):04x}", text)
