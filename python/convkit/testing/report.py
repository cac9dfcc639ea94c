"""What a validation found, and the words for it."""

from collections import Counter
from dataclasses import dataclass, field

from .examine import Case, Check
from .subjects import Stranger


@dataclass
class Failure:
    """Faults of one sort: the first one, its simplest form, where it is wrong and how often."""

    check: Check
    shrunk: Check
    places: list[str] = field(default_factory=list)
    cases: list[Case] = field(default_factory=list)
    when: str = ""
    file: str = ""
    unsaved: str = ""  # why there is no file

    @property
    def symptom(self) -> str:
        return self.check.faults[0].symptom


@dataclass
class Report:
    """What a validation found; str() says it in words."""

    seed: int = 0
    checks: list[Check] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    refusals: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)
    never_passed: tuple[str, ...] = ()
    cases: int = 0
    seconds: float = 0.0
    interrupted: bool = False

    @property
    def ok(self) -> bool:
        """Whether something was checked and all of it was right."""
        return not self.failures and any(not check.refusal for check in self.checks)

    def rows(self) -> dict[tuple[str, str, str], list[Check]]:
        """The checks by (function, algorithm, backend)."""
        found: dict[tuple[str, str, str], list[Check]] = {}
        for check in self.checks:
            found.setdefault(way_of(check), []).append(check)
        return dict(sorted(found.items()))

    @property
    def summary(self) -> str:
        """All of it in one line."""
        done = [check for check in self.checks if not check.refusal]
        failed = sum(not check.ok for check in done)
        broken = "interrupted: " if self.interrupted else ""
        found = "nothing was checked" if not done else f"{failed} failed" if failed else "all right"
        return (
            f"{broken}{self.cases} cases, {len(done)} checks: {found} "
            f"(seed {self.seed}, {self.seconds:.1f} s)"
        )

    def __str__(self) -> str:
        lines = [text for failure in self.failures for text in failure_lines(failure)]
        return "\n".join([*lines, *remarks(self), self.summary])


def failure_lines(failure: Failure) -> list[str]:
    """A failure in words, the reproducing line last."""
    check, shrunk = failure.check, failure.shrunk
    function, name, backend = way_of(check)
    if isinstance(check.subject, Stranger):
        who = f"{name} as {function}"
    else:
        who = f"{function} by {name} on {backend}" if name else function
    lines = [f"FAILED {who}: {', '.join(dict.fromkeys(f.symptom for f in check.faults))}"]
    lines.append(f"  at {check.case.problem.line} {check.case.options}")
    lines += [f"  - {fault.text}" for fault in check.faults]
    lines += [f"  - {place}" for place in failure.places]
    if failure.when:
        lines.append(f"  - fails {failure.when}")
    if len(failure.cases) > 1:
        lines.append(f"  - {len(failure.cases)} cases fail so")
    if shrunk.case != check.case:
        lines.append(f"  simplest: {shrunk.case.problem.line}: {shrunk.faults[0].text}")
    if failure.file:
        lines.append(f"  inputs: {failure.file}")
    if failure.unsaved:
        lines.append(f"  inputs could not be saved: {failure.unsaved}")
    lines.append(f"  repeat: {shrunk.reproducer}")
    return lines


def remarks(report: Report) -> list[str]:
    """What was not tried, and why."""
    lines = []
    if report.never_passed:
        lines.append(
            f"never passed, as there is no such parameter: {', '.join(report.never_passed)}"
        )
    for text, counts in (("refused", report.refusals), ("skipped", report.skipped)):
        lines += [f"{text} {count} times: {reason}" for reason, count in counts.most_common(8)]
    return lines


def way_of(check: Check) -> tuple[str, str, str]:
    subject = check.subject
    return check.case.function, subject.name if subject else "", subject.backend if subject else ""
