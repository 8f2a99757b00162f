# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""What the build must keep apart: instruction sets, OpenMP, symbols."""

import re
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from dtdcore import _core

CSRC = Path(__file__).parent.parent / "csrc"
# Names that a compiler predefines for an instruction set or a processor.
ISA_MACRO = re.compile(r"__(SSE|AVX|FMA|ARM|aarch64|arm|x86_64|i386|amd64|powerpc|riscv)\w*")
DIRECTIVE = re.compile(r"^\s*#\s*(?:el)?if", re.MULTILINE)
linux = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="reads ELF files with the tools of Linux"
)


def sources() -> list[Path]:
    if not CSRC.is_dir():
        pytest.skip("the C sources are not beside the tests")
    return sorted(path for path in CSRC.iterdir() if path.suffix in {".c", ".h", ".def"})


def tool(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not installed")
    return path


def output(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def isa_conditions(text: str) -> list[str]:
    """Preprocessor conditions that ask for an instruction set."""
    return [line for line in text.splitlines() if DIRECTIVE.match(line) and ISA_MACRO.search(line)]


def test_isa_conditions_stand_in_one_file():
    found = {path.name for path in sources() if isa_conditions(path.read_text("utf-8"))}
    assert found == {"vec.h"}


def test_the_search_for_isa_conditions_finds_them():
    assert isa_conditions(
        "  # if defined(__AVX2__)\n#ifdef __SSE2__\n#elif __ARM_NEON\n#if 1\n"
    ) == [
        "  # if defined(__AVX2__)",
        "#ifdef __SSE2__",
        "#elif __ARM_NEON",
    ]


def test_openmp_pragmas_stand_in_the_launcher():
    pragma = re.compile(r"^\s*#\s*pragma\s+omp|_Pragma\(\s*\"omp", re.MULTILINE)
    found = {path.name: len(pragma.findall(path.read_text("utf-8"))) for path in sources()}
    assert [name for name, count in found.items() if count] == ["threads.c"]


def test_nothing_of_openmp_is_set():
    for path in sources():
        assert "omp_set_" not in path.read_text("utf-8"), path.name


def test_vector_header_is_included_by_the_kernels_only():
    including = {path.name for path in sources() if '#include "vec.h"' in path.read_text("utf-8")}
    assert including == {"kernels.c"}


def test_public_header_knows_neither_python_nor_openmp_nor_vectors():
    includes = (
        re.findall(r"#include\s+(\S+)", (CSRC / "dtd.h").read_text("utf-8")) if sources() else []
    )
    assert includes == ["<stddef.h>"]


@linux
def test_only_the_module_function_is_exported():
    table = output(tool("nm"), "--dynamic", "--defined-only", _core.__file__)
    assert [line.split()[-1] for line in table.splitlines()] == ["PyInit__core"]


@linux
def test_the_core_needs_no_libraries_but_the_usual():
    dynamic = output(tool("readelf"), "--dynamic", "--wide", _core.__file__)
    needed = re.findall(r"\(NEEDED\).*\[(.*)\]", dynamic)
    usual = re.compile(
        r"(libc|libm|libpthread|libgomp|libomp|libgcc_s|ld-linux-\S+)[.-]\S*so\S*|libc\.so.*"
    )
    assert [name for name in needed if not usual.match(name)] == []


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The core without levels of instruction sets, compiled as the build does it."""
    if _core.config()["isa_levels"] == ["base"]:
        pytest.skip("this build or processor has one level only")
    sources()
    folder = tmp_path_factory.mktemp("objects")
    compiler = tool("cc")
    for path in CSRC.glob("*.c"):
        command = [compiler, "-std=c11", "-O3", "-ffp-contract=fast", "-fno-math-errno"]
        command += ["-fno-trapping-math", "-DDTD_LEVEL=base", "-c", str(path)]
        subprocess.run([*command, "-o", str(folder / f"{path.stem}.o")], check=True)
    return folder


@linux
def test_base_objects_have_no_wide_vectors(objects: Path):
    objdump = tool("objdump")
    for path in objects.glob("*.o"):
        code = output(objdump, "--disassemble", "--no-show-raw-insn", str(path))
        assert not re.search(r"%[yz]mm|\bvfmadd", code), path.name


@linux
def test_kernels_give_the_linker_one_table(objects: Path):
    table = output(tool("nm"), "--defined-only", "--extern-only", str(objects / "kernels.o"))
    assert [line.split()[-1] for line in table.splitlines()] == ["dtd_kernels_base"]


def test_core_and_package_have_one_version():
    try:
        installed = metadata.version("dtdcore")
    except metadata.PackageNotFoundError:
        pytest.skip("dtdcore runs from its sources, not installed")
    assert _core.config()["core"] == installed
