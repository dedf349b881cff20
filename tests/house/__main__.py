"""Apply the rules of the house to the project: one line for every finding, exit status 1 if there are any."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.house.rules import RULES
from tests.house.source import PROJECT, project_sources


def main(project: Path) -> int:
    findings = [
        (rule.__name__, finding)
        for source in project_sources(project)
        for rule in RULES
        for finding in rule(source)
    ]
    for name, finding in findings:
        print(f"{finding}  [{name}]")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else PROJECT))
