"""Celery on RabbitMQ: `acks_late`, persistent messages, and its own defaults: prefork, a child for each core.

A crash between commit and acknowledgement runs the handler again.
"""

import sys

import psycopg
from celery import Celery
from celery.signals import worker_process_init

from benchmarks.messaging.contenders.task import INSERT, NOTE, Task

task = Task.given()
app = Celery("bench", broker=task.broker_url)
app.conf.update(
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    task_ignore_result=True,
    task_default_queue=task.meter.parent.name,
    broker_connection_retry_on_startup=True,
    worker_enable_remote_control=False,
    worker_send_task_events=False,
    worker_hijack_root_logger=False,
)
INTO_EFFECTS = INSERT.format("%s", "%s")
connections: list[psycopg.Connection] = []


@worker_process_init.connect
def connect(**_: object) -> None:
    connections[:] = [psycopg.connect(task.database_url)]


@app.task(name="row")
def write_row(number: int, note: str) -> None:
    connection = connections[0]
    with connection.transaction():
        connection.execute(INTO_EFFECTS, (number, note))


def fill() -> None:
    with app.producer_pool.acquire(block=True) as producer:
        for number in range(task.jobs):
            write_row.apply_async((number, NOTE), producer=producer)


def work() -> None:
    app.worker_main(["worker", "--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel", "WARNING"])


if __name__ == "__main__":
    {"fill": fill, "work": work}[sys.argv[1]]()
