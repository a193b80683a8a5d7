"""The throw-away PostgreSQL: two roles per database, cheap copies, and nothing left behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import asyncpg
import pytest

from groundplan.testing.postgres import DatabaseUrls, PostgresFailed, PostgresServer

pytestmark = pytest.mark.anyio


async def connect(url: str) -> asyncpg.Connection:
    return await asyncpg.connect(url.replace("postgresql+asyncpg://", "postgresql://"))


async def test_the_application_role_owns_nothing(postgres_urls: DatabaseUrls) -> None:
    owner, app = await connect(postgres_urls.owner), await connect(postgres_urls.app)
    await owner.execute("CREATE TABLE things (id INTEGER)")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await app.execute("CREATE TABLE more_things (id INTEGER)")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await app.fetch("SELECT * FROM things")
    await owner.close()
    await app.close()


async def test_a_copy_of_a_template_belongs_to_the_roles_of_the_template(postgres: PostgresServer) -> None:
    template = await connect(postgres.create_database("a_template").owner)
    await template.execute("CREATE TABLE things (id INTEGER); GRANT SELECT ON things TO a_template_app")
    await template.close()
    app = await connect(postgres.create_database("a_copy", template="a_template").app)
    assert await app.fetch("SELECT * FROM things") == []
    await app.close()
    for name in ("a_copy", "a_template"):
        postgres.drop_database(name)


async def test_a_database_is_closed_to_the_roles_of_another(postgres: PostgresServer) -> None:
    postgres.create_database("ours")
    postgres.create_database("theirs")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connect(postgres.url("theirs", "ours_app"))
    for name in ("ours", "theirs"):
        postgres.drop_database(name)


def test_a_refused_statement_says_why(postgres: PostgresServer) -> None:
    with pytest.raises(PostgresFailed, match='relation "nowhere" does not exist'):
        postgres.run("SELECT * FROM nowhere")


@pytest.mark.processes
@pytest.mark.parametrize("crash", [False, True])
def test_a_restarted_server_has_what_was_committed(crash: bool) -> None:
    with PostgresServer(durable=True) as server:
        server.run("CREATE TABLE things (id INTEGER)", "INSERT INTO things VALUES (7)")
        url = server.url()
        server.restart(crash=crash)
        assert (server.run("SELECT id FROM things"), server.url()) == ("7", url)
        data = Path(server.run("SHOW data_directory"))
    assert not data.parent.exists()


@pytest.mark.processes
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_the_server_ends_with_its_process_however_that_ends(how: signal.Signals) -> None:
    script = (
        "import sys, time\n"
        "from groundplan.testing.postgres import PostgresServer\n"
        "server = PostgresServer().start()\n"
        "print(server.run('SHOW data_directory'), flush=True)\n"
        "time.sleep(60)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        data = Path(process.stdout.readline().strip())
        assert data.parent.is_dir()
        process.send_signal(how)
    deadline = time.monotonic() + 20
    while data.parent.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not data.parent.exists()
