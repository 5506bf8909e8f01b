"""Drives an echo server with headless Chromium: serves browser.html on loopback and waits for its report."""

import http.server
import json
import os
import shutil
import tempfile
import threading
import time
from urllib.parse import urlencode

from harness import CHROMIUM_FLAGS, Program

PAGE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "browser.html")
# The debugging port is on loopback. It keeps the page open.
FLAGS = [*CHROMIUM_FLAGS, "--remote-debugging-port=0"]


def results(chromium, port, subprotocol, compress, log, seconds=90.0):
    """Returns the results of the page: [[name, None or an error], …]. Raises RuntimeError if no report arrives."""
    reported = threading.Event()
    received = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            page = self.path.split("?")[0] == "/browser.html"
            body = b""
            if page:
                with open(PAGE, "rb") as file:
                    body = file.read()
            self.send_response(200 if page else 404)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self):
            received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()
            reported.set()

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    folder = tempfile.mkdtemp(prefix="sockeye-browser-")
    query = urlencode({"ws": f"ws://127.0.0.1:{port}/", "subprotocol": subprotocol, "compress": int(compress)})
    browser = None
    try:
        url = f"http://127.0.0.1:{server.server_address[1]}/browser.html?{query}"
        browser = Program([chromium, *FLAGS, f"--user-data-dir={folder}", url], log)
        until = time.monotonic() + seconds
        while not reported.wait(0.1):
            if browser.ended() is not None:
                raise RuntimeError(f"the browser ended with {browser.ended()}\n{browser.tail()}")
            if time.monotonic() > until:
                raise RuntimeError(f"the browser sent no report within {seconds:.0f} s\n{browser.tail()}")
        return received[0]
    finally:
        if browser:
            browser.stop()
        server.shutdown()
        server.server_close()
        shutil.rmtree(folder, ignore_errors=True)
