"""A real Chromium without a window, driven through its DevTools pipe: open a page, read it, click, fill in, picture."""

import base64
import contextlib
import fcntl
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

WAIT_S = 30.0
LOOK_EVERY_S = 0.02
READ_BYTES = 1 << 16

_FLAGS = (
    "--headless=new",
    "--remote-debugging-pipe",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-sync",
    "--no-first-run",
    "--no-default-browser-check",
    "--metrics-recording-only",
    "--password-store=basic",
    # Tests talk to this machine only, and to no name that would have to be looked up.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--proxy-server=direct://",
    "--window-size=1000,900",
)
# Whatever a person would press or fill in, found by the words on it.
_FIND = """(kind, words) => {
  const named = element => (element.innerText || element.value || element.ariaLabel || '').trim();
  if (kind === 'press')
    return [...document.querySelectorAll('button, a[href], summary, input[type=submit], [role=button]')]
      .find(element => named(element) === words);
  const label = [...document.querySelectorAll('label')].find(element => element.innerText.trim() === words);
  const quoted = CSS.escape(words);
  return label ? label.control : document.querySelector(`[aria-label="${quoted}"], [name="${quoted}"]`);
}"""


class Browser:
    """One Chromium with a profile of its own, ended with the block: `with Browser() as browser`."""

    def __init__(self) -> None:
        self._folder = tempfile.mkdtemp(prefix="litevps-chromium-")
        self._program: subprocess.Popen[bytes] | None = None
        self._unread = b""
        self._number = 0
        self.told: list[dict[str, Any]] = []

    def __enter__(self) -> "Browser":
        from_us, to_it = _pipe()
        from_it, to_us = _pipe()
        sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
        command = ["chromium", *_FLAGS, *sandbox, f"--user-data-dir={self._folder}/profile", "about:blank"]
        # It reads commands from descriptor 3 and writes answers to 4.
        self._program = subprocess.Popen(
            ["bash", "-c", f'exec "$@" 3<&{from_us} 4>&{to_us}', "bash", *command],
            pass_fds=(from_us, to_us),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=os.environ | {"HOME": self._folder},
            start_new_session=True,
        )
        os.close(from_us)
        os.close(to_us)
        self._to_it, self._from_it = to_it, from_it
        return self

    def __exit__(self, *_: object) -> None:
        assert self._program is not None
        with contextlib.suppress(OSError, AssertionError):
            self.ask("Browser.close")
        try:
            self._program.wait(WAIT_S)
        except subprocess.TimeoutExpired:
            self._program.kill()
            self._program.wait()
        os.close(self._to_it)
        os.close(self._from_it)
        shutil.rmtree(self._folder, ignore_errors=True)

    def open(self, address: str) -> "Page":
        """Open a page in a new tab, and wait until it is loaded."""
        tab = self.ask("Target.createTarget", url="about:blank")["targetId"]
        page = Page(self, self.ask("Target.attachToTarget", targetId=tab, flatten=True)["sessionId"])
        page.go(address)
        return page

    def ask(self, method: str, session: str | None = None, **parameters: Any) -> Any:
        """Send a command of the DevTools protocol, and return its result."""
        self._number += 1
        command: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if session is not None:
            command["sessionId"] = session
        os.write(self._to_it, json.dumps(command).encode() + b"\0")
        deadline = time.monotonic() + WAIT_S
        while True:
            message = self._next(deadline)
            if message.get("id") == self._number:
                assert "error" not in message, f"{method}: {message['error']}"
                return message["result"]
            self.told.append(message)

    def _next(self, deadline: float) -> dict[str, Any]:
        while b"\0" not in self._unread:
            ready, _, _ = select.select([self._from_it], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, "Chromium did not answer in time"
            chunk = os.read(self._from_it, READ_BYTES)
            assert chunk, "Chromium has ended; is it installed? `make setup` installs it"
            self._unread += chunk
        raw, _, self._unread = self._unread.partition(b"\0")
        message: dict[str, Any] = json.loads(raw)
        return message


class Page:
    """A tab. What is on it is found by the words that a person reads."""

    def __init__(self, browser: Browser, session: str) -> None:
        self._browser = browser
        self._session = session
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._ask(f"{domain}.enable")

    def go(self, address: str) -> None:
        """Go to an address, and wait until it is loaded."""
        failed = self._ask("Page.navigate", url=address).get("errorText")
        assert failed is None, f"{address}: {failed}"
        self.until(lambda: self.evaluate("document.readyState") == "complete" and self.address != "about:blank")

    @property
    def address(self) -> str:
        """Return where it is."""
        return str(self.evaluate("location.href"))

    @property
    def title(self) -> str:
        """Return its title."""
        return str(self.evaluate("document.title"))

    @property
    def text(self) -> str:
        """Return the text that a person sees."""
        return str(self.evaluate("document.body ? document.body.innerText : ''"))

    def wait_for(self, words: str) -> None:
        """Wait until these words are on the page."""
        self.until(lambda: words in self.text, f"the words {words!r}")

    def wait_for_address(self, beginning: str) -> None:
        """Wait until it is at an address that begins so."""
        self.until(lambda: self.address.startswith(beginning), f"the address {beginning}")

    def click(self, words: str) -> None:
        """Click the button or link that has exactly these words, with the mouse."""
        self.until(lambda: self._place("press", words) is not None, f"something to click named {words!r}")
        place = self._place("press", words)
        assert place is not None
        for event in ("mousePressed", "mouseReleased"):
            self._ask("Input.dispatchMouseEvent", type=event, **place, button="left", clickCount=1)

    def fill(self, label: str, value: str) -> None:
        """Type a value into the field with this label."""
        self.until(lambda: self._place("fill", label) is not None, f"a field named {label!r}")
        self.evaluate(f"{{const field = ({_FIND})('fill', {json.dumps(label)}); field.focus(); field.select?.();}}")
        self._ask("Input.insertText", text=value)

    def press(self, key: str) -> None:
        """Press a key such as Tab or Enter."""
        text = {"text": "\r"} if key == "Enter" else {}
        code = {"Enter": 13, "Tab": 9}.get(key, 0)
        for event in ("keyDown", "keyUp"):
            self._ask("Input.dispatchKeyEvent", type=event, key=key, windowsVirtualKeyCode=code, **text)

    def focused(self) -> str:
        """Return the words on what has the keyboard's focus."""
        return str(self.evaluate("document.activeElement ? document.activeElement.innerText : ''")).strip()

    def screenshot(self, path: Path) -> None:
        """Picture the page into a PNG file."""
        path.write_bytes(base64.b64decode(self._ask("Page.captureScreenshot", format="png")["data"]))

    def complaints(self) -> list[str]:
        """Return what the browser found wrong so far: errors in the console, policies broken."""
        self.evaluate("0")
        entries = [one["params"]["entry"] for one in self._told("Log.entryAdded")]
        thrown = [one["params"]["exceptionDetails"]["text"] for one in self._told("Runtime.exceptionThrown")]
        return [entry["text"] for entry in entries if entry["level"] == "error"] + thrown

    def requested(self) -> list[str]:
        """Return every address that the page has asked for so far."""
        self.evaluate("0")
        return [one["params"]["request"]["url"] for one in self._told("Network.requestWillBeSent")]

    def evaluate(self, expression: str) -> Any:
        """Return what a JavaScript expression gives; None while the page is changing."""
        try:
            answer = self._ask("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        except AssertionError as error:
            if "context" in str(error) or "navigated" in str(error):
                return None
            raise
        return answer["result"].get("value")

    def until(self, true: Callable[[], bool], what: str = "the page") -> None:
        """Wait until it is true, for a bounded time."""
        deadline = time.monotonic() + WAIT_S
        while not true():
            assert time.monotonic() < deadline, f"waited in vain for {what}; there is: {self.text!r}"
            time.sleep(LOOK_EVERY_S)

    def _place(self, kind: str, words: str) -> dict[str, Any] | None:
        found = (
            f"(() => {{ const found = ({_FIND})({json.dumps(kind)}, {json.dumps(words)}); if (!found) return null;"
            " found.scrollIntoView({block: 'center'}); const box = found.getBoundingClientRect();"
            " return box.width ? {x: box.x + box.width / 2, y: box.y + box.height / 2} : null; })()"
        )
        place: dict[str, Any] | None = self.evaluate(found)
        return place

    def _told(self, method: str) -> list[dict[str, Any]]:
        told = self._browser.told
        return [one for one in told if one.get("method") == method and one.get("sessionId") == self._session]

    def _ask(self, method: str, **parameters: Any) -> Any:
        return self._browser.ask(method, self._session, **parameters)


def _pipe() -> tuple[int, int]:
    """Return both ends of a pipe, out of the way of the two descriptors that Chromium wants."""
    ends = os.pipe()
    moved = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in ends]
    for end in ends:
        os.close(end)
    return moved[0], moved[1]
