#!/usr/bin/env python3
"""Builds a small embedder outside the tree, runs it, and checks what it links.

    embed_test.py USE ROOT BUILD_DIR

USE: package (install BUILD_DIR, then find_package), subdirectory, fetch, or component (asks the package for one that does not exist).
The C++ examples of README.md are built and run beside the embedder. CMAKE_CXX_COMPILER and CMAKE_CXX_COMPILER_LAUNCHER are taken from BUILD_DIR.
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

# Programs of README.md, by their last header.
EXAMPLES = {"readme_example": "broker.h", "readme_worker_example": "worker.h"}
FORBIDDEN = re.compile(r"grpc|protobuf|curl|boost_(?!json|container)|upb|libgpr|yaml|spdlog|prometheus", re.IGNORECASE)


def run(command, **options):
    print("+", " ".join(map(str, command)), flush=True)
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, **options)
    return done.returncode, done.stdout


def must(command, **options):
    status, output = run(command, **options)
    if status != 0:
        sys.exit(f"{output}\nexit {status}: {' '.join(map(str, command))}")
    return output


def cache(build, name):
    match = re.search(rf"^{name}:\w+=(.+)$", (build / "CMakeCache.txt").read_text(encoding="utf-8"), re.MULTILINE)
    return [f"-D{name}={match.group(1)}"] if match else []


def readme_example(root, header):
    """The block of C++ of whose headers <barista/HEADER> is the last."""
    readme = (root / "README.md").read_text(encoding="utf-8")
    blocks = [block for block in re.findall(r"```c\+\+\n(.*?)```", readme, re.DOTALL) if re.findall(r"#include <barista/(.*)>", block)[-1:] == [header]]
    if len(blocks) != 1:
        sys.exit(f"README.md has {len(blocks)} blocks of C++ whose last header is <barista/{header}>, wanted: one")
    return blocks[0]


def check_linkage(program):
    needed = re.findall(r"\(NEEDED\).*\[(.+)\]", must(["readelf", "-d", program]))
    loaded = [line.split()[0] for line in must(["ldd", program]).splitlines() if line.strip()]
    if not any("rocksdb" in name for name in needed):
        sys.exit(f"{program.name} does not link RocksDB: {needed}; the check looks at the wrong thing")
    wrong = sorted(name for name in {*needed, *loaded} if FORBIDDEN.search(name))
    if wrong:
        sys.exit(f"{program.name} links {wrong}")
    print(f"{program.name} needs: {' '.join(needed)}")


def main():
    use, root, build = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
    with tempfile.TemporaryDirectory(prefix="barista-embed-") as directory:
        scratch = pathlib.Path(directory)
        shutil.copytree(root / "tests/embed/app", scratch / "app")
        for name, header in EXAMPLES.items():
            (scratch / "app" / f"{name}.cc").write_text(readme_example(root, header), encoding="utf-8")
        options = ["-DCMAKE_BUILD_TYPE=Debug", *cache(build, "CMAKE_CXX_COMPILER"), *cache(build, "CMAKE_CXX_COMPILER_LAUNCHER")]
        if use in ("package", "component"):
            must(["cmake", "--install", build, "--prefix", scratch / "prefix", "--component", "barista_broker"])
            options.append(f"-DCMAKE_PREFIX_PATH={scratch / 'prefix'}")
        elif use == "subdirectory":
            options.append(f"-DBARISTA_DIR_TO_ADD={root}")
        elif use == "fetch":
            options.append(f"-DFETCHCONTENT_SOURCE_DIR_BARISTA={root}")

        if use == "component":
            lists = scratch / "app/CMakeLists.txt"
            lists.write_text(lists.read_text(encoding="utf-8").replace("COMPONENTS broker", "COMPONENTS teapot"), encoding="utf-8")
        configure = ["cmake", "-G", "Ninja", "-S", scratch / "app", "-B", scratch / "build", *options]
        if use == "component":
            status, output = run([*configure, "-DUSE=package"])
            if status == 0 or "has no component 'teapot'" not in " ".join(output.split()):
                sys.exit(f"{output}\nan unknown component must be refused by name")
            print("unknown component: refused by name")
            return
        must([*configure, f"-DUSE={use}"])
        must(["cmake", "--build", scratch / "build", "--parallel", str(os.cpu_count() or 1)])
        for target in ("coffee_shop", *EXAMPLES):
            program = scratch / "build" / target
            print(must([program, scratch / "data"] if target == "coffee_shop" else [program], cwd=scratch, timeout=60), end="")
            check_linkage(program)


if __name__ == "__main__":
    main()
