"""Rules of the house that no compiler checks: layers, the parts of an op, the public surface."""

import ast
import inspect
from pathlib import Path

import pytest

import convkit
from convkit import _native, ops, reference, testing

PACKAGE = Path(convkit.__file__).parent
ROOT = Path(__file__).parents[1]

# A module may import modules of a lower layer, and its own package.
LAYERS = {
    "_native": 0,
    "arrays": 1,
    "autograd": 1,
    "dispatch": 2,
    "threads": 2,
    "recorded": 3,
    "ops": 4,
    "nn": 5,
    "optim": 5,
    "queries": 6,
    "testing": 7,
    "explanation": 8,
    "apps": 9,
    "cli": 10,
}
# An oracle that shares code with what it checks proves nothing.
INDEPENDENT = {"reference"}
# Lazy imports inside a function: the reference backend runs the references, Tensors are recorded.
ALLOWED_UPWARD = {("dispatch", "reference"), ("dispatch", "recorded")}

SECTIONS = ("Args:", "Returns:", "Raises:", ">>>")


def imports_of(path: Path) -> set[str]:
    """First parts below `convkit` of everything a file imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        found |= {name.split(".")[1] for name in names if name.startswith("convkit.")}
    return found


def modules():
    for path in sorted(PACKAGE.rglob("*.py")):
        part = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        if part != "__init__":
            yield pytest.param(path, part, id=str(path.relative_to(PACKAGE)))


@pytest.mark.parametrize(("path", "part"), list(modules()))
def test_imports_point_down(path, part):
    for target in imports_of(path) - {part, "__version__"}:
        if part in INDEPENDENT:
            pytest.fail(f"{path.name} imports convkit.{target}, but {part} stands alone")
        if (part, target) in ALLOWED_UPWARD:
            continue
        if target in INDEPENDENT:
            assert LAYERS[part] >= LAYERS["testing"], f"{path.name} imports the references"
            continue
        assert target in LAYERS, f"{path.name} imports convkit.{target}, which has no layer"
        assert LAYERS[target] < LAYERS[part], f"{path.name} imports convkit.{target} above it"


@pytest.mark.parametrize("name", sorted(ops.FUNCTIONS))
def test_an_op_has_a_reference_with_the_same_parameters(name):
    parameters = set(inspect.signature(ops.FUNCTIONS[name]).parameters)
    own = {"precision", "algo", "max_workspace", "out"}
    assert own < parameters
    parameters -= own
    assert set(inspect.signature(getattr(reference, name)).parameters) == parameters


@pytest.mark.parametrize("name", sorted(ops.FUNCTIONS))
def test_an_op_documents_all_sections(name):
    text = ops.FUNCTIONS[name].__doc__
    missing = [section for section in SECTIONS if section not in text]
    assert not missing, f"{name}'s docstring lacks {missing}"


@pytest.mark.parametrize("op", [op for op in _native.ops() if op != "copy"])
def test_an_op_has_its_files_and_rows(op):
    assert (ROOT / "csrc" / "ops" / op).is_dir()
    assert (PACKAGE / "ops" / f"{op}.py").is_file()
    assert (ROOT / "tests" / "ops" / f"test_{op}.py").is_file()
    assert testing.problems(op), f"no problem rows for {op}"
    backends = {row["backend"] for row in _native.algorithms(op)}
    assert {"cpu", "simt"} <= backends
    assert ("cuda" in backends) == _native.with_cuda


def test_every_op_is_public():
    assert set(ops.FUNCTIONS) <= set(convkit.__all__)
    assert sorted(convkit.__all__) == convkit.__all__


def test_the_readme_names_every_public_function():
    readme = (ROOT / "README.md").read_text()
    missing = [name for name in convkit.__all__ if f"`{name}" not in readme]
    assert not missing, f"README.md does not name {missing}"


def test_the_stub_names_everything_in_the_extension():
    stub = ast.parse((PACKAGE / "_native.pyi").read_text())
    declared = set()
    for node in stub.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            declared.add(node.name)
        elif isinstance(node, ast.AnnAssign):
            declared.add(node.target.id)
    actual = {name for name in dir(_native) if not name.startswith("_")}
    assert actual == declared
    plan = next(n for n in stub.body if isinstance(n, ast.ClassDef) and n.name == "Plan")
    members = {n.name for n in plan.body if isinstance(n, ast.FunctionDef)}
    assert {name for name in dir(_native.Plan) if not name.startswith("_")} == members


def test_files_stay_readable():
    long = []
    for folder in (ROOT / "csrc", ROOT / "python", ROOT / "tests"):
        for path in folder.rglob("*"):
            if path.suffix in {".py", ".cpp", ".cu", ".cuh", ".h"}:
                lines = path.read_text().count("\n")
                if lines > 600:
                    long.append(f"{path.relative_to(ROOT)}: {lines}")
    assert not long, f"split these: {long}"
