"""Builds the examples, and starts and ends programs, for all runners.

Every program runs in its own session and writes to a log file. It is identified by its process id and ends together
with its children. No other process is ever signalled.
"""

import atexit
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
TARGET = os.path.join(ROOT, "target", "conformance")
ADAPTERS = ("tokio", "smol", "std")

# The certificates for tests, and the features of each adapter's examples with TLS.
CERTS = os.path.join(ROOT, "testkit", "certs")
TLS_FEATURES = {"tokio": "zlib-rs,rustls", "smol": "zlib-rs,smol,rustls", "std": "zlib-rs,rustls"}

# The limits that section 9 of Autobahn|Testsuite needs: 16 MiB frames, 65,536 fragments in a message.
RAISED_LIMITS = ["--max-frame", str(16 << 20), "--max-message", str(64 << 20), "--max-fragments", "100000"]


class Trouble(Exception):
    """An error that prevents a run. Its text is for the user."""


_print_lock = threading.Lock()


def say(text=""):
    with _print_lock:
        print(text, flush=True)


def rel(path):
    """Returns the path as the user would write it."""
    short = os.path.relpath(path)
    return short if not short.startswith("..") else path


def adapters_of(text):
    if text == "all":
        return list(ADAPTERS)
    chosen = text.split(",")
    for name in chosen:
        if name not in ADAPTERS:
            raise Trouble(f"no such adapter: {name!r} ({', '.join(ADAPTERS)} or all)")
    return chosen


# --- Building -------------------------------------------------------------------------------------------------


def build(adapter, examples, rebuild=True, features=None):
    """Builds examples of one adapter, with the default features or with these. Returns {example: path}.

    The examples of all adapters have the same names, and cargo puts them in the same place, so they are copied.
    """
    folder = os.path.join(TARGET, "bin")
    paths = {example: os.path.join(folder, f"{example}-{adapter}") for example in examples}
    if not rebuild:
        for path in paths.values():
            if not os.path.exists(path):
                raise Trouble(f"{rel(path)} does not exist; run without --no-build first")
        return paths
    os.makedirs(folder, exist_ok=True)
    command = ["cargo", "build", "--release", "-p", f"sockeye-{adapter}", "--message-format=json-render-diagnostics"]
    for example in examples:
        command += ["--example", example]
    if features:
        command += ["--no-default-features", "--features", features]
    if adapter == "std" and "chat" in examples:
        command += ["--features", "server"]
    say(f"building {', '.join(examples)} of sockeye-{adapter}")
    try:
        built = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=False)
    except OSError as error:
        raise Trouble(f"cannot run cargo: {error}") from None
    if built.returncode != 0:
        raise Trouble(f"sockeye-{adapter} does not build")
    built_paths = {}
    for line in built.stdout.splitlines():
        message = json.loads(line) if line.startswith(b"{") else {}
        if message.get("reason") == "compiler-artifact" and message.get("executable"):
            built_paths[message["target"]["name"]] = message["executable"]
    for example, path in paths.items():
        if example not in built_paths:
            raise Trouble(f"cargo built no example {example} of sockeye-{adapter}")
        shutil.copy2(built_paths[example], path + ".new")
        os.replace(path + ".new", path)
    return paths


# --- Programs -------------------------------------------------------------------------------------------------

_running = set()
_running_lock = threading.RLock()
_stopping = False


class Program:
    """A running program. Its output goes to `log`, and its standard error too, unless `errors` names a file."""

    def __init__(self, command, log, errors=None, cwd=None, env=None, stdin=subprocess.DEVNULL, on_kill=None, pass_fds=()):
        self.name = os.path.basename(command[0])
        self.log = log
        self.on_kill = on_kill
        os.makedirs(os.path.dirname(log), exist_ok=True)
        with open(log, "wb") as output, open(errors or os.devnull, "wb") as error_output:
            try:
                self.process = subprocess.Popen(
                    command,
                    stdin=stdin,
                    stdout=output,
                    stderr=error_output if errors else subprocess.STDOUT,
                    cwd=cwd,
                    env=env,
                    start_new_session=True,
                    pass_fds=pass_fds,
                )
            except OSError as error:
                raise Trouble(f"cannot start {command[0]}: {error}") from None
        self._status = None
        with _running_lock:
            _running.add(self)
        if _stopping:
            self.kill()
            raise Trouble("stopped")

    def ended(self):
        """Returns the exit status, minus the signal number if a signal ended it, or None while it runs.

        This does not collect the process. Until kill() does, no other process or group can get its id.
        """
        with _running_lock:
            if self._status is None:
                found = os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
                if found is not None:
                    self._status = found.si_status if found.si_code == os.CLD_EXITED else -found.si_status
            return self._status

    def wait(self, seconds):
        """Returns the exit status, or None if it still runs after that time."""
        until = time.monotonic() + seconds
        while self.ended() is None and time.monotonic() < until:
            time.sleep(0.01)
        return self.ended()

    def output(self):
        try:
            with open(self.log, encoding="utf-8", errors="replace") as file:
                return file.read()
        except OSError:
            return ""

    def tail(self, lines=15):
        return "\n".join("    | " + line for line in self.output().splitlines()[-lines:])

    def _signal_group(self, number):
        with _running_lock:
            if self in _running:
                try:
                    os.killpg(self.process.pid, number)
                except (ProcessLookupError, PermissionError):
                    pass

    def stop(self, grace=5.0):
        """Ends the program and its children like Ctrl-C, and after `grace` seconds by force.

        Returns the exit status, or None if force was needed.
        """
        if self.ended() is None:
            self._signal_group(signal.SIGINT)
        status = self.wait(grace)
        self.kill()
        return status

    def kill(self):
        """Ends the program and its children by force, and collects it."""
        if self.on_kill and self.ended() is None:
            self.on_kill()
        self._signal_group(signal.SIGKILL)
        if self.wait(10) is None:
            say(f"warning: {self.name} (process {self.process.pid}) did not end")
            return
        with _running_lock:
            if self in _running:
                _running.discard(self)
                self.process.wait()


def _kill_all():
    global _stopping
    _stopping = True
    with _running_lock:
        left = list(_running)
    for program in left:
        program.kill()


def clean_up_on_exit():
    """Makes sure that all started programs end with this one, however it ends."""

    def end(number, _):
        _kill_all()
        sys.exit(128 + number)

    atexit.register(_kill_all)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end)


# --- Chromium -------------------------------------------------------------------------------------------------

CHROMIUM_FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
]


def find_chromium():
    for name in ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable"):
        path = shutil.which(name)
        if path:
            return path
    return None


# --- Servers --------------------------------------------------------------------------------------------------


def free_port():
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def accepts(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


def fill(template, values):
    """Returns the command line of a user's template with {port}, {addr}, {url}, {agent} and {args} replaced."""
    command = []
    for word in shlex.split(template):
        if word == "{args}":
            command += values["args"]
        else:
            for key, value in values.items():
                if key != "args":
                    word = word.replace("{" + key + "}", str(value))
            command.append(word)
    return command


def start_server(log, binary=None, template=None, args=(), wait=20.0, env=None, port=0):
    """Starts `binary`, with the options of the examples `autobahn_server` and `chat`, or a user's `template`.

    Returns the program and the port once it prints `listening on ws://…:PORT` or, with a template, once its port
    accepts connections.
    """
    if template:
        port = free_port()
        values = {"port": port, "addr": f"127.0.0.1:{port}", "url": f"ws://127.0.0.1:{port}", "args": list(args)}
        command = fill(template, values)
    else:
        command = [binary, "--addr", f"127.0.0.1:{port}", *args]
    server = Program(command, log, env=env)
    deadline = time.monotonic() + wait
    while time.monotonic() < deadline:
        if server.ended() is not None:
            break
        found = re.search(r"listening on wss?://[^\s/]*:(\d+)", server.output())
        if found and int(found.group(1)) != 0:
            return server, int(found.group(1))
        if template and accepts(port):
            return server, port
        time.sleep(0.02)
    status = server.ended()
    server.kill()
    how = f"ended with {status}" if status is not None else f"was not ready after {wait:.0f} s"
    raise Trouble(f"the server {how}: {shlex.join(command)}\n{server.tail()}")

