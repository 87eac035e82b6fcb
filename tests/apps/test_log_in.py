"""Log-in to the dashboards over real sockets: who gets in, how guessing ends, and what a viewer may do."""

from __future__ import annotations

import datetime
import ipaddress
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from command_line import program
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from opened_pages import CHROMIUM, Server, Visit
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from workbench.adapters.page_login import MOST_WRONG, MOST_WRONG_ADDRESS, WINDOW_S, GuessLimit, inner_path
from workbench.config import DEFAULT_TOML, Settings

PASSPHRASES = {"vera": "a viewer looks at the desk", "olga": "an operator stops the desk"}
pytestmark = pytest.mark.slow


class Guarded(Server):
    """A server that asks for a log-in, and what a person's browser would do."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.folder = folder

    def form(self, browser: requests.Session) -> str:
        page = browser.get(f"{self.root}/login", timeout=30)
        found = re.search(r'name="form" value="([0-9a-f]+)"', page.text)
        assert found
        return found[1]

    def log_in(
        self, person: str, passphrase: str, wanted: str = "/desk"
    ) -> tuple[requests.Session, requests.Response]:
        browser = requests.Session()
        fields = {
            "person": person, "passphrase": passphrase, "form": self.form(browser), "next": wanted,
        }  # fmt: skip
        answer = browser.post(f"{self.root}/login", data=fields, allow_redirects=False, timeout=60)
        return browser, answer


@pytest.fixture(scope="module")
def guarded(traded: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    folder = tmp_path_factory.mktemp("log-in") / "desk"
    shutil.copytree(traded.desk_path.parents[1], folder)
    for person, passphrase in PASSPHRASES.items():
        secret = folder.parent / f"{person}.txt"
        secret.write_text(passphrase)
        role = "viewer" if person == "vera" else "operator"
        added = program(folder, "people", "add", person, "--role", role, "--new-passphrase-file", str(secret))
        assert added.code == 0, added.err
    settings = folder / "workbench.toml"
    text = settings.read_text()
    assert "\nlogin = false\n" in text
    settings.write_text(text.replace("\nlogin = false\n", "\nlogin = true\n"))
    running = Guarded(folder)
    yield running
    running.close()


def test_nobody_sees_a_page_without_logging_in(guarded: Guarded) -> None:
    for page in ("", "desk", "tca", "replay"):
        answer = requests.get(f"{guarded.root}/{page}", allow_redirects=False, timeout=30)
        assert answer.status_code == 302
        assert answer.headers["Location"].lstrip(".").startswith("/login")
    login = requests.get(f"{guarded.root}/login", timeout=30)
    assert not re.search(r"(?:src|href)=|url\(|@import", login.text)  # nothing is fetched from anywhere
    assert login.headers["Cache-Control"] == "no-store"


def test_a_socket_without_a_person_or_from_a_foreign_page_is_refused(guarded: Guarded) -> None:
    def status(**headers: str) -> int:
        url = guarded.root.replace("http", "ws") + "/desk/ws"
        try:
            with connect(url, additional_headers=headers, subprotocols=["bokeh"]):
                return 101
        except InvalidStatus as error:
            return error.response.status_code

    browser, _ = guarded.log_in("vera", PASSPHRASES["vera"])
    cookie = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
    assert status() == 403
    assert status(Cookie=cookie, Origin="http://evil.example") == 403


def test_the_right_passphrase_lets_in_and_the_cookie_is_guarded(guarded: Guarded) -> None:
    browser, answer = guarded.log_in("olga", PASSPHRASES["olga"])
    assert (answer.status_code, answer.headers["Location"]) == (302, "/desk")
    flags = next(line for line in answer.raw.headers.getlist("Set-Cookie") if line.startswith("user="))
    assert "HttpOnly" in flags
    assert "SameSite=Strict" in flags
    page = browser.get(f"{guarded.root}/desk", allow_redirects=False, timeout=60)
    assert page.status_code == 200
    browser.get(f"{guarded.root}/logout", allow_redirects=False, timeout=30)
    assert browser.get(f"{guarded.root}/desk", allow_redirects=False, timeout=30).status_code == 302


def test_a_forged_cookie_opens_nothing(guarded: Guarded) -> None:
    forged = "2|1:0|10:1700000000|4:user|8:b2xnYQ==|" + "0" * 64
    answer = requests.get(f"{guarded.root}/desk", cookies={"user": forged}, allow_redirects=False, timeout=30)
    assert answer.status_code == 302


def test_wrong_passphrases_unknown_people_and_foreign_forms_are_refused_alike(guarded: Guarded) -> None:
    _, wrong = guarded.log_in("vera", "not the passphrase of vera")
    _, nobody = guarded.log_in("<script>alert(1)</script>", "whatever it may be")
    _, borrowed = guarded.log_in("vera", PASSPHRASES["olga"])
    assert {answer.status_code for answer in (wrong, nobody, borrowed)} == {403}
    assert all("Name or passphrase is wrong" in answer.text for answer in (wrong, nobody, borrowed))
    assert "<script>" not in nobody.text
    fields = {"person": "olga", "passphrase": PASSPHRASES["olga"], "form": "0" * 32}
    foreign = requests.post(f"{guarded.root}/login", data=fields, allow_redirects=False, timeout=30)
    assert foreign.status_code == 403
    assert "user" not in foreign.cookies


def test_guessing_ends_and_the_right_passphrase_then_waits_too(guarded: Guarded) -> None:
    codes = [guarded.log_in("guessed", f"guess number {n} of many")[1].status_code for n in range(MOST_WRONG)]
    assert codes == [403] * MOST_WRONG
    _, stopped = guarded.log_in("guessed", "the right one perhaps")
    assert stopped.status_code == 429
    assert int(stopped.headers["Retry-After"]) > 0
    assert guarded.log_in("olga", PASSPHRASES["olga"])[1].status_code == 302  # others still get in


def enter(visit: Visit, person: str, passphrase: str) -> None:
    visit.page.locator("input[name=person]").fill(person)
    visit.page.locator("input[name=passphrase]").fill(passphrase)
    visit.page.get_by_role("button", name="Log in").click()


@pytest.mark.skipif(CHROMIUM is None, reason="no browser: install chromium, or name one in CHROMIUM")
def test_a_viewer_looks_and_an_operator_stops(browser: Any, guarded: Guarded) -> None:
    visit = Visit(browser, f"{guarded.root}/desk")
    enter(visit, "vera", "a wrong one")
    visit.shows("Name or passphrase is wrong")
    enter(visit, "vera", PASSPHRASES["vera"])
    visit.shows("orders may be sent")
    visit.shows("Log out vera")
    assert visit.page.get_by_role("button", name="HALT").count() == 0
    visit.page.get_by_text("Log out vera").click()
    enter(visit, "olga", PASSPHRASES["olga"])
    visit.shows("Kill switch")
    assert visit.page.locator("input[type=text]:visible").count() == 1  # a reason; the name is known
    visit.page.locator("input[type=text]:visible").fill("the test stops it")
    visit.page.locator("input[type=text]:visible").press("Tab")
    visit.page.locator("input[type=checkbox]").check()
    visit.page.get_by_role("button", name="HALT").click()
    visit.shows("nothing may be sent until a person resumes")
    visit.shows("by olga")
    assert visit.foreign(guarded.root) == set()
    visit.page.close()


@pytest.mark.parametrize(
    ("wanted", "followed"),
    [
        ("/replay", "/replay"), ("/", "/desk"), ("//evil.example", "/desk"), ("/\\evil", "/desk"),
        ("https://evil.example", "/desk"),
        ("", "/desk"), ("/logout", "/desk"), ("/a\nb", "/desk"),
    ],
)  # fmt: skip
def test_a_log_in_sends_nobody_elsewhere(wanted: str, followed: str) -> None:
    assert inner_path(wanted) == followed


@pytest.mark.prove
def test_a_revoked_person_is_out_at_once(guarded: Guarded, tmp_path: Path) -> None:
    secret = tmp_path / "rita.txt"
    secret.write_text("rita looks for a while")
    program(guarded.folder, "people", "add", "rita", "--role", "viewer", "--new-passphrase-file", str(secret))
    browser, answer = guarded.log_in("rita", "rita looks for a while")
    assert answer.status_code == 302
    assert browser.get(f"{guarded.root}/desk", allow_redirects=False, timeout=60).status_code == 200
    program(guarded.folder, "people", "revoke", "rita", "--person", "olga", "--reason", "left the desk")
    assert browser.get(f"{guarded.root}/desk", allow_redirects=False, timeout=30).status_code == 302
    assert guarded.log_in("rita", "rita looks for a while")[1].status_code == 403


def test_guesses_are_forgotten_after_the_window_and_many_names_do_not_fill_the_memory() -> None:
    now = [0.0]
    limit = GuessLimit(lambda: now[0])
    for _ in range(MOST_WRONG):
        assert limit.wait_s("eve", "10.0.0.1") == 0
        limit.wrong("eve", "10.0.0.1")
    assert limit.wait_s("eve", "10.0.0.2") == WINDOW_S
    assert limit.wait_s("ada", "10.0.0.1") == 0
    now[0] = WINDOW_S
    assert limit.wait_s("eve", "10.0.0.1") == 0
    for n in range(MOST_WRONG_ADDRESS):
        limit.wrong(f"name {n}", "10.0.0.9")
    assert limit.wait_s("a fresh name", "10.0.0.9") > 0
    limit.wrong("eve", "10.0.0.2")
    limit.right("eve")
    assert limit.wait_s("eve", "10.0.0.3") == 0
    for n in range(12_000):
        limit.wrong(f"flood {n}", f"address {n}")
    assert len(limit._wrong) <= 10_000


def certificate(folder: Path) -> Path:
    """A certificate for this machine's loopback address, signed by itself, with its key beside it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a desk under test")])
    began = datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=1)
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(began)
        .not_valid_after(began + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    (folder / "desk.pem").write_bytes(made.public_bytes(Encoding.PEM))
    (folder / "desk.key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return folder / "desk.pem"


def test_with_a_certificate_the_pages_and_the_cookie_stay_on_tls(guarded: Guarded, tmp_path: Path) -> None:
    folder = tmp_path / "desk"
    shutil.copytree(guarded.folder, folder)
    trusted = certificate(folder)
    settings = folder / "workbench.toml"
    text = settings.read_text().replace('tls_certificate = ""', 'tls_certificate = "desk.pem"')
    settings.write_text(text.replace('tls_key = ""', 'tls_key = "desk.key"'))
    running = Guarded(folder)
    try:
        assert running.root.startswith("https://127.0.0.1:")
        page = requests.get(f"{running.root}/login", verify=str(trusted), timeout=30)
        assert page.status_code == 200
        assert all("Secure" in line for line in page.raw.headers.getlist("Set-Cookie"))
        with pytest.raises(requests.ConnectionError):
            requests.get(running.root.replace("https", "http") + "/login", timeout=30)
    finally:
        running.close()


def test_half_a_certificate_is_refused_with_what_is_missing(tmp_path: Path) -> None:
    text = DEFAULT_TOML.replace('tls_certificate = ""', 'tls_certificate = "desk.pem"')
    (tmp_path / "workbench.toml").write_text(text)
    answer = program(tmp_path, "config", "check")
    assert answer.code == 2
    assert "a certificate needs its key" in answer.err
