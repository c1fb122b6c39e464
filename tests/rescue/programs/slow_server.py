"""A server without a thought of keepalive, which answers each request late: python slow_server.py SECONDS.

It prints its port, and serves in processes that it forks for each connection.
"""

import http.server
import socketserver
import sys
import time


class Slow(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        time.sleep(float(sys.argv[1]))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"slept\n")


class Server(socketserver.ForkingMixIn, http.server.HTTPServer):
    pass


with Server(("", 0), Slow) as server:
    print(server.server_port, flush=True)
    server.serve_forever()
