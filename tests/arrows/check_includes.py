#!/usr/bin/env python3
"""Checks every include of the tree against the arrows of ARCHITECTURE.md ("Rooms and arrows").

    check_includes.py [ROOT]

Prints one line per violation, `file:line: what, and what is allowed instead`, and exits 1 if there are any.
"""

import pathlib
import re
import sys

# Room: (folder, the rooms it may include). What an arrow reaches, it reaches through the rooms in between too.
ROOMS = {
    "api": ("broker/include/barista", []),
    "base": ("broker/base", ["api"]),
    "core": ("broker/core", ["base"]),
    "message": ("broker/message", ["core"]),
    "storage": ("storage", ["message"]),
    "commit": ("broker/commit", ["storage", "metrics"]),
    "consumer": ("broker/consumer", ["base"]),
    "queue": ("broker/queue", ["commit", "consumer"]),
    "topic": ("broker/topic", ["queue"]),
    "delivery": ("broker/delivery", ["base"]),
    "function": ("broker/function", ["base"]),
    "metrics": ("broker/metrics", ["base"]),
    "proto": ("proto", []),
    "client": ("client", ["api", "proto"]),
    "client_api": ("client/include/barista", ["api"]),
    "remote": ("client/remote", ["client", "client_api", "message", "consumer"]),
    "server": ("broker/server", ["api", "proto", "client"]),
    "load": ("client/load", ["api"]),
    "load_grpc": ("client/load/grpc", ["load", "client"]),
    "cli": ("client/cli", ["client", "server", "load_grpc"]),
    "broker": ("broker", ["topic", "delivery", "function", "metrics"]),  # broker.cc: puts the rooms together
}
# Free to include any room: they look at the house from outside.
OUTSIDE = ("tests", "bench")

# Libraries that only some places may include: (pattern of the include, how the path of what may include it begins).
# Storage's headers over RocksDB count as RocksDB, but for the one with which others open a store.
LIBRARIES = [
    (r"rocksdb/|storage/rocksdb_(?!store\.h$)", ["storage/rocksdb_"]),
    (r"(grpc|grpcpp|grpc\+\+)/", ["broker/server/", "client/"]),
    (r"google/|.*\.pb\.h$", ["proto/", "broker/server/", "client/"]),
    (r"boost/(beast|asio)", ["broker/server/", "broker/function/"]),
    (r"boost/json", ["broker/message/", "broker/queue/", "broker/topic/", "broker/server/", "client/"]),
    (r"boost/", ["broker/server/", "broker/function/"]),
    (r"curl/", ["broker/delivery/"]),
    (r"openssl/", ["broker/base/", "broker/delivery/", "broker/server/", "storage/", "client/"]),
    (r"prometheus/", ["broker/server/"]),
    (r"yaml-cpp/", ["broker/server/"]),
    (r"spdlog/|fmt/", ["broker/server/", "client/cli/"]),
    (r"CLI/", ["broker/server/", "client/cli/"]),
    (r"jemalloc/", ["client/cli/"]),
    (r"(gtest|gmock|benchmark)/", []),
]
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(?:"([^"]+)"|<([^>]+)>)', re.MULTILINE)
ROOM_CALL = re.compile(r"^barista_room\(\s*(\w+)\s([^)]*)\)", re.MULTILINE)


def reach(room):
    """The rooms that `room` may include, itself among them."""
    found, todo = set(), [room]
    while todo:
        name = todo.pop()
        if name not in found:
            found.add(name)
            todo += ROOMS[name][1]
    return found


def room_of(path):
    """The room in whose folder `path` lies, or None. The longest folder wins: client/cli is not client."""
    best = None
    for name, (folder, _) in ROOMS.items():
        if path.startswith(folder + "/") and (best is None or len(folder) > len(ROOMS[best][0])):
            best = name
    return best


def included_room(include):
    if include == "barista/client.h":
        return "client_api"
    if include.startswith("barista/") and not include.endswith(".pb.h"):
        return "api"
    return room_of(include)


def check_include(path, include, quoted):
    """What is wrong with this include, or None."""
    room = room_of(path)
    bare = quoted and "/" not in include and not include.endswith(".pb.h")
    if bare or any(part in (".", "..") for part in include.split("/")):
        return f'"{include}" is relative; include by the path from the root'
    for pattern, places in LIBRARIES:
        if re.match(pattern, include):
            # (A public header is for programs that know none of these.)
            if room is None or (room != "client_api" and any(path.startswith(place) for place in places)):
                return None
            allowed = ", ".join(places) if places else "tests and bench only"
            return f"{include} may be included in: {allowed}"
    if room is None:
        return None
    if room in ("api", "client_api"):
        if include.startswith(("barista/", "absl/")) or (not quoted and re.fullmatch(r"[a-z_]+", include)):
            return None
        return f"{include}: public headers include only absl/, barista/ and the C++ standard library"
    target = included_room(include)
    if target is None:
        return f'"{include}" belongs to no room' if quoted and not include.startswith("absl/") else None
    if target not in reach(room):
        allowed = ", ".join(sorted(reach(room) - {room})) or "no other room"
        return f"{include}: no arrow from {room} to {target}; {room} may include: {allowed}"
    return None


def check_sources(root):
    for path in sorted(root.rglob("*")):
        relative = path.relative_to(root).as_posix()
        top = relative.split("/")[0]
        if path.suffix not in (".h", ".cc") or top not in ("broker", "client", "proto", "storage") + OUTSIDE:
            continue
        text = path.read_text(encoding="utf-8")
        for match in INCLUDE.finditer(text):
            quoted = match.group(1) is not None
            problem = check_include(relative, match.group(1) or match.group(2), quoted)
            if problem:
                yield f"{relative}:{text.count(chr(10), 0, match.start()) + 1}: {problem}"


def check_declarations(root):
    """The include paths that CMake gives a room must not be wider than its arrows."""
    for path in sorted(root.rglob("CMakeLists.txt")):
        relative = path.relative_to(root).as_posix()
        if relative.split("/")[0] not in ("broker", "client", "proto", "storage"):
            continue
        text = path.read_text(encoding="utf-8")
        for call in ROOM_CALL.finditer(text):
            where = f"{relative}:{text.count(chr(10), 0, call.start()) + 1}"
            name, arguments = call.group(1), re.sub(r"#.*", "", call.group(2)).split()
            if name not in ROOMS:
                yield f"{where}: room {name} is not in the table of arrows"
                continue
            section = None
            for argument in arguments:
                if argument in ("DIR", "SOURCES", "DEPS", "LIBS"):
                    section = argument
                elif section == "DIR" and argument != ROOMS[name][0]:
                    yield f"{where}: room {name} lies in {argument}; the table says {ROOMS[name][0]}"
                elif section == "DEPS" and argument not in reach(name) - {name}:
                    yield f"{where}: DEPS {argument}: no arrow from {name} to {argument}"


def main(arguments):
    root = pathlib.Path(arguments[0]) if arguments else pathlib.Path(__file__).resolve().parents[2]
    violations = [*check_sources(root), *check_declarations(root)]
    for violation in violations:
        print(violation)
    print(f"arrows: {len(violations)} violation(s)")
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
