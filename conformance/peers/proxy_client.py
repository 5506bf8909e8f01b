"""Opens WebSockets through a proxy, with websockets for Python.

python proxy_client.py CASES

CASES is a JSON list of objects: `name` and `url`, and optionally `origin`, `headers`, `source` (the client's own address),
`unix` (the path of a Unix socket), `idle` (seconds without a message), and `raw` (read a response that may arrive before
the request is sent, which websockets does not expect). All cases run at the same time. Prints a JSON
object with the outcome of each, by name.
"""

import json
import socket
import sys
import threading
import time
from urllib.parse import urlsplit

from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.sync.client import connect

PATIENCE = 10


def open_socket(case):
    if "unix" in case:
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(PATIENCE)
        client.connect(case["unix"])
        return client
    url = urlsplit(case["url"])
    source = (case["source"], 0) if "source" in case else None
    return socket.create_connection((url.hostname, url.port), PATIENCE, source_address=source)


def run_raw(case):
    """Sends a request by hand, and reads the response."""
    host = urlsplit(case["url"]).netloc
    key = "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    request = f"GET / HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{key}\r\n"
    received = b""
    with open_socket(case) as client:
        try:
            client.sendall(request.encode())
            while chunk := client.recv(4096):
                received += chunk
        except OSError:
            # The other end may reset the connection once it has sent its response.
            pass
    head, _, body = received.decode(errors="replace").partition("\r\n\r\n")
    words = head.split()
    return {"status": int(words[1]) if len(words) > 1 else None, "body": body}


def run(case):
    if case.get("raw"):
        return run_raw(case)
    outcome = {}
    try:
        client = open_socket(case)
        outcome["port"] = client.getsockname()[1] if "unix" not in case else None
        options = {"origin": case.get("origin"), "additional_headers": case.get("headers")}
        quiet = {"compression": None, "proxy": None, "ping_interval": None, "open_timeout": PATIENCE, "close_timeout": 1}
        with connect(case["url"], sock=client, **options, **quiet) as connection:
            outcome["status"] = 101
            connection.send("who am I?")
            outcome["reply"] = connection.recv(PATIENCE)
            time.sleep(case.get("idle", 0))
            outcome["alive"] = False
            connection.send("still there?")
            connection.recv(PATIENCE)
            outcome["alive"] = True
    except InvalidStatus as refused:
        outcome["status"] = refused.response.status_code
        outcome["body"] = (refused.response.body or b"").decode(errors="replace")
    except ConnectionClosed as closed:
        outcome["closed"] = str(closed)
    except (InvalidHandshake, OSError, TimeoutError, EOFError) as error:
        outcome["error"] = f"{type(error).__name__}: {error}"
    return outcome


def main():
    cases, outcomes = json.loads(sys.argv[1]), {}
    threads = [threading.Thread(target=lambda case=case: outcomes.update({case["name"]: run(case)})) for case in cases]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(json.dumps(outcomes))


main()
