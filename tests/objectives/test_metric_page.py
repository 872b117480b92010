"""`docs/metric.md` and `docs/equations.md` name tests and functions that exist, and leave out none of the theory."""

import re
from pathlib import Path

from tests.objectives import test_external, test_metric_theory, test_pairwise_cross_entropy

from limbeck import objectives

DOCS = Path(__file__).parents[2] / "docs"
THEORY = (DOCS / "metric.md").read_text()
EQUATIONS = (DOCS / "equations.md").read_text().split("## Deep metric learning")[1].split("\n## ")[0]


def test_the_page_names_tests_that_exist() -> None:
    named = set(re.findall(r"`(test_\w+)`", THEORY))
    assert len(named) > 15
    modules = (test_metric_theory, test_pairwise_cross_entropy, test_external)
    assert named <= {name for module in modules for name in vars(module)}


def test_every_equation_has_a_function_and_a_file_of_tests() -> None:
    files = set(re.findall(r"`(test_\w+\.py)`", EQUATIONS))
    assert files
    assert all((Path(__file__).parent / name).is_file() for name in files)
    named = set(re.findall(r"`([a-z_]+)`", EQUATIONS.replace("limbeck.objectives.", "")))
    of_modules = {
        name
        for name in objectives.__all__
        if getattr(objectives, name).__module__.rpartition(".")[2]
        in ("distance_losses", "neighbourhood", "pairwise_cross_entropy", "proxies")
    }
    assert len(of_modules) > 20
    assert of_modules <= named
    assert named - of_modules <= {"cross_entropy", "prototype_logits", "references", "mining"}
