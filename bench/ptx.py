#!/usr/bin/env python3
"""The golden table of what nvcc makes of kernels: registers, spills, shared bytes, instructions.

    ptx.py launch DIR nvcc ...   compiles, and keeps PTX and the report of ptxas in DIR
    ptx.py write DIR             writes bench/results/ptx.md from there
    ptx.py check DIR             compares with that file; for another nvcc says how many differ

The first is a compiler launcher, so that the build that is checked is the one that ships:

    CMAKE_CUDA_COMPILER_LAUNCHER='bench/ptx.py;launch;DIR' CONVKIT_CUDA=ON \\
      CONVKIT_CUDA_ARCHITECTURES='80-real;90a-real' pip install . -Cbuild-dir=BUILD

`check` also refuses, whatever the version, arithmetic that docs/numerics.md rules out: approximate
functions, subnormals flushed to zero, and a multiply or add that ptxas may fuse (no .rn).
"""

import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TABLE = ROOT / "bench" / "results" / "ptx.md"
COLUMNS = ("registers", "spilled", "stack", "shared", "fma", "mma", "cp.async", "bar")
COUNTED = {
    "fma": r"fma\.",
    "mma": r"(wg)?mma\.",
    "cp.async": r"cp\.async\.(ca|cg|bulk)\b",
    "bar": r"bar(rier)?\.(cta\.)?sync\b|bar(rier)?\.(cta\.)?red\b",
}
FORBIDDEN = r"\w[\w.]*\.(approx|ftz)\b[\w.]*|(add|sub|mul|mad)\.f(32|64)\b"
INSTRUCTION = r"^\s+(?:@!?%p\d+\s+)?(?:{})"
HEAD = """# What nvcc {} makes of the kernels

For sm_80 and sm_90a; two numbers where they differ. Bytes of spill stores, of stack and of static
shared memory; instructions counted in PTX. No kernel has an approximate function, a flush of
subnormals, or a multiply or add that ptxas may fuse. Not run on a GPU. Written by `bench/ptx.py`,
which says how."""
Rows = dict[
    str, dict[str, str]
]  # kernel -> column -> value, of both architectures where they differ


@dataclass
class Compiled:
    """What one source file became, by architecture and mangled name of the kernel."""

    source: str
    kernels: dict[str, dict[str, dict[str, int]]]
    forbidden: list[str]


def launch(folder: str, command: list[str]) -> int:
    """Runs the compiler; an object of a kernel file leaves its traces in a folder of its own."""
    source = next((word for word in command if word.endswith(".cu")), None)
    if source is None or "/ops/" not in source or "-c" not in command:
        return subprocess.run(command, check=False).returncode
    kept = Path(folder) / source[source.index("/ops/") + 5 :].replace("/", "+")
    kept.mkdir(parents=True, exist_ok=True)
    extra = ["--keep", "--keep-dir", str(kept), "-Xptxas=-v"]
    done = subprocess.run([*command, *extra], capture_output=True, text=True, check=False)
    (kept / "ptxas.txt").write_text(done.stdout + done.stderr)
    if done.returncode != 0:
        sys.stderr.write(done.stdout + done.stderr)
    return done.returncode


def resources(text: str) -> dict[str, dict[str, dict[str, int]]]:
    """Architecture -> kernel -> numbers, from what ptxas -v prints."""
    found: dict[str, dict[str, dict[str, int]]] = {}
    for part in re.split(r"Compiling entry function ", text)[1:]:
        head = re.match(r"'(\w+)' for '(sm_\w+)'", part)
        assert head, part[:200]
        numbers = {
            "registers": r"Used (\d+) registers",
            "spilled": r"(\d+) bytes spill stores",
            "stack": r"(\d+) bytes stack frame",
            "shared": r"(\d+) bytes smem",
        }
        found.setdefault(head[2], {})[head[1]] = {
            name: int(match[1]) if (match := re.search(pattern, part)) else 0
            for name, pattern in numbers.items()
        }
    return found


def instructions(ptx: str) -> dict[str, dict[str, int]]:
    """Kernel -> counts of instructions, from PTX."""
    counts = {}
    for match in re.finditer(r"\.entry (\w+)\(.*?^\{\n(.*?)^\}", ptx, re.MULTILINE | re.DOTALL):
        counts[match[1]] = {
            name: len(re.findall(INSTRUCTION.format(pattern), match[2], re.MULTILINE))
            for name, pattern in COUNTED.items()
        }
    return counts


def forbidden(ptx: str) -> list[str]:
    found = re.findall(INSTRUCTION.format(f"({FORBIDDEN})"), ptx, re.MULTILINE)
    return sorted({match[0] for match in found})


def read(folder: Path) -> Compiled:
    kernels = resources((folder / "ptxas.txt").read_text())
    wrong = []
    for path in sorted(folder.glob("*.ptx")):
        ptx = path.read_text()
        target = re.search(r"^\.target (sm_\w+)", ptx, re.MULTILINE)
        assert target, path
        wrong += [f"{target[1]}: {text}" for text in forbidden(ptx)]
        for kernel, counts in instructions(ptx).items():
            kernels[target[1]][kernel] |= counts
    return Compiled(folder.name.replace("+", "/"), kernels, wrong)


def demangled(names: list[str]) -> dict[str, str]:
    """Names without namespaces of ours, result and parameters."""
    done = subprocess.run(
        ["c++filt"], input="\n".join(names), capture_output=True, text=True, check=True
    )
    short = {}
    for name, text in zip(names, done.stdout.splitlines(), strict=True):
        text = re.sub(r"\(anonymous namespace\)::|ck::cuda::|ck::|^void ", "", text)
        depth, end = 0, len(text)
        for i, letter in enumerate(text):
            depth += (letter == "<") - (letter == ">")
            if letter == "(" and depth == 0:
                end = i
                break
        short[name] = text[:end].replace("|", "\\|")
    return short


def rows_of(compiled: Compiled) -> Rows:
    targets = sorted(compiled.kernels)
    names = demangled(sorted({name for target in targets for name in compiled.kernels[target]}))
    rows: Rows = {}
    for name, shown in names.items():
        row = {}
        for column in COLUMNS:
            values = [str(compiled.kernels[target][name][column]) for target in targets]
            row[column] = values[0] if len(set(values)) == 1 else " / ".join(values)
        assert shown not in rows, f"{compiled.source}: two kernels are called {shown}"
        rows[shown] = row
    return dict(sorted(rows.items()))


def text_of(files: dict[str, Rows], version: str) -> str:
    lines = [HEAD.format(version)]
    for source, rows in files.items():
        lines += ["", f"## {source}", "| kernel | " + " | ".join(COLUMNS) + " |"]
        lines.append("| --- |" + " ---: |" * len(COLUMNS))
        for name, row in rows.items():
            lines.append(f"| `{name}` | " + " | ".join(row[column] for column in COLUMNS) + " |")
    return "\n".join(lines) + "\n"


def parse(text: str) -> tuple[str, dict[str, Rows]]:
    """The version and the rows of a table."""
    head = re.match(r"# What nvcc (\S+) makes", text)
    assert head, "no version in the table's first line"
    files: dict[str, Rows] = {}
    for part in text.split("\n## ")[1:]:
        source, *lines = part.splitlines()
        files[source] = {}
        for line in lines:
            if match := re.match(r"\| `(.*)` \| (.*) \|$", line):
                values = match[2].split(" | ")
                files[source][match[1]] = dict(zip(COLUMNS, values, strict=True))
    return head[1], files


def differences(old: dict[str, Rows], new: dict[str, Rows]) -> list[str]:
    told = []
    for source in sorted(old.keys() | new.keys()):
        before, after = old.get(source, {}), new.get(source, {})
        for name in sorted(before.keys() | after.keys()):
            if name not in after:
                told.append(f"{source}: {name} is gone")
            elif name not in before:
                told.append(f"{source}: {name} is new")
            else:
                told += [
                    f"{source}: {name}: {column} was {before[name][column]}, is {value}"
                    for column, value in after[name].items()
                    if before[name][column] != value
                ]
    return told


def nvcc_version() -> str:
    text = subprocess.run(["nvcc", "--version"], capture_output=True, text=True, check=True).stdout
    match = re.search(r"V(\d+\.\d+\.\d+)", text)
    assert match, text
    return match[1]


def main(arguments: list[str]) -> int:
    if len(arguments) >= 3 and arguments[0] == "launch":
        return launch(arguments[1], arguments[2:])
    if len(arguments) != 2 or arguments[0] not in ("write", "check"):
        sys.stderr.write(__doc__ or "")
        return 2
    compiled = [read(path.parent) for path in sorted(Path(arguments[1]).glob("*/ptxas.txt"))]
    if not compiled:
        sys.stderr.write(f"{arguments[1]} holds no compiled kernel file\n")
        return 1
    wrong = [f"{one.source}: {text} is not allowed" for one in compiled for text in one.forbidden]
    files = {one.source: rows for one in compiled if (rows := rows_of(one))}
    version = nvcc_version()
    if arguments[0] == "write":
        TABLE.parent.mkdir(exist_ok=True)
        TABLE.write_text(text_of(files, version))
        told = []
    else:
        known, old = parse(TABLE.read_text())
        told = differences(old, files)
        if known != version and told:
            print(f"{len(told)} numbers differ from those of nvcc {known}; this one is {version}")
            told = []
    for line in wrong + told:
        print(line)
    if told:
        print("If that is meant: bench/ptx.py write, and commit the table.")
    kernels = sum(len(rows) for rows in files.values())
    print(f"{kernels} kernels in {len(files)} files, {len(wrong)} faults, {len(told)} differences")
    return 1 if wrong or told else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
