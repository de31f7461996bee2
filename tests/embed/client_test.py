#!/usr/bin/env python3
"""Builds a program outside the tree with the client component alone, runs it against a server, and checks what it links.

    client_test.py ROOT BUILD_DIR

The remote C++ example of README.md is built and run beside it.
"""

import contextlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

from embed_test import cache, must, readme_example

SECONDS_TO_START = 30


@contextlib.contextmanager
def served(build, scratch):
    """The gRPC address of a `barista serve` in memory."""
    ready = scratch / "ready.json"
    free = [argument for listener in ("http", "admin", "grpc") for argument in (f"--{listener}-listen", "127.0.0.1:0")]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("BARISTA_")}
    command = [build / "bin/barista", "serve", "--memory", *free, "--ready-file", ready, "--log-level", "warn"]
    with subprocess.Popen(command, env=environment, cwd=scratch) as process:
        try:
            deadline = time.monotonic() + SECONDS_TO_START
            while not ready.exists():
                if process.poll() is not None or time.monotonic() > deadline:
                    sys.exit(f"barista serve does not start: {process.returncode}")
                time.sleep(0.01)
            yield json.loads(ready.read_text(encoding="utf-8"))["grpc"]
        finally:
            process.terminate()
            process.wait(timeout=SECONDS_TO_START)


def check_linkage(program):
    needed = re.findall(r"\(NEEDED\).*\[(.+)\]", must(["readelf", "-d", program]))
    if not any("grpc" in name for name in needed):
        sys.exit(f"{program.name} does not link gRPC: {needed}; the check looks at the wrong thing")
    if wrong := [name for name in needed if "rocksdb" in name]:
        sys.exit(f"{program.name} links the engine: {wrong}")
    print(f"{program.name} needs: {' '.join(needed)}")


def main():
    root, build = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    with tempfile.TemporaryDirectory(prefix="barista-client-") as directory:
        scratch = pathlib.Path(directory)
        shutil.copytree(root / "tests/embed/remote_app", scratch / "app")
        (scratch / "app/readme_example.cc").write_text(readme_example(root, "client.h"), encoding="utf-8")
        must(["cmake", "--install", build, "--prefix", scratch / "prefix", "--component", "barista_client"])
        if (scratch / "prefix/include/barista/broker.h").exists():
            sys.exit("the client brings the engine's headers")
        options = [*cache(build, "CMAKE_CXX_COMPILER"), *cache(build, "CMAKE_CXX_COMPILER_LAUNCHER")]
        must(["cmake", "-G", "Ninja", "-S", scratch / "app", "-B", scratch / "build", "-DCMAKE_BUILD_TYPE=Debug",
              f"-DCMAKE_PREFIX_PATH={scratch / 'prefix'}", *options])
        must(["cmake", "--build", scratch / "build", "--parallel", str(os.cpu_count() or 1)])
        with served(build, scratch) as address:
            for name in ("coffee_bar", "readme_example"):
                program = scratch / "build" / name
                print(must([program, address], cwd=scratch, timeout=60), end="")
                check_linkage(program)


if __name__ == "__main__":
    main()
