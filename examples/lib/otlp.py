"""A receiver of OpenTelemetry's protocol (HTTP, protobuf) that keeps the spans it is sent. It stands where a Collector would.

What it reads of the messages is in opentelemetry/proto/trace/v1/trace.proto; the numbers below are its fields'.
"""
import gzip, struct, threading
from collections import namedtuple
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Span = namedtuple("Span", "trace_id span_id parent_id name kind attributes failed events")
CONSUMER, PRODUCER, ERROR = 5, 4, 2


class Receiver:
    def __init__(self, port):
        self.url, self._spans, self._lock = f"http://127.0.0.1:{port}", [], threading.Lock()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                if self.path == "/v1/traces":
                    receiver._take(body)
                # An empty message: all of it was accepted.
                self.send_response(200)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass
        self.server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def _take(self, body):
        found = [span(s) for resource in fields(body).get(1, []) for scope in fields(resource).get(2, []) for s in fields(scope).get(2, [])]
        with self._lock:
            self._spans += found

    def spans(self, **attributes):
        """Those with these attributes; an underscore in a name stands for a dot."""
        wanted = {name.replace("_", "."): value for name, value in attributes.items()}
        with self._lock:
            return [s for s in self._spans if wanted.items() <= s.attributes.items()]

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


def span(data):
    f = fields(data)
    status = fields(one(f, 15, b""))
    return Span(one(f, 1, b"").hex(), one(f, 2, b"").hex(), one(f, 4, b"").hex(), one(f, 5, b"").decode(), one(f, 6, 0),
                attributes(f.get(9, [])), one(status, 3, 0) == ERROR,
                [(one(e, 2, b"").decode(), attributes(e.get(3, []))) for e in map(fields, f.get(11, []))])


def attributes(pairs):
    return {one(f, 1, b"").decode(): value(fields(one(f, 2, b""))) for f in map(fields, pairs)}


def value(f):
    """AnyValue: a string, a boolean, an integer or a double."""
    if 1 in f:
        return f[1][0].decode()
    if 2 in f:
        return bool(f[2][0])
    if 3 in f:
        return f[3][0]
    return struct.unpack("<d", f[4][0])[0] if 4 in f else None


def one(f, number, otherwise):
    return f[number][-1] if number in f else otherwise


def fields(data):
    """A message's fields by number, each with its values as they came: numbers, or bytes."""
    found, at = {}, 0
    while at < len(data):
        tag, at = varint(data, at)
        kind = tag & 7
        if kind == 0:
            got, at = varint(data, at)
        else:
            length = {1: 8, 5: 4}.get(kind)
            if kind == 2:
                length, at = varint(data, at)
            got, at = data[at:at + length], at + length
        found.setdefault(tag >> 3, []).append(got)
    return found


def varint(data, at):
    result = shift = 0
    while True:
        byte = data[at]
        result, at, shift = result | (byte & 0x7F) << shift, at + 1, shift + 7
        if byte < 0x80:
            return result, at
