"""Stands between a client and a server and does what networks and gateways do, by a seeded draw."""

import http.client
import random
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

POOL = (b'{"error_code": "BAD_REQUEST", "message": "(sqlalchemy.exc.TimeoutError) QueuePool limit of '
        b'size 5 overflow 10 reached, connection timed out, timeout 30.00"}')
BUSY = b'{"error_code": "TEMPORARILY_UNAVAILABLE", "message": "busy"}'
PAGE = b"<html><body>Bad gateway</body></html>"

#: What is answered instead of the server's word: status, body, further headers.
REFUSALS = [
    (400, POOL, {}),
    (429, BUSY, {"Retry-After": "1"}),
    (500, b"", {}),
    (502, PAGE, {}),
    (503, BUSY, {"Retry-After": "1"}),
    (507, PAGE, {}),
    (200, PAGE, {}),
    (401, PAGE, {}),
    (404, PAGE, {}),
]


class FaultProxy:
    """`share` of the requests get a fault; half of those after the server did its work."""

    def __init__(self, upstream, seed):
        self.upstream = urlsplit(upstream)
        self.random = random.Random(seed)
        self.share = 0.0
        self.requests = self.faults = 0
        self.lock = threading.Lock()
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def handle_one(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                kind, refusal = proxy.draw()
                if kind in ("refuse", "hang up"):
                    return self.fault(kind, refusal)
                try:
                    connection = http.client.HTTPConnection(
                        proxy.upstream.hostname, proxy.upstream.port, timeout=60)
                    headers = {k: v for k, v in self.headers.items()
                               if k.lower() not in ("host", "connection")}
                    connection.request(self.command, self.path, body, headers)
                    answer = connection.getresponse()
                    content = answer.read()
                    connection.close()
                except (OSError, http.client.HTTPException):
                    return self.fault("refuse", (502, PAGE, {}))
                if kind:
                    return self.fault(kind.removeprefix("late "), refusal)
                self.reply(answer.status, content, {
                    "Content-Type": answer.headers.get("Content-Type", "text/plain")})

            def fault(self, kind, refusal):
                if kind == "hang up":
                    self.close_connection = True
                else:
                    self.reply(*refusal)

            def reply(self, status, content, headers):
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_PUT = handle_one

        class Listener(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_):
                pass  # clients are killed here

        self.listener = Listener(("127.0.0.1", 0), Handler)
        self.uri = f"http://127.0.0.1:{self.listener.server_address[1]}"
        threading.Thread(target=self.listener.serve_forever, daemon=True).start()

    def draw(self):
        with self.lock:
            self.requests += 1
            if self.random.random() >= self.share:
                return "", None
            self.faults += 1
            kind = self.random.choice(["refuse", "hang up", "late refuse", "late hang up"])
            return kind, self.random.choice(REFUSALS)

    def stop(self):
        self.listener.shutdown()
        self.listener.server_close()
