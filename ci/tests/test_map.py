"""The map of `utils` names every module once."""

from __future__ import annotations

import re

from utils.settings import ROOT


def test_map_of_utils_is_complete() -> None:
    listed = re.findall(
        r"^- \[`(\w+)`\]\(\1\.py\): \S", (ROOT / "utils" / "README.md").read_text("utf-8"), re.MULTILINE
    )
    modules = {path.stem for path in (ROOT / "utils").glob("*.py")} - {"__init__"}
    assert sorted(listed) == sorted(modules)
