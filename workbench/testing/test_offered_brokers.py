"""Every broker that is offered keeps the promises that the services rely on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from workbench.testing.broker_contract import BrokerContract
from workbench.testing.broker_world import World
from workbench.testing.offered import BrokerMaker


@pytest.fixture
def world(broker_maker: BrokerMaker, tmp_path: Path) -> Iterator[World]:
    """The broker, with a hand on its clock."""
    yield from World.of(lambda clock: broker_maker(tmp_path, clock))


class TestOfferedBrokers(BrokerContract):
    """The contract over every broker."""
