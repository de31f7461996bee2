#!/usr/bin/env python3
"""Plants forbidden includes and arrows into a copy of the sources and sees check_includes.py report each of them.

    planted_violations.py ROOT
"""

import pathlib
import shutil
import subprocess
import sys
import tempfile

# (file to append to, line to append, what the report must say). The folders hold these files or get them.
PLANTS = [
    ("broker/core/planted.h", '#include "broker/queue/planted.h"', "no arrow from core to queue"),
    ("broker/base/planted.cc", '#include "storage/store.h"', "no arrow from base to storage"),
    ("broker/commit/planted.cc", '#include "broker/queue/planted.h"', "no arrow from commit to queue"),
    ("broker/message/planted.cc", '#include "storage/store.h"', "no arrow from message to storage"),
    ("broker/core/planted.cc", '#include "broker/message/payload.h"', "no arrow from core to message"),
    ("broker/consumer/planted.cc", '#include "broker/queue/planted.h"', "no arrow from consumer to queue"),
    ("storage/planted.cc", '#include "broker/commit/planted.h"', "no arrow from storage to commit"),
    ("storage/store.h", "#include <rocksdb/db.h>", "rocksdb/db.h may be included in: storage/rocksdb_"),
    ("storage/store.h", '#include "rocksdb/db.h"', "rocksdb/db.h may be included in: storage/rocksdb_"),
    ("broker/commit/rocksdb_planted.cc", "#include <rocksdb/db.h>", "rocksdb/db.h may be included in: storage/rocksdb_"),
    ("broker/queue/planted.cc", '#include "storage/rocksdb_runs.h"', "storage/rocksdb_runs.h may be included in: storage/rocksdb_"),
    ("storage/store.h", '#include "storage/rocksdb_slice.h"', "storage/rocksdb_slice.h may be included in: storage/rocksdb_"),
    ("broker/queue/planted.cc", '#include "../server/server.h"', "is relative"),
    ("broker/base/planted.cc", '#include "broker/base/../queue/engine.h"', "is relative"),
    ("broker/queue/planted.cc", '#include "engine.h"', "is relative"),
    ("broker/queue/planted.cc", '  #  include "rocksdb/db.h"', "rocksdb/db.h may be included in"),
    ("broker/server/planted.cc", '#include "broker/queue/planted.h"', "no arrow from server to queue"),
    ("broker/server/planted.cc", '#include "storage/store.h"', "no arrow from server to storage"),
    ("broker/broker.cc", "#include <grpcpp/grpcpp.h>", "grpcpp/grpcpp.h may be included in: broker/server/, client/"),
    ("broker/queue/planted.cc", "#include <boost/beast.hpp>", "boost/beast.hpp may be included in"),
    ("client/planted.cc", "#include <boost/asio.hpp>", "boost/asio.hpp may be included in"),
    ("client/planted.cc", '#include "client/remote/wire.h"', "no arrow from client to remote"),
    ("client/planted.cc", '#include "broker/message/payload.h"', "no arrow from client to message"),
    ("client/remote/planted.cc", '#include "storage/store.h"', "no arrow from remote to storage"),
    ("broker/server/planted.cc", '#include "client/remote/wire.h"', "no arrow from server to remote"),
    ("client/include/barista/client.h", "#include <grpcpp/channel.h>", "grpcpp/channel.h may be included in"),
    ("client/planted.cc", '#include "broker/base/ids.h"', "no arrow from client to base"),
    ("broker/server/planted.cc", "#include <curl/curl.h>", "curl/curl.h may be included in: broker/delivery/"),
    ("broker/queue/planted.cc", "#include <gtest/gtest.h>", "tests and bench only"),
    ("broker/include/barista/queue.h", '#include "broker/base/ids.h"', "public headers include only"),
    ("broker/include/barista/queue.h", "#include <unistd.h>", "public headers include only"),
    ("broker/include/barista/queue.h", '#include "barista/v1/queue.pb.h"', "may be included in: proto/"),
    ("broker/CMakeLists.txt", "barista_room(core DIR broker/core DEPS base queue)", "DEPS queue: no arrow from core to queue"),
    ("broker/CMakeLists.txt", "barista_room(cellar DIR broker/cellar)", "room cellar is not in the table"),
]


def check(root):
    script = pathlib.Path(__file__).with_name("check_includes.py")
    done = subprocess.run([sys.executable, str(script), str(root)], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout


def main():
    root = pathlib.Path(sys.argv[1])
    failed = 0
    with tempfile.TemporaryDirectory(prefix="barista-arrows-") as directory:
        copy = pathlib.Path(directory)
        for folder in ("broker", "client", "proto", "storage"):
            shutil.copytree(root / folder, copy / folder)
        status, clean = check(copy)
        if status != 0:
            print(f"the tree itself has violations:\n{clean}")
            return 1
        for name, line, expected in PLANTS:
            file = copy / name
            before = file.read_bytes() if file.exists() else None
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes((before or b"") + b"\n" + line.encode() + b"\n")
            status, output = check(copy)
            hits = [report for report in output.splitlines() if report.startswith(name + ":") and expected in report]
            if status != 1 or len(hits) != 1:
                failed += 1
                print(f"NOT CAUGHT: {line!r} in {name} (expected '{expected}'):\n{output}")
            if before is None:
                file.unlink()
            else:
                file.write_bytes(before)
    print(f"planted violations: {len(PLANTS) - failed} caught, {failed} not caught")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
