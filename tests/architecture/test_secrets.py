"""No secret is in any tracked file, and the scan sees every kind that it must see (F43)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from detect_secrets.plugins.aws import AWSKeyDetector
from detect_secrets.plugins.base import RegexBasedDetector
from detect_secrets.plugins.discord import DiscordBotTokenDetector
from detect_secrets.plugins.github_token import GitHubTokenDetector
from detect_secrets.plugins.jwt import JwtTokenDetector
from detect_secrets.plugins.keyword import KeywordDetector
from detect_secrets.plugins.npm import NpmDetector
from detect_secrets.plugins.openai import OpenAIDetector
from detect_secrets.plugins.private_key import PrivateKeyDetector
from detect_secrets.plugins.pypi_token import PypiTokenDetector
from detect_secrets.plugins.sendgrid import SendGridDetector
from detect_secrets.plugins.slack import SlackDetector
from detect_secrets.plugins.stripe import StripeDetector
from detect_secrets.plugins.telegram_token import TelegramBotTokenDetector
from detect_secrets.plugins.twilio import TwilioKeyDetector


class AlpacaKeyDetector(RegexBasedDetector):
    """Alpaca's key ids, and 40 or 44 opaque characters beside a word for the secret."""

    secret_type = "Alpaca key"
    denylist = (
        re.compile(r"(?<![A-Za-z0-9])((?:PK|AK|CK)[A-Z0-9]{18}|(?:PK|AK|CK)[A-Z0-9]{24})(?![A-Za-z0-9])"),
        re.compile(r"(?i)(?:secret|APCA|alpaca)[^\n]{0,40}?[=:\s\"']([A-Za-z0-9]{40,44})(?![A-Za-z0-9])"),
    )


class WebhookDetector(RegexBasedDetector):
    """Addresses that anybody who knows them can post to."""

    secret_type = "Webhook"
    denylist = (
        re.compile(r"https://(?:\w+\.)?discord(?:app)?\.com/api/webhooks/\d+/[\w-]+"),
        re.compile(r"https://hooks\.slack\.com/(?:services|workflows)/[\w/]+"),
        re.compile(r"https://[\w.-]+\.webhook\.office\.com/\S+"),
        re.compile(r"https://chat\.googleapis\.com/v1/spaces/\S+key=\S+"),
        re.compile(r"https://api\.telegram\.org/bot\d+:[\w-]+"),
    )


class CredentialInUrlDetector(RegexBasedDetector):
    """A name and a password, or a token, inside any address."""

    secret_type = "Credential in URL"
    denylist = (
        re.compile(r"[a-z][a-z0-9+.-]*://[^\s/@:{}'\"]*:([^\s/@{}'\"]+)@"),
        re.compile(r"(?i)[?&](?:api_?key|token|secret|password|sig|access_token)=([A-Za-z0-9_%.-]{8,})"),
    )


DETECTORS: tuple[RegexBasedDetector, ...] = (
    AWSKeyDetector(), DiscordBotTokenDetector(), GitHubTokenDetector(), JwtTokenDetector(), NpmDetector(),
    OpenAIDetector(), PrivateKeyDetector(), PypiTokenDetector(), SendGridDetector(), SlackDetector(),
    StripeDetector(), TelegramBotTokenDetector(), TwilioKeyDetector(), AlpacaKeyDetector(), WebhookDetector(),
    CredentialInUrlDetector(),
)  # fmt: skip
LOOKS_OPAQUE = re.compile(r"(?=.*\d)(?=.*[A-Za-z])[A-Za-z0-9+/=_-]{16,}")


def secrets_in(path: Path) -> Iterator[str]:
    """Every suspicion as "line: kind". There is no comment that switches the scan off."""
    keyword = KeywordDetector()
    for number, line in enumerate(path.read_bytes().decode("utf-8", errors="replace").splitlines(), start=1):
        for detector in DETECTORS:
            if any(detector.analyze_string(line)):
                yield f"{number}: {detector.secret_type}"
        if any(LOOKS_OPAQUE.fullmatch(str(value)) for value in _assigned(keyword, path, line)):
            yield f"{number}: {keyword.secret_type}"


def _assigned(keyword: KeywordDetector, path: Path, line: str) -> set[str]:
    found = keyword.analyze_line(filename=path.name, line=line)
    return {secret.secret_value.strip("'\"") for secret in found if secret.secret_value}


def test_no_tracked_file_holds_a_secret(tracked_files: list[Path], root: Path) -> None:
    text = [path for path in tracked_files if path.suffix not in {".parquet", ".lock", ".png"}]
    suspicions = {str(path.relative_to(root)): found for path in text if (found := list(secrets_in(path)))}
    assert suspicions == {}


# Each is put together here, so that this file holds none of them.
FAKE = "N0T4REAL" * 6
PLANTED = {
    "aws": ("settings.py", 'ACCESS = "' + "AK" + 'IA' + FAKE[:16] + '"'),
    "aws_secret": ("settings.py", 'aws_secret_access_key = "' + FAKE[:40] + '"'),
    "alpaca_key_id": ("notes.md", "my key is " + "PK" + FAKE[:18]),
    "alpaca_secret": ("notes.md", "APCA-API-SECRET-" + "KEY: " + FAKE[:40]),
    "alpaca_environment": ("run.sh", "export ALPACA_SECRET" + "=" + FAKE[:40]),
    "assignment": ("broker.py", "broker_secret" + ' = "' + FAKE[:24] + '"'),
    "toml": ("workbench.toml", "api_key" + ' = "' + FAKE[:20] + '"'),
    "yaml": ("deploy.yml", "password" + ": " + FAKE[:20]),
    "database_url": ("desk.toml", 'url = "postgresql://desk' + ":" + "n0t-a-real-one" + '@db/journal"'),
    "index_url": ("Makefile", "https://me" + ":" + FAKE[:9] + "@packages.example/simple"),
    "query_token": ("notes.md", "https://feed.example/bars?" + "api_key=" + FAKE[:12]),
    "slack_webhook": ("alerts.toml", "https://hooks.slack" + ".com/services/T000/B000/" + FAKE[:24]),
    "discord_webhook": ("alerts.toml", "https://discord" + ".com/api/webhooks/123456/" + FAKE[:30]),
    "teams_webhook": ("alerts.toml", "https://desk.webhook" + ".office.com/webhookb2/" + FAKE[:20]),
    "private_key": ("id_desk", "-----BEGIN OPENSSH " + "PRIVATE KEY-----"),
    "rsa_key": ("key.pem", "-----BEGIN RSA " + "PRIVATE KEY-----"),
    "github": ("ci.yml", "gh" + "p_" + FAKE[:36]),
    "dotenv_key": (".env", "APCA_API_KEY_ID" + "=" + "AK" + FAKE[:24]),
    "dotenv_secret": (".env", "APCA_API_SECRET_KEY" + "=" + FAKE[:40]),
    "python_key": ("trade.py", 'client = TradingClient("' + "PK" + FAKE[:18] + '", word)'),
    "notebook_output": ("05_costs.ipynb", '"text": ["{\'APCA-API-SECRET-KEY\': \'' + FAKE[:40] + '\'}\\n"]'),
    "notebook_traceback": ("05.ipynb", '"evalue": "at postgresql://desk' + ":" + "n0t-real" + '@db/x"'),
    "telegram": ("alerts.toml", "https://api.telegram" + ".org/bot123456:" + FAKE[:20]),
    "dsa_key": ("key.pem", "-----BEGIN EC " + "PRIVATE KEY-----"),
    "notebook": ("01_data.ipynb", '"source": ["key = \\"' + "PK" + FAKE[:18] + '\\"\\n"]'),
}  # fmt: skip


@pytest.mark.parametrize("kind", PLANTED)
def test_a_planted_secret_is_found(kind: str, tmp_path: Path) -> None:
    """F43: a scanner that says OK must have been seen to say no."""
    name, line = PLANTED[kind]
    path = tmp_path / name
    path.write_text(f"first line\n{line}\n", encoding="utf-8")
    assert {found.partition(":")[0] for found in secrets_in(path)} == {"2"}


@pytest.mark.parametrize(
    "line",
    [
        'secret = os.environ["WORKBENCH_SECRET"]',
        "password: str",
        'api_key = settings.broker.key.get_secret_value()',
        "https://docs.example/guide?page=2",
        'url = f"postgresql://{name}:{word}@{host}/journal"',
        "sha256:c6f0b3f3a1c5b0d1e7e7c0a1b2c3d4e5f60718293a4b5c6d7e8f901234567890",
        "client_order_id = wb1-abcdefghijklmnopqrstuvwxyz234567",
    ],
)  # fmt: skip
def test_ordinary_lines_pass(line: str, tmp_path: Path) -> None:
    path = tmp_path / "ordinary.py"
    path.write_text(line, encoding="utf-8")
    assert list(secrets_in(path)) == []
