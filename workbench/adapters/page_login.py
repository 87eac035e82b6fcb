"""Log-in for the dashboards: a form of our own, a signed cookie, and a limit on guessing.

Panel's basic log-in compares plain text and fetches pictures from another place. Here a passphrase is
judged by the caller (against the person's public key), and the page brings everything along.
"""

from __future__ import annotations

import hmac
import html
import secrets
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from bokeh.server.auth_provider import AuthProvider
from tornado.ioloop import IOLoop
from tornado.web import RequestHandler

#: The name under which Panel looks for the person of a page.
PERSON_COOKIE: Final = "user"
FORM_COOKIE: Final = "workbench_form"
#: Wrong passphrases for one name, and from one address, within the window.
MOST_WRONG: Final = 5
MOST_WRONG_ADDRESS: Final = 30
WINDOW_S: Final = 300.0
#: Names and addresses that are remembered; guessing under ever new names must not fill the memory.
MOST_REMEMBERED: Final = 10_000
#: Where a person who asked for no page in particular arrives.
HOME: Final = "/desk"
#: Longer input is no passphrase, and hashing it would cost the server more than the sender.
MOST_CHARACTERS: Final = 1_024

_PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Workbench: log in</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><style>
:root {{ color-scheme: light dark; --bad: #b3261e; }}
@media (prefers-color-scheme: dark) {{ :root {{ --bad: #ff7b72; }} }}
body {{ font-family: system-ui, sans-serif; display: grid; place-items: center; min-height: 100vh;
  margin: 0; }}
form {{ width: min(22rem, 88vw); display: grid; gap: .75rem; }}
h1 {{ font-size: 1.25rem; margin: 0; }}
label {{ display: grid; gap: .25rem; font-size: .9rem; }}
input, button {{ font: inherit; padding: .55rem; border-radius: 6px; border: 1px solid #8886; }}
button {{ background: #1f3a5f; color: #fff; border: 0; }}
.problem {{ color: var(--bad); margin: 0; min-height: 1.2em; }}
</style></head><body><form method="post" action="{action}"><h1>Workbench</h1>
<p class="problem" role="alert">{problem}</p>
<label>Your registered name<input name="person" autocomplete="username" required autofocus></label>
<label>Passphrase<input name="passphrase" type="password" autocomplete="current-password" required></label>
<input type="hidden" name="form" value="{form}"><input type="hidden" name="next" value="{next}">
<button type="submit">Log in</button></form></body></html>"""


@dataclass
class GuessLimit:
    """Counts wrong passphrases of the last minutes, by name and by address.

    Parameters
    ----------
    now_s : callable () -> float
        Seconds of any steady clock.
    """

    now_s: Callable[[], float]
    _wrong: OrderedDict[tuple[str, str], list[float]] = field(default_factory=OrderedDict)

    def wait_s(self, person: str, address: str) -> float:
        """Seconds until the next guess may be judged; 0 = now."""
        waits = [
            self._wait(("person", person), MOST_WRONG),
            self._wait(("address", address), MOST_WRONG_ADDRESS),
        ]
        return max(waits)

    def wrong(self, person: str, address: str) -> None:
        """Count a wrong passphrase."""
        for key in (("person", person), ("address", address)):
            self._wrong.setdefault(key, []).append(self.now_s())
            self._wrong.move_to_end(key)
        while len(self._wrong) > MOST_REMEMBERED:
            self._wrong.popitem(last=False)

    def right(self, person: str) -> None:
        """Forget the wrong guesses of that name."""
        self._wrong.pop(("person", person), None)

    def _wait(self, key: tuple[str, str], most: int) -> float:
        now = self.now_s()
        recent = [at for at in self._wrong.get(key, ()) if now - at < WINDOW_S]
        if not recent:
            self._wrong.pop(key, None)
            return 0.0
        self._wrong[key] = recent
        return recent[-most] + WINDOW_S - now if len(recent) >= most else 0.0


class PageLogin(AuthProvider):
    """Lets registered people in, and nobody else.

    Parameters
    ----------
    is_right : callable (person, passphrase) -> bool
        Whether that is the passphrase of a registered person. Called in a thread: it may be slow.
    is_known : callable (person) -> bool
        Whether the person may still look; asked with every request, so that a revoked one is out at once.
    session_s : float
        Seconds until a person has to log in again.
    secure : bool
        Whether the browser may send the cookie over TLS only.
    now_s : callable () -> float
        Seconds of any steady clock, for the limit on guessing.
    """

    def __init__(
        self,
        *,
        is_right: Callable[[str, str], bool],
        is_known: Callable[[str], bool],
        session_s: float,
        secure: bool,
        now_s: Callable[[], float],
    ) -> None:
        self.is_right = is_right
        self.is_known = is_known
        self.session_s = session_s
        self.secure = secure
        self.limit = GuessLimit(now_s)
        super().__init__()

    @property
    def get_user(self) -> Callable[[Any], Any]:
        """Finds the person of a request; None sends the browser to the log-in page."""

        def person_of(handler: RequestHandler) -> str | None:
            cookie = handler.get_signed_cookie(PERSON_COOKIE, max_age_days=self.session_s / 86_400)
            person = cookie.decode("utf-8", "replace") if cookie else ""
            return person if person and self.is_known(person) else None

        return person_of  # any truthy value is a user

    @property
    def login_url(self) -> str:
        """Where the form is."""
        return "/login"

    @property
    def login_handler(self) -> type[RequestHandler]:
        """The form and its judgement."""
        return type("Login", (_Login,), {"login": self})

    @property
    def logout_url(self) -> str:
        """Where a person leaves."""
        return "/logout"

    @property
    def logout_handler(self) -> type[RequestHandler]:
        """Forgets the person."""
        return type("Logout", (_Logout,), {"login": self})


class _Login(RequestHandler):
    login: PageLogin

    def set_default_headers(self) -> None:
        self.set_header("Cache-Control", "no-store")
        self.set_header("X-Frame-Options", "DENY")
        self.set_header(
            "Content-Security-Policy",
            "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'",
        )

    def get(self) -> None:
        self._show("")

    async def post(self) -> None:
        person = self.get_body_argument("person", "").strip()
        passphrase = self.get_body_argument("passphrase", "", strip=False)
        if not self._form_is_ours():
            self._show("The form was out of date. Please try again.", status=403)
            return
        address = str(self.request.remote_ip)
        if wait_s := self.login.limit.wait_s(person, address):
            self.set_header("Retry-After", str(int(wait_s) + 1))
            self._show(f"Too many wrong passphrases; wait {wait_s / 60:.0f} min or more.", status=429)
            return
        if (
            len(person) > MOST_CHARACTERS
            or len(passphrase) > MOST_CHARACTERS
            or not await self._right(person, passphrase)
        ):
            self.login.limit.wrong(person[:MOST_CHARACTERS], address)
            self._show("Name or passphrase is wrong.", status=403)
            return
        self.login.limit.right(person)
        self.clear_cookie(FORM_COOKIE)
        self.set_signed_cookie(
            PERSON_COOKIE, person, expires_days=None, httponly=True, samesite="Strict",
            secure=self.login.secure,
        )  # fmt: skip
        self.redirect(inner_path(self.get_body_argument("next", HOME)))

    async def _right(self, person: str, passphrase: str) -> bool:
        return await IOLoop.current().run_in_executor(None, self.login.is_right, person, passphrase)

    def _form_is_ours(self) -> bool:
        """Whether the form came from a page of ours: its number stands in a cookie that we signed."""
        cookie = self.get_signed_cookie(FORM_COOKIE, max_age_days=1)
        given = self.get_body_argument("form", "")
        return bool(cookie) and hmac.compare_digest(cookie or b"", given.encode())

    def _show(self, problem: str, *, status: int = 200) -> None:
        form = secrets.token_hex(16)
        self.set_signed_cookie(
            FORM_COOKIE, form, expires_days=None, httponly=True, samesite="Strict", secure=self.login.secure
        )
        self.set_status(status)
        wanted = inner_path(self.get_argument("next", HOME))
        self.write(
            _PAGE.format(
                action="/login", problem=html.escape(problem), form=form, next=html.escape(wanted, quote=True)
            )
        )


class _Logout(RequestHandler):
    login: PageLogin

    def get(self) -> None:
        self.clear_cookie(PERSON_COOKIE)
        self.redirect(self.login.login_url)


def inner_path(wanted: str) -> str:
    """The path when it is a page of this server, the desk otherwise: a log-in sends nobody elsewhere."""
    inside = wanted.startswith("/") and not wanted.startswith("//") and "\\" not in wanted
    page = inside and wanted != "/" and wanted.isprintable() and not wanted.startswith("/log")
    return wanted if page else HOME
