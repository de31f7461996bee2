#!/usr/bin/env python3
"""Prints where the instructions of one message go, as Markdown (called by bench/profile.sh).

  profile_table.py TITLE MESSAGES PROFILE MORE_MESSAGES PROFILE

Two callgrind profiles of the same program with different numbers of messages: their difference is the work of the messages alone,
without start and end. Exits 2 on other input.
"""

import collections
import re
import subprocess
import sys

# The first that matches "file function" of a line of the profile names its group.
GROUPS = [
    ("system calls, clock", r"clock_gettime|__vdso|fdatasync|\bwrite\b.*libc|nptl/cancellation|sysdeps/unix"),
    ("character set of bodies", r"validation\.cc"),
    ("receipt handles", r"siphash|receipt\.cc|SealReceipt|OpenReceipt"),
    ("message records", r"message_record|payload"),
    ("thread-local variables (RocksDB's counters)", r"__tls_get_addr|TLS (init|wrapper)|_dl_tlsdesc"),
    ("RocksDB: checksums", r"rocksdb::crc32c|xxh3|XXH"),
    ("RocksDB: memtable", r"rocksdb::(MemTable|InlineSkipList|SkipList|\(anonymous namespace\)::SkipListRep|Arena|ConcurrentArena|"
                          r"MemTableInserter|InternalKeyComparator|InternalStats)|SkipListRep|BytewiseComparator"),
    ("RocksDB: log", r"rocksdb::(log::|WritableFileWriter|Posix|.*WritableFile|DBImpl::(WriteToWAL|WriteGroupToWAL|SyncWAL|MergeBatch))"),
    ("RocksDB: write batch", r"rocksdb::(WriteBatch|PutVarint|PutLength|GetLength|PutFixed)|WriteBatch"),
    ("lanes, slots, timer (broker/core)", r"broker/core|barista::core|barista::internal::core"),
    ("turns (broker/commit)", r"broker/commit|barista::commit"),
    ("rows and batches (storage)", r"storage/|barista::storage"),
    ("queues (broker/queue)", r"broker/|barista::"),
    ("copying", r"memcpy|memmove|memset|memcmp|bcmp"),
    ("malloc, free", r"malloc|calloc|realloc|_int_free|cfree|operator (new|delete)|\bfree\b"),
    ("locks", r"pthread|nptl|mutex|futex"),
    ("RocksDB: other", r"rocksdb"),
]


def read(profile, inclusive):
    """{(file, function): instructions}"""
    text = subprocess.run(
        ["callgrind_annotate", "--threshold=100", "--auto=no", f"--inclusive={'yes' if inclusive else 'no'}", profile],
        check=True, capture_output=True, text=True).stdout
    costs = collections.Counter()
    for line in text.splitlines():
        match = re.match(r"\s*([\d,]+) \([ \d.]+%\)\s+(\S*?[^:]):([^:].*?)(?: \[([^]]*)\])?$", line)
        if match:
            cost, path, function, binary = match.groups()
            costs[f"{path} {(binary or '').split('/')[-1]}", function] += int(cost.replace(",", ""))
    return costs


def per_message(profiles, inclusive):
    (messages, profile), (more_messages, more_profile) = profiles
    costs = read(more_profile, inclusive)
    costs.subtract(read(profile, inclusive))
    return {key: cost / (more_messages - messages) for key, cost in costs.items()}


def short(function):
    """A function without arguments, templates and namespaces that say nothing."""
    if function.startswith("0x"):
        return "(without a symbol)"  # mostly calls from one library into another
    function = re.sub(r"'\d+$", "", function)  # callgrind's mark of a recursion
    while (plain := re.sub(r"<[^<>]*>", "", function)) != function:
        function = plain
    function = re.sub(r"\(anonymous namespace\)::", "", function)
    function = re.sub(r"\(.*", "", function)
    return re.sub(r"barista::(internal::|core::|storage::|commit::|bench::)?|absl::debian3::", "", function)


def group_of(path, function):
    for name, pattern in GROUPS:
        if re.search(pattern, f"{path} {function}"):
            return name
    return "other"


def table(head, rows, total, least=0.0):
    print(f"| {head} | Instructions per message | |\n|---|---:|---:|")
    for name, cost in sorted(rows.items(), key=lambda row: -row[1]):
        if cost >= max(least, total / 1000):
            print(f"| {name} | {cost:,.0f} | {cost / total:.0%} |")
    print()


def main():
    if len(sys.argv) != 6:
        sys.exit(__doc__)
    title = sys.argv[1]
    profiles = [(int(sys.argv[2]), sys.argv[3]), (int(sys.argv[4]), sys.argv[5])]
    own = per_message(profiles, inclusive=False)
    total = sum(own.values())
    print(f"### {title}: {total:,.0f} instructions per message\n")

    groups = collections.Counter()
    for (path, function), cost in own.items():
        groups[group_of(path, function)] += cost
    table("Group", groups, total)

    functions = collections.Counter()
    for (_, function), cost in own.items():
        functions[f"`{short(function) or function}`"] += cost
    table("Function, its own", dict(functions.most_common(15)), total)

    functions = {}
    for (_, function), cost in per_message(profiles, inclusive=True).items():
        # A function that was inlined has a line per file; a recursive one a line per depth.
        name = f"`{short(function)}`"
        functions[name] = max(functions.get(name, 0), cost)
    begin = re.compile(r"`(`|main|_start|\(below main\)|.*Cycle|Run|clone|start_thread|\(without.*|std::.*|__libc.*|.*PROGRAM.*)")
    rows = [row for row in functions.items() if not begin.match(row[0])]
    rows.sort(key=lambda row: -row[1])
    table("Function, with what it calls", dict(rows[:15]), total)


if __name__ == "__main__":
    main()
