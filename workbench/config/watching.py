"""The sections of ``workbench.toml`` about who watches the desk, who is told and what they see."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SupervisionSettings:
    """How the trading kernel and its runner watch each other.

    Attributes
    ----------
    runner_heartbeat_s : float
        Sending stops when the runner's heartbeat is older than this, seconds.
    """

    runner_heartbeat_s: float = 2.0


@dataclass(frozen=True)
class DashboardsSettings:
    """Who may look at the pages, and from where. Not part of the config hash.

    Attributes
    ----------
    login : bool
        Registered people log in with their passphrase; other machines reach the pages only with it.
    session_hours : float
        After so long a person logs in again.
    tls_certificate, tls_key : str
        Paths of a certificate chain and its key in PEM; "" = no TLS from this process.
    trusted_proxy : bool
        A proxy of yours stands in front, speaks TLS and names the visitor's address.
    origins : tuple of str
        Host names, with a port where it is not the usual one, under which browsers open the pages; empty =
        the address that is listened at.
    """

    login: bool = False
    session_hours: float = 8.0
    tls_certificate: str = ""
    tls_key: str = ""
    trusted_proxy: bool = False
    origins: tuple[str, ...] = ()


@dataclass(frozen=True)
class AlertsSettings:
    """Who is told, how often it is tried; not part of the config hash.

    Attributes
    ----------
    channels : tuple of str
        Channels that get every alert: "console", "file" (alerts.jsonl in the desk's folder). The addresses of
        all others are secrets: alert_urls and alert_urls_second.
    external_from : str
        Alerts below it stay on the channels above: "info", "warning" or "critical".
    poll_s : float
        How often the outbox is looked at, seconds; .1 to 2.
    max_attempts : int
        Attempts to reach a channel before the alert is "undeliverable", which is an alert; 1 to 20.
    retry_first_s : float
        Seconds before the second attempt, doubled for each further one; 1 to 60.
    """

    channels: tuple[str, ...] = ("console", "file")
    external_from: str = "warning"
    poll_s: float = 0.5
    max_attempts: int = 8
    retry_first_s: float = 5.0


@dataclass(frozen=True)
class WatchdogSettings:
    """What the watchdog bears with before it halts the account; every bound has a largest value.

    Attributes
    ----------
    required : bool
        Whether a session refuses to start, and to send, without a living watchdog.
    look_every_s : float
        Time between two looks, seconds; .1 to 5.
    silent_after_s : float
        A session refuses when the watchdog's own heartbeat is older, seconds; 1 to 60.
    stuck_after_s : float
        A loop whose runner has not given a sign of life, or whose lease has run out, for longer is stuck,
        seconds; 1 to 300.
    no_progress_s : float
        A loop that holds the lease and has recorded nothing for longer is stuck, seconds; 10 to 900.
    max_clock_skew_s : float
        Difference of our clock from the venue's beyond which the account is halted, seconds; .1 to 10.
    venue_silent_s : float
        A venue that has not answered for longer is unreachable, seconds; 1 to 300.
    journal_silent_s : float
        A journal that could not be read for longer is unreachable, seconds; 1 to 300.
    max_growth_mb_per_hour : int
        Growth of the journal beyond which there is an alert, megabytes; 1 to 100_000.
    min_free_disk_mb : int
        Space left on the desk's disk below which there is an alert, megabytes; 10 to 1_000_000.
    """

    required: bool = False
    look_every_s: float = 1.0
    silent_after_s: float = 10.0
    stuck_after_s: float = 15.0
    no_progress_s: float = 120.0
    max_clock_skew_s: float = 2.0
    venue_silent_s: float = 30.0
    journal_silent_s: float = 10.0
    max_growth_mb_per_hour: int = 1_000
    min_free_disk_mb: int = 1_000


@dataclass(frozen=True)
class MonitoringSettings:
    """How much drift is borne before a model may open no more risk.

    Attributes
    ----------
    alpha : float
        Chance that any detector of single sessions alarms within 250 sessions in which nothing changes;
        .001 to .2.
    max_input_shift_sd : float
        Bound that a model trained here carries: change of the mean of a drifted input, in standard
        deviations of its normal scores; .1 to 3.
    max_input_spread : float
        The same for the change of its variance; .1 to 3.
    max_input_missing : float
        The same for the rise of its share of missing values; .01 to 1.
    health_port : int
        Port of the loopback address at which `workbench jobs serve` answers /healthz and /metrics; 0 = any
        free one, which it prints. Not part of the config hash.
    """

    alpha: float = 0.05
    max_input_shift_sd: float = 1.0
    max_input_spread: float = 1.0
    max_input_missing: float = 0.1
    health_port: int = 0

    def input_bounds(self) -> dict[str, float]:
        """The bounds as a model's manifest keeps them."""
        return {
            "shift_sd": float(self.max_input_shift_sd),
            "spread": float(self.max_input_spread),
            "missing": float(self.max_input_missing),
        }
