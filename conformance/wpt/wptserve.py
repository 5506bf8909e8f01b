"""The HTTP servers of a checkout of web-platform-tests, and the list of its WebSocket tests.

`wptserve.py CHECKOUT list` prints the tests in JSON. `wptserve.py CHECKOUT serve CONFIG` starts the servers, and
`serve-all` also their own WebSocket servers.
"""

import json
import os
import sys

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
CHECKOUT = os.path.abspath(sys.argv[1])
sys.path.insert(0, os.path.join(CHECKOUT, "tools"))

import localpaths  # noqa: E402, F401 (it extends the path)


def list_tests():
    from manifest.sourcefile import SourceFile

    tests = []
    for folder, _, files in os.walk(os.path.join(CHECKOUT, "websockets")):
        for name in files:
            path = os.path.relpath(os.path.join(folder, name), CHECKOUT)
            kind, items = SourceFile(CHECKOUT, path, "/").manifest_items()
            if kind == "testharness":
                tests += [{"url": item.url, "long": item.timeout == "long"} for item in items]
    print(json.dumps(sorted(tests, key=lambda test: test["url"])))


def serve(config, with_websockets):
    from serve import serve as servers

    start = servers.start_servers

    def start_some(logger, host, ports, *args, **kwargs):
        ports = {scheme: chosen for scheme, chosen in ports.items() if scheme in ("http", "https")}
        if with_websockets:
            ports |= {scheme: json.loads(config)["ports"][scheme] for scheme in ("ws", "wss")}
        return start(logger, host, ports, *args, **kwargs)

    servers.start_servers = start_some
    path = os.path.join(os.getcwd(), "wptserve.json")
    with open(path, "w", encoding="utf-8") as file:
        file.write(config)
    options = {"alias_file": None, "latency": None, "h2": True, "webtransport_h3": False, "verbose": False}
    servers.run(config_path=path, inject_script=None, **options)


if __name__ == "__main__":
    if sys.argv[2] == "list":
        list_tests()
    else:
        serve(sys.argv[3], with_websockets=sys.argv[2] == "serve-all")
