"""An OTLP receiver within a booted system, over TLS: `receiver.py PORT CERTIFICATE KEY` prints a line for each push."""

from __future__ import annotations

import ssl
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer


class Receiver(BaseHTTPRequestHandler):
    """Says where metrics came and of what kind they are."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        rows = "with sent rows" if b"syncd_outbox_sent_rows" in body else "without sent rows"
        sys.stdout.write(f"pushed to {self.path} as {self.headers['Content-Type']} {rows}\n")
        sys.stdout.flush()
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """The line above is all."""


def main(port: int, certificate: str, key: str) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    server = HTTPServer(("127.0.0.1", port), Receiver)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.serve_forever()


if __name__ == "__main__":
    main(int(sys.argv[1]), *sys.argv[2:])
