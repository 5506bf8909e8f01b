"""Firefox or WebKit, driven by WebDriver over HTTP, with a driver and a browser for each tab."""

import json
import shutil
import time
import urllib.error
import urllib.request

from harness import Program, Trouble, accepts, free_port

KEYS = {"Tab": "\ue004", "Enter": "\ue007"}
DRIVERS = {"firefox": "geckodriver", "webkit": "WebKitWebDriver"}
CAPABILITIES = {
    "firefox": {"browserName": "firefox", "moz:firefoxOptions": {"args": ["-headless"]}},
    # This is WebKit's MiniBrowser, which needs a display.
    "webkit": {"webkitgtk:browserOptions": {"args": ["--automation"]}},
}


def find_driver(name):
    return shutil.which(DRIVERS[name])


class WebDriver:
    reports_events = False

    def __init__(self, name, log):
        self.name, self.log = name, log
        self.path = find_driver(name)
        self.tabs = []

    def tab(self, url):
        """Opens a tab in a separate browser, so that it shares nothing with the others."""
        tab = Tab(self)
        self.tabs.append(tab)
        tab.call("POST", "/url", url=url)
        return tab

    def close(self):
        for tab in list(self.tabs):
            tab.close()


class Tab:
    def __init__(self, browser):
        self.browser = browser
        port = free_port()
        log = f"{browser.log}.{len(browser.tabs)}"
        self.driver = Program([browser.path, f"--port={port}"], log)
        end = time.monotonic() + 20
        while not accepts(port):
            if time.monotonic() > end:
                raise Trouble(f"{browser.path} did not start to listen\n{self.driver.tail()}")
            time.sleep(0.05)
        self.address = f"http://127.0.0.1:{port}/session"
        capabilities = {"capabilities": {"alwaysMatch": CAPABILITIES[browser.name]}}
        session = self._ask("POST", self.address, capabilities, 60)
        self.address += "/" + session["sessionId"]
        self.version = "{browserName} {browserVersion}".format_map(session["capabilities"])

    def call(self, method, path, **params):
        return self._ask(method, self.address + path, params if method == "POST" else None)

    def evaluate(self, script):
        """Returns the value of an expression, which may be a promise."""
        body = f"const done = arguments[0]; Promise.resolve({script}).then((it) => done([it ?? null]), (it) => done(String(it)))"
        value = self.call("POST", "/execute/async", script=body, args=[])
        if not isinstance(value, list):
            raise AssertionError(value)
        return value[0]

    def until(self, script, seconds=10.0):
        """Waits until an expression is true. Fails with its last value if it never is."""
        end = time.monotonic() + seconds
        while not (value := self.evaluate(script)):
            assert time.monotonic() < end, f"not within {seconds:.0f} s: {script} is {value!r}"
            time.sleep(0.05)

    def type(self, text):
        self.press_all(text)

    def press(self, key, _code):
        self.press_all([KEYS[key]])

    def press_all(self, keys):
        actions = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
        self.call("POST", "/actions", actions=[{"type": "key", "id": "keyboard", "actions": actions}])

    def reload(self):
        self.call("POST", "/refresh")

    def look(self, width, height, _dark):
        """Sets the size of the window as far as the browser allows. Returns a PNG in base64, or None."""
        self.call("POST", "/window/rect", width=width, height=height)
        frame = self.evaluate("[outerWidth - innerWidth, outerHeight - innerHeight]")
        self.call("POST", "/window/rect", width=width + frame[0], height=height + frame[1])
        # WebKit never answers on a display without a compositor.
        return self.call("GET", "/screenshot") if self.browser.name == "firefox" else None

    def close(self):
        if self in self.browser.tabs:
            self.browser.tabs.remove(self)
            try:
                self.call("DELETE", "")
            except Trouble:
                pass
            self.driver.stop()

    def _ask(self, method, url, params=None, seconds=30):
        data = None if params is None else json.dumps(params).encode()
        request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
        # Loopback needs no proxy.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=seconds) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            message = error.read().decode(errors="replace")
            raise Trouble(f"{method} {url}: {message[:500]}") from None
        except OSError as error:
            raise Trouble(f"{method} {url}: {error}\n{self.driver.tail()}") from None
