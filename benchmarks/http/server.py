"""One server under test: started on its core, answering before anything is measured, asked in plain HTTP."""

import http.client
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from benchmarks.common.machine import BenchmarkFailed
from benchmarks.common.processes import Worker

if TYPE_CHECKING:
    from benchmarks.http.load import Work

START_SECONDS = 60.0
_POLL_SECONDS = 0.002


class Server:
    """``ready`` is the path that answers 200 once it serves; ``started`` is how long that took, in seconds."""

    def __init__(
        self,
        name: str,
        command: Sequence[str | Path],
        environment: Mapping[str, str],
        *,
        port: int,
        folder: Path,
        core: int | None,
        ready: str,
        host: str = "127.0.0.1",
        token: str = "",
    ) -> None:
        self.name = name
        self.port = port
        self.core = core
        self.headers = {"Host": host} | ({"Authorization": f"Bearer {token}"} if token else {})
        begun = time.perf_counter()
        self.worker = Worker(name, command, environment, folder=folder, log=folder / f"server-{port}.log", core=core)
        try:
            self.started = self._wait(ready, begun)
        except BaseException:
            self.worker.stop()
            raise

    @property
    def pid(self) -> int:
        return self.worker.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.worker.stop()

    def ask(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, bytes]:
        """A request of its own, before or after what is measured."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            text = None if body is None else body if isinstance(body, str) else json.dumps(body)
            said = {**self.headers, **(headers or {}), **({} if text is None else {"Content-Type": "application/json"})}
            connection.request(method, path, text, said)
            reply = connection.getresponse()
            return reply.status, reply.read()
        finally:
            connection.close()

    def headers_of(self, path: str) -> dict[str, str]:
        """Of the reply to a visitor's GET, with names in lower case."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request("GET", path, headers={"Host": self.headers["Host"]})
            return {name.lower(): value for name, value in connection.getresponse().getheaders()}
        finally:
            connection.close()

    def json(self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Any:
        """Raises BenchmarkFailed unless the answer is a success."""
        status, answer = self.ask(method, path, body, headers)
        if status >= 300:
            raise BenchmarkFailed(f"{self.name} answered {method} {path} with {status}: {answer[:500]!r}")
        return json.loads(answer)

    def sign_in(self, email: str, password: str) -> None:
        """Everything that is asked from here on carries the token."""
        session = self.json("POST", "/api/v1/sessions", {"email": email, "password": password})
        self.headers["Authorization"] = f"Bearer {session['token']}"

    def answer(self, work: "Work") -> str:
        """What it says to the first request of the work, for a message."""
        key = {"Idempotency-Key": f"look-{time.time_ns()}"}
        body = work.bodies[0] if work.bodies else None
        status, said = self.ask("POST" if body else "GET", work.paths[0], body, {**work.headers, **key})
        return f"Asked again, it answers {status}: {said[:300]!r}"

    def _wait(self, path: str, begun: float) -> float:
        while True:
            self.worker.check()
            try:
                if self.ask("GET", path)[0] == 200:
                    return time.perf_counter() - begun
            except OSError:
                pass
            except http.client.HTTPException:
                pass
            if time.perf_counter() - begun > START_SECONDS:
                raise BenchmarkFailed(f"{self.name} did not answer in {START_SECONDS:.0f} s.{self.worker.last_words()}")
            time.sleep(_POLL_SECONDS)
