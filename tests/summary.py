#!/usr/bin/env python3
"""Adds up what a run of tests/run.sh left in its results folder and prints one line per preset.

    summary.py NAME RESULTS_DIR

Reads gtest/*.xml (one per executable), ctest.xml and pytest-*.xml (JUnit), and failed_steps.txt (one name per line).
A ctest entry whose executable left a gtest file counts by its test cases. Exits 1 if anything failed, was skipped or if nothing ran.
"""

import pathlib
import sys
import xml.etree.ElementTree as ElementTree


class Total:
    def __init__(self):
        self.passed = 0
        self.failed = []
        self.skipped = []

    def add_suite(self, root, prefix=""):
        """Counts the test cases below `root` and returns how many there were."""
        cases = root.findall(".//testcase")
        for case in cases:
            name = prefix + ".".join(part for part in (case.get("classname"), case.get("name")) if part)
            if case.find("failure") is not None or case.find("error") is not None or case.get("status") == "fail":
                self.failed.append(name)
            elif case.find("skipped") is not None or case.get("status") in ("notrun", "disabled"):
                self.skipped.append(name)
            else:
                self.passed += 1
        return len(cases)


def main():
    name, results = sys.argv[1], pathlib.Path(sys.argv[2])
    total = Total()
    by_executable = {}
    for file in sorted(results.glob("gtest/*.xml")):
        by_executable[file.stem] = Total()
        by_executable[file.stem].add_suite(ElementTree.parse(file).getroot(), f"{file.stem}: ")
    if (results / "ctest.xml").exists():
        for case in ElementTree.parse(results / "ctest.xml").getroot().findall(".//testcase"):
            entry = case.get("name")
            inner = by_executable.get(entry)
            if inner is not None and inner.passed + len(inner.failed) + len(inner.skipped) > 0:
                total.passed += inner.passed
                total.failed += inner.failed
                total.skipped += inner.skipped
                # A crash, a timeout or a sanitizer report after the last test case.
                if case.get("status") == "fail" and not inner.failed:
                    total.failed.append(entry)
            elif case.get("status") == "run":
                total.passed += 1
            elif case.get("status") == "fail":
                total.failed.append(entry)
            else:
                total.skipped.append(entry)
    for file in sorted(results.glob("pytest-*.xml")):
        total.add_suite(ElementTree.parse(file).getroot())
    if (results / "failed_steps.txt").exists():
        total.failed += (results / "failed_steps.txt").read_text(encoding="utf-8").splitlines()

    for entry in total.failed:
        print(f"FAILED   {entry}")
    for entry in total.skipped:
        print(f"NOT RUN  {entry}")
    print(f"{name}: {total.passed} passed, {len(total.failed)} failed, {len(total.skipped)} not run")
    return 1 if total.failed or total.skipped or total.passed == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
