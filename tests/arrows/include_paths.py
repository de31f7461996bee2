#!/usr/bin/env python3
"""Preprocesses, for every pair of rooms, a file that includes a header of the one with the include path of the other.

    include_paths.py COMPILER ROOMS_FILE ROOT

ROOMS_FILE holds a line per room: its name, a tab, the include directories that its objects are compiled with, separated by ";".
Where the table of arrows has no way, the compiler must not find the header; where it has one, it must.
"""

import pathlib
import subprocess
import sys
import tempfile

import check_includes


def header_of(root, room):
    folder = root / check_includes.ROOMS[room][0]
    header = next(iter(sorted(folder.glob("*.h"))), None)
    if header is None:
        return None
    return f"barista/{header.name}" if room == "api" else header.relative_to(root).as_posix()


def main():
    compiler, rooms_file, root = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
    paths = {}
    for line in rooms_file.read_text(encoding="utf-8").splitlines():
        name, directories = line.split("\t")
        paths[name] = [directory for directory in directories.split(";") if directory]
    failed = refused = found = 0
    with tempfile.TemporaryDirectory(prefix="barista-arrows-") as directory:
        source = pathlib.Path(directory) / "planted.cc"
        for room in paths:
            for target in paths:
                header = header_of(root, target)
                if header is None:
                    continue
                source.write_text(f'#include "{header}"\n', encoding="utf-8")
                command = [compiler, "-std=c++20", "-E", "-o", "/dev/null", str(source)]
                command += [flag for path in paths[room] for flag in ("-I", path)]
                done = subprocess.run(command, capture_output=True, text=True, check=False)
                may = target in check_includes.reach(room)
                missing = header in done.stderr and ("No such file" in done.stderr or "file not found" in done.stderr)
                if may and done.returncode == 0:
                    found += 1
                elif not may and done.returncode != 0 and missing:
                    refused += 1
                else:
                    failed += 1
                    print(f"{room} including {header}: exit {done.returncode}, should {'be found' if may else 'not be found'}")
                    print(done.stderr)
    print(f"include paths: {found} includes along an arrow are found, {refused} against the arrows are not, {failed} wrong")
    # A table with no pair to refuse would prove nothing.
    return 1 if failed or refused == 0 or found == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
