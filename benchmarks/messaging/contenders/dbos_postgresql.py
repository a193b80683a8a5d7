"""DBOS: a durable queue, and a workflow whose one step is a transaction of its datasource.

The only peer with the same promise as ours: the row and the note that the step is done commit together.
"""

import signal
import sys
import threading

from dbos import DBOS, DBOSClient, DBOSConfig, SQLAlchemyDatasource
from sqlalchemy import text

from benchmarks.messaging.contenders.task import INSERT, NOTE, Task

QUEUE = "rows"
POLL_SECONDS = 0.01
VERSION = "1"


def workflow(source: SQLAlchemyDatasource) -> None:
    insert = text(INSERT.format(":number", ":note"))

    @source.transaction
    def insert_row(number: int, note: str) -> None:
        source.sql_session().execute(insert, {"number": number, "note": note})

    @DBOS.workflow(name="row")
    def write_row(number: int, note: str) -> None:
        insert_row(number, note)


def launch(task: Task) -> None:
    config: DBOSConfig = {
        "name": "bench",
        "system_database_url": task.database_url,
        "sys_db_pool_size": task.slots,
        "application_version": VERSION,
        "log_level": "WARNING",
        "use_listen_notify": True,
    }
    DBOS(config=config)
    engine = {"pool_size": task.slots, "max_overflow": 0}
    workflow(SQLAlchemyDatasource.create(task.database_url, engine_kwargs=engine))
    DBOS.launch()
    DBOS.register_queue(QUEUE, worker_concurrency=task.slots * 10, polling_interval_sec=POLL_SECONDS)


def fill(task: Task) -> None:
    launch(task)
    DBOS.destroy()
    client = DBOSClient(system_database_url=task.database_url)
    with client._sys_db.engine.connect() as connection:
        for number in range(task.jobs):
            options = {"workflow_name": "row", "queue_name": QUEUE, "app_version": VERSION}
            client.enqueue_in_transaction(connection, options, number, NOTE)
            if number % 500 == 499:
                connection.commit()
        connection.commit()
    client.destroy()


def work(task: Task) -> None:
    launch(task)
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    stop.wait()


if __name__ == "__main__":
    {"fill": fill, "work": work}[sys.argv[1]](Task.given())
