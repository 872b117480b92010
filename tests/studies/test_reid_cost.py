"""What objectives of re-identification cost: ratios, parameters, report."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from limbeck.errors import InputError
from limbeck.studies.people import small_recipe
from limbeck.studies.reid_cost.report import format_report, write_report
from limbeck.studies.reid_cost.run import Cost, ReidCostResult, ReidCostSettings, run


@pytest.mark.slow
def test_costs_are_relative_to_the_first_row() -> None:
    recipe = replace(small_recipe(), data=replace(small_recipe().data, height=32, width=16, identities=2, pictures=2))
    settings = ReidCostSettings(recipe=recipe, classes=4, repeats=1)
    result = run(settings, Path())
    costs = result.costs
    assert [cost.row for cost in costs] == ["E", "E+B", "VD", "CIB"]
    assert costs[0].ratio == 1
    assert costs[1].parameters == costs[2].parameters < costs[3].parameters
    assert "1.09" in format_report(result)
    with pytest.raises(InputError):
        ReidCostSettings(repeats=0)


def test_the_report_holds_every_cost(tmp_path: Path) -> None:
    result = ReidCostResult(ReidCostSettings(), (Cost("E", 1.5, 1.0, 1000), Cost("VD", 1.65, 1.1, 2000)))
    files = write_report(result, tmp_path)
    assert [file.name for file in files] == ["reid-cost.json", "reid-cost.txt"]
    held = json.loads(files[0].read_text())
    assert held["costs"][1] == {"row": "VD", "seconds": 1.65, "ratio": 1.1, "parameters": 2000}
    assert files[1].read_text() == format_report(result)
