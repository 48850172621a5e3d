"""A headless Chromium led over its debugging pipe: pages opened, looked into and photographed. Needs no package."""

import base64
import fcntl
import itertools
import json
import os
import select
import shutil
import signal
import subprocess
import tempfile
import time


def find_browser():
    """The program's path, or None: a browser is no dependency of the project."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    return next(filter(None, map(shutil.which, names)), None)


def lifted(descriptor):
    """A copy of a descriptor beyond the numbers 3 and 4, which the browser's ends of the pipes take."""
    copy = fcntl.fcntl(descriptor, fcntl.F_DUPFD, 10)
    os.close(descriptor)
    return copy


class Browser:
    def __init__(self, width=1280, height=900):
        self.session = None
        self.ids = itertools.count(1)
        self.buffer = b""
        self.profile = tempfile.mkdtemp(prefix="limewash-browser-")
        commands, self.commands = map(lifted, os.pipe())
        self.answers, answers = map(lifted, os.pipe())
        for descriptor in (commands, answers):
            os.set_inheritable(descriptor, True)

        def connect():
            os.dup2(commands, 3)
            os.dup2(answers, 4)

        self.process = subprocess.Popen(
            [find_browser(), "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run",
             "--disable-background-networking", "--remote-debugging-pipe", f"--user-data-dir={self.profile}"],
            preexec_fn=connect, close_fds=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True)
        os.close(commands)
        os.close(answers)
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.call("Page.enable")
        self.resize(width, height)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.close(self.commands)
        os.close(self.answers)
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        shutil.rmtree(self.profile, ignore_errors=True)

    def call(self, method, **parameters):
        """A command of the DevTools protocol; returns its result."""
        message = {"id": next(self.ids), "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self.commands, data):]
        deadline = time.monotonic() + 60
        while True:
            while b"\0" not in self.buffer:
                if not select.select([self.answers], [], [], max(0, deadline - time.monotonic()))[0]:
                    raise AssertionError(f"the browser does not answer to {method}")
                piece = os.read(self.answers, 1 << 20)
                if not piece:
                    raise AssertionError(f"the browser ended at {method}")
                self.buffer += piece
            text, _, self.buffer = self.buffer.partition(b"\0")
            answer = json.loads(text)
            if answer.get("id") == message["id"]:
                if "error" in answer:
                    raise AssertionError(f"{method}: {answer['error']}")
                return answer["result"]

    def resize(self, width, height):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def prefer_dark(self, dark):
        self.call("Emulation.setEmulatedMedia",
                  features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])

    def open(self, address):
        self.call("Page.navigate", url=address)
        self.wait_for("document.readyState === 'complete'")

    def evaluate(self, expression):
        """The value of a JavaScript expression on the page."""
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        if "exceptionDetails" in result:
            raise AssertionError(f"{expression}: {result['exceptionDetails']}")
        return result["result"].get("value")

    def wait_for(self, expression, seconds=60):
        """Until the expression is true on the page."""
        deadline = time.monotonic() + seconds
        while not self.evaluate(f"Boolean(document.body && ({expression}))"):  # no body while a page is left
            if time.monotonic() > deadline:
                raise AssertionError(f"never true on the page: {expression}\n{self.evaluate('document.body.innerText')[:2000]}")
            time.sleep(0.2)

    def picture(self, selector=None):
        """PNG bytes of what the window shows, or of the first element of a CSS selector, wherever it stands."""
        if selector is None:
            return base64.b64decode(self.call("Page.captureScreenshot")["data"])
        box = self.evaluate(
            f"(() => {{ const r = document.querySelector({json.dumps(selector)}).getBoundingClientRect();"
            " return {x: r.x + scrollX, y: r.y + scrollY, width: r.width, height: r.height}; })()")
        return base64.b64decode(self.call("Page.captureScreenshot", captureBeyondViewport=True, clip={**box, "scale": 1})["data"])

    def printed(self):
        """PDF bytes of the page on A4."""
        return base64.b64decode(self.call("Page.printToPDF", printBackground=True, paperWidth=8.27, paperHeight=11.69)["data"])
