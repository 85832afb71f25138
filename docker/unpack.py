"""Unpack a large library to where its package finds it: `python unpack.py llvmlite/binding/libllvmlite.so`.

Two seconds, and only for the services that use it.
"""

from __future__ import annotations

import lzma
import shutil
import sys
import sysconfig
from pathlib import Path


def main(name: str) -> None:
    library = Path(sysconfig.get_path("platlib")) / name
    library.readlink().parent.mkdir(exist_ok=True)
    with lzma.open(f"{library}.xz") as packed, library.readlink().open("wb") as unpacked:
        shutil.copyfileobj(packed, unpacked, 1 << 20)


if __name__ == "__main__":
    main(sys.argv[1])
