"""DBOS: workflows on a durable queue, polled often; in the two ways that it has to write a row.

``row``: the workflow writes it with a connection of its own; a crash before DBOS notes the end runs it again.
``row-exact``: the row is a transactional step of DBOS's datasource, which commits its own note with it, as ours does.
"""

import signal
import sys
import threading

from dbos import DBOS, DBOSClient, DBOSConfig, SQLAlchemyDatasource
from psycopg_pool import ConnectionPool
from sqlalchemy import text

from benchmarks.messaging.contenders.task import INSERT, NOTE, Task

QUEUE = "rows"
POLL_SECONDS = 0.01
VERSION = "1"


def exact_workflow(task: Task) -> None:
    insert = text(INSERT.format(":number", ":note"))
    engine = {"pool_size": task.slots, "max_overflow": 0}
    source = SQLAlchemyDatasource.create(task.database_url, engine_kwargs=engine)

    @source.transaction
    def insert_row(number: int, note: str) -> None:
        source.sql_session().execute(insert, {"number": number, "note": note})

    @DBOS.workflow(name="row-exact")
    def write_row(number: int, note: str) -> None:
        insert_row(number, note)


def workflow(task: Task) -> None:
    insert = INSERT.format("%s", "%s")
    pool = ConnectionPool(task.database_url, min_size=task.slots, max_size=task.slots, open=True)

    @DBOS.workflow(name="row")
    def write_row(number: int, note: str) -> None:
        with pool.connection() as connection:
            connection.execute(insert, (number, note))


def launch(task: Task) -> None:
    config: DBOSConfig = {
        "name": "bench",
        "system_database_url": task.database_url,
        "sys_db_pool_size": task.slots,
        "application_version": VERSION,
        "log_level": "WARNING",
    }
    DBOS(config=config)
    (exact_workflow if task.kind == "row-exact" else workflow)(task)
    DBOS.launch()
    DBOS.register_queue(QUEUE, worker_concurrency=10 * task.slots, polling_interval_sec=POLL_SECONDS)


def fill(task: Task) -> None:
    """A launch makes the tables; the client's own transaction then takes many jobs at a time."""
    launch(task)
    DBOS.destroy()
    client = DBOSClient(system_database_url=task.database_url)
    options = {"workflow_name": task.kind, "queue_name": QUEUE, "app_version": VERSION}
    for start in range(0, task.jobs, 500):
        with client._sys_db.engine.begin() as connection:
            for number in range(start, min(start + 500, task.jobs)):
                client.enqueue_in_transaction(connection, options, number, NOTE)
    client.destroy()


def work(task: Task) -> None:
    launch(task)
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    stop.wait()


if __name__ == "__main__":
    {"fill": fill, "work": work}[sys.argv[1]](Task.given())
