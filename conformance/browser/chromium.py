"""Headless Chromium, driven by the DevTools protocol over a pair of pipes, without packages or a port."""

import itertools
import json
import os
import shutil
import sys
import tempfile
import threading
import time

from harness import CHROMIUM_FLAGS, Program, Trouble

# Chromium reads its commands from descriptor 3 and answers on 4.
LAUNCHER = """
import fcntl, os, sys
given = [fcntl.fcntl(int(fd), fcntl.F_DUPFD, 10) for fd in sys.argv[1:3]]
for fd, wanted in zip(given, (3, 4)):
    os.dup2(fd, wanted)
    os.close(fd)
os.execv(sys.argv[3], sys.argv[3:])
"""


class Chromium:
    # It reports what it loads and what its console shows.
    reports_events = True

    def __init__(self, path, log, flags=(), env=None):
        self.folder = tempfile.mkdtemp(prefix="sockeye-chromium-")
        child_input, self._commands = os.pipe()
        answers, child_output = os.pipe()
        launcher = [sys.executable, "-c", LAUNCHER, str(child_input), str(child_output)]
        command = [*launcher, path, *CHROMIUM_FLAGS, *flags, "--remote-debugging-pipe", f"--user-data-dir={self.folder}", "about:blank"]
        self.program = Program(command, log, env=env, pass_fds=(child_input, child_output))
        os.close(child_input)
        os.close(child_output)
        self._ids = itertools.count(1)
        self._answers = {}
        self._sessions = {}
        self._changed = threading.Condition()
        self._ended = False
        threading.Thread(target=self._read, args=(answers,), daemon=True).start()

    def call(self, method, session=None, seconds=20.0, **params):
        """Sends a command and returns its answer."""
        number = next(self._ids)
        command = {"id": number, "method": method, "params": params}
        if session:
            command["sessionId"] = session
        data = json.dumps(command).encode() + b"\0"
        try:
            while data:
                data = data[os.write(self._commands, data) :]
        except OSError as error:
            raise Trouble(f"the browser has ended: {error}\n{self.program.tail()}") from None
        with self._changed:
            self._changed.wait_for(lambda: number in self._answers or self._ended, seconds)
            answer = self._answers.pop(number, None)
        if answer is None:
            raise Trouble(f"the browser did not answer {method}\n{self.program.tail()}")
        if "error" in answer:
            raise Trouble(f"{method}: {answer['error']['message']}")
        return answer["result"]

    def tab(self, url):
        """Opens a tab that shares no cookies, storage or cache with the others."""
        context = self.call("Target.createBrowserContext")["browserContextId"]
        target = self.call("Target.createTarget", url="about:blank", browserContextId=context)["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        tab = Tab(self, target, session)
        with self._changed:
            self._sessions[session] = tab.events
        for domain in ("Page", "Runtime", "Log", "Network"):
            tab.call(f"{domain}.enable")
        tab.call("Emulation.setFocusEmulationEnabled", enabled=True)
        tab.call("Page.navigate", url=url)
        return tab

    def close(self):
        self.program.stop()
        os.close(self._commands)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _read(self, answers):
        rest = b""
        with os.fdopen(answers, "rb", buffering=0) as pipe:
            while chunk := pipe.read(1 << 20):
                *messages, rest = (rest + chunk).split(b"\0")
                with self._changed:
                    for message in map(json.loads, messages):
                        if "id" in message:
                            self._answers[message["id"]] = message
                        elif message.get("sessionId") in self._sessions:
                            self._sessions[message["sessionId"]].append((message["method"], message["params"]))
                    self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()


class Tab:
    def __init__(self, browser, target, session):
        self.browser = browser
        self.target = target
        self.session = session
        self.events = []

    def call(self, method, **params):
        return self.browser.call(method, self.session, **params)

    def of(self, method):
        """Returns the events of this name so far."""
        return [params for name, params in list(self.events) if name == method]

    def evaluate(self, script):
        """Returns the value of an expression, which may be a promise."""
        done = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in done:
            details = done["exceptionDetails"]
            raise AssertionError(details.get("exception", {}).get("description", details["text"]))
        return done["result"].get("value")

    def until(self, script, seconds=10.0):
        """Waits until an expression is true. Fails with its last value if it never is."""
        end = time.monotonic() + seconds
        while not (value := self.evaluate(script)):
            assert time.monotonic() < end, f"not within {seconds:.0f} s: {script} is {value!r}"
            time.sleep(0.02)

    def type(self, text):
        self.call("Input.insertText", text=text)

    def press(self, key, code):
        text = {"text": "\r"} if key == "Enter" else {}
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code, **text)
            text = {}

    def reload(self):
        self.call("Page.reload")

    def look(self, width, height, dark):
        """Sets the size of the window. Returns a picture of the page, a PNG in base64."""
        mobile = width < 500
        size = {"width": width, "height": height, "deviceScaleFactor": 2 if mobile else 1, "mobile": mobile}
        self.call("Emulation.setDeviceMetricsOverride", **size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        return self.call("Page.captureScreenshot", format="png")["data"]

    def close(self):
        self.browser.call("Target.closeTarget", targetId=self.target)
