"""A small proxy before the API, which now and then answers in its place, as AWS would on a bad day."""

import contextlib
import json
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from support import LONGEST_WAIT

from workshop.orders.api import api_url

#: Gets an order; returns the status and the message with which it is turned away, or None to let it pass.
Rule = Callable[[dict], tuple[int, str] | None]


class Front(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        turned_away = self.server.rule(json.loads(body))
        if turned_away:
            status, answer = turned_away[0], json.dumps({"message": turned_away[1]}).encode()
        else:
            status, answer = self.pass_on(body)
        self.send_response(status)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def pass_on(self, body: bytes) -> tuple[int, bytes]:
        request = urllib.request.Request(self.server.url, body, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=LONGEST_WAIT, context=self.server.trust) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def log_message(self, *_: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    """Takes as many clients at once as the commands have."""

    request_queue_size = 200


@contextlib.contextmanager
def standing_before(ws: Any, rule: Rule) -> Iterator[str]:
    """Stand before a participant's API; gives the URL to use instead."""
    server = Server(("127.0.0.1", 0), Front)
    server.url, server.rule = api_url(ws), rule
    server.trust = ssl.create_default_context(cafile=ws.client.ca_bundle)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/orders"
    finally:
        server.shutdown()
        server.server_close()
