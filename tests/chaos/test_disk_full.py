"""The disk under SQLite is full: writes are refused in words, nothing is acknowledged that is not stored, and it goes
on when there is room."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from groundplan.testing.postgres import PostgresServer
from tests.chaos.conftest import Sites
from tests.chaos.disks import Disk, small_disk
from tests.chaos.scale import SCALE
from tests.chaos.site import Site
from tests.databases import Templates, copy_of

FULL = "The disk of the database is full"
MOST = 100
"""So often messages are sent until they are refused."""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    with small_disk(tmp_path / "disk") as disk:
        yield disk


@pytest.fixture
def site(sites: Sites, disk: Disk, chaos_templates: Templates, postgres: PostgresServer) -> Iterator[Site]:
    site = sites("sqlite", copy_of("sqlite", chaos_templates, disk.folder, postgres).app, None)
    yield site
    site.close()


def test_the_disk_is_full(site: Site, disk: Disk) -> None:
    site.producer.send(SCALE.messages)
    worker = site.worker().until_ready()
    site.until_idle()
    site.producer.send(SCALE.messages, jobs_only=True, seconds=0.5)
    disk.fill()
    if disk.limit:  # it is for connections that are made from now on
        worker.stop()
        worker = site.worker(pages=disk.limit).until_ready()
    else:
        worker.until_it_says(FULL)
    for _ in range(MOST):
        if not site.producer.refused:
            site.producer.send(SCALE.messages)
    assert site.producer.refused
    assert all(FULL in words for words in site.producer.refused.values())
    assert worker.alive
    disk.free()
    if worker.rig.pages:
        worker.stop()
        worker = site.worker().until_ready()
    room = time.monotonic()
    site.producer.send(SCALE.messages)
    site.finish("disk full", kills=0, since=room)
    assert worker.stop() == 0
