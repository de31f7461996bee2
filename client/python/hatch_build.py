"""Generates the classes of the proto files while a wheel is built; nothing that is generated is kept in the tree."""

import importlib.metadata
import pathlib
import re
import tempfile

import grpc_tools
from grpc_tools import protoc
from hatchling.builders.hooks.plugin.interface import BuildHookInterface

# Classes refuse a runtime that is older than their generator; the older generators leave no version in them.
GENERATOR = re.compile(r"^# Protobuf Python Version: (\S+)", re.MULTILINE)


class GenerateClasses(BuildHookInterface):
    def initialize(self, version, build_data):
        if self.target_name != "wheel":
            return
        here = pathlib.Path(self.root)
        # A source distribution has a copy of what the tree has two folders up.
        root = next(folder for folder in (here / "proto", here.parents[1] / "proto") if folder.is_dir())
        files = sorted(str(file.relative_to(root)) for file in root.glob("barista/*/*.proto"))
        self.folder = tempfile.TemporaryDirectory()
        out = pathlib.Path(self.folder.name)
        well_known = pathlib.Path(grpc_tools.__file__).parent / "_proto"
        includes = [f"-I{root}", f"-I{well_known}"]
        outputs = [f"--{kind}_out={out}" for kind in ("python", "pyi", "grpc_python")]
        if protoc.main(["protoc", *includes, *outputs, *files]) != 0:
            raise RuntimeError(f"protoc failed for {files}")

        for file in out.rglob("*.py*"):
            build_data["force_include"][str(file)] = str(file.relative_to(out))
        generator = GENERATOR.search((out / "barista/v1/queue_pb2.py").read_text())
        build_data["dependencies"] = [
            f"grpcio>={importlib.metadata.version('grpcio-tools')}",
            f"protobuf>={generator[1] if generator else '4.21'}",
        ]

    def finalize(self, version, build_data, artifact_path):
        if self.target_name == "wheel":
            self.folder.cleanup()
