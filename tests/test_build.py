"""Object files of wider instruction sets share no inline code with the rest.

A template or inline function compiled twice may be merged by the linker into its AVX-512 copy, and
then an older processor stops at an illegal instruction. Looks into the build folder:
CONVKIT_BUILD_DIR, or build/dev of an editable install.
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

BUILD = Path(os.environ.get("CONVKIT_BUILD_DIR", Path(__file__).parents[1] / "build" / "dev"))
# Runtime and personality references that every C++ object carries.
HARMLESS = ("DW.ref.__gxx_personality",)


@pytest.mark.skipif(shutil.which("nm") is None, reason="nm (binutils) is not installed")
@pytest.mark.parametrize("target", ["ck_cpu_avx2", "ck_cpu_avx512", "ck_simt_avx2"])
def test_objects_share_no_inline_code(target):
    objects = sorted(BUILD.glob(f"**/{target}.dir/**/*.o"))
    if not objects:
        pytest.skip(f"no build folder with {target} at {BUILD}; set CONVKIT_BUILD_DIR")
    namespace = f"ck::{target.removeprefix('ck_').removeprefix('cpu_')}::"
    shared = []
    for path in objects:
        listing = subprocess.run(["nm", "-C", path], capture_output=True, text=True, check=True)
        for line in listing.stdout.splitlines():
            kind, _, name = line.lstrip("0123456789abcdef ").partition(" ")
            if kind in "VWu" and namespace not in name and not name.startswith(HARMLESS):
                shared.append(f"{path.name}: {name}")
    assert not shared, "\n".join(shared)
