"""A standalone Spark cluster on loopback: a master and two workers, as operators run them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from queue import Empty, Queue

# A handful of rows is asked once: compiling well takes longer than running badly.
_QUICK = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
# Small executors; the defaults are for machines that do nothing else.
OPTIONS = {
    "spark.driver.extraJavaOptions": _QUICK,
    "spark.executor.extraJavaOptions": _QUICK,
    "spark.sql.codegen.wholeStage": "false",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
    "spark.executor.memory": "512m",
    "spark.sql.shuffle.partitions": "2",
}
PATIENCE_SECONDS = 120
_MASTER = "org.apache.spark.deploy.master.Master"
_WORKER = "org.apache.spark.deploy.worker.Worker"
_LOOPBACK = ["--host", "127.0.0.1", "--webui-port", "0"]


class NoJavaError(Exception):
    """There is none here; says what to install."""


@contextmanager
def spark_cluster(folder: Path) -> Iterator[str]:
    """The master's address, once two workers are known to it; all end with the block.

    Raises: NoJavaError.
    """
    if shutil.which("java") is None:
        raise NoJavaError("no Java: install it (apt-get install default-jre-headless)")
    with ExitStack() as stack:
        master = stack.enter_context(_running(folder, _MASTER, *_LOOPBACK, "--port", "0"))
        address = _await(master, r"Starting Spark master at (spark://\S+)")
        _await(master, "New state: ALIVE")
        workers = [
            stack.enter_context(
                _running(
                    folder,
                    _WORKER,
                    *_LOOPBACK,
                    *("--cores", "1", "--memory", "512m"),
                    *("--work-dir", str(folder / f"worker-{number}"), address),
                )
            )
            for number in range(2)
        ]
        for worker in workers:
            _await(worker, "Successfully registered with master (.*)")
        yield address


@contextmanager
def _running(folder: Path, *command: str) -> Iterator[Queue[str]]:
    """A process of Spark; gives the lines of its log."""
    import pyspark

    home = Path(pyspark.__file__).parent
    environment = {
        **os.environ,
        "SPARK_HOME": str(home),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_LOCAL_DIRS": str(folder),
        "SPARK_DAEMON_MEMORY": "200m",
        "SPARK_DAEMON_JAVA_OPTS": f"{_QUICK} -Dspark.master.rest.enabled=false",
    }
    process = subprocess.Popen(
        [str(home / "bin" / "spark-class"), *command],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    lines: Queue[str] = Queue()
    reader = threading.Thread(target=_read, args=(process, lines), daemon=True)
    reader.start()
    try:
        yield lines
    finally:
        process.terminate()  # a worker ends its executors with itself
        try:
            process.wait(timeout=PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        reader.join()


def _read(process: subprocess.Popen[str], lines: Queue[str]) -> None:
    assert process.stderr is not None
    with process.stderr as log:
        for line in log:
            lines.put(line)


def _await(lines: Queue[str], pattern: str) -> str:
    """What the pattern's group finds in the first line that has it."""
    seen = []
    while True:
        try:
            seen.append(lines.get(timeout=PATIENCE_SECONDS))
        except Empty:
            raise AssertionError(f"Spark never said {pattern!r}:\n{''.join(seen[-30:])}") from None
        if found := re.search(pattern, seen[-1]):
            return found.group(found.lastindex or 0)
