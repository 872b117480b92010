"""What can be read of identities while a re-identification network learns: of held-out people alone."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from limbeck.errors import InputError
from limbeck.information import cross_fitted_information
from limbeck.information.curve import TABLE, read_information
from limbeck.reid.evaluation import embed_split
from limbeck.reid.recipe import ReidRecipe
from limbeck.reid.runs import load_run
from limbeck.reid.sets import load_people
from limbeck.reid.splits import split_identities
from limbeck.reid.train import make_task, train_run
from limbeck.tensorfiles import read_tensors
from limbeck.training.loop import Measurable


@pytest.fixture(scope="module")
def watched(small_recipe: ReidRecipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small training, measured before the first step and after the last."""
    folder = tmp_path_factory.mktemp("watched")
    recipe = replace(small_recipe, training=replace(small_recipe.training, information_epochs=3))
    train_run(recipe, folder)
    return folder


@pytest.mark.slow
def test_the_identity_is_read_from_v_and_z_of_every_branch(watched: Path, small_run: Path) -> None:
    rows = read_information(watched / TABLE)
    names = ["v specific", "v shared", "z specific", "z shared"]
    assert [(row.step, row.name) for row in rows] == [(step, name) for step in (0, 6) for name in names]
    assert all(row.entropy == pytest.approx(np.log(3)) for row in rows)  # three people, equally many pictures
    assert (watched / "information.png").is_file()
    with (watched / "epochs.csv").open() as stream:
        assert float(list(csv.DictReader(stream))[-1]["information_z shared"]) == rows[-1].nats
    # Nothing of the training is changed by it.
    first, second = (
        read_tensors(run / "model.safetensors", format="limbeck-reid-1", what="model")[1]
        for run in (watched, small_run)
    )
    assert all(torch.equal(value, second[name]) for name, value in first.items())


@pytest.mark.slow
def test_what_is_measured_is_what_evaluation_embeds_of_the_people_held_out(watched: Path) -> None:
    embedded = embed_split(load_run(watched), watched, split="held_out")
    last = [row for row in read_information(watched / TABLE) if row.step == 6]
    read = cross_fitted_information(embedded.representations["z shared"], embedded.features.identity)
    assert last[-1].nats == pytest.approx(read.nats, abs=1e-6)


def test_nobody_who_is_learned_from_is_measured(small_recipe: ReidRecipe, tmp_path: Path) -> None:
    task = make_task(small_recipe, tmp_path)
    assert isinstance(task, Measurable)
    with torch.no_grad():
        held_out = task.held_out_representations(task.network.eval())
    split = split_identities(load_people("sysu", Path(small_recipe.data.root)), small_recipe.data, 0)
    assert np.array_equal(held_out.labels, task.people.identity[split.held_out])
    assert not set(np.asarray(held_out.labels).tolist()) & set(task.identities.tolist())
    modalities = task.people.modality[split.held_out]
    assert set(modalities.tolist()) == {0, 1}
    assert all(len(np.asarray(values)) == len(modalities) for values in held_out.representations.values())


@pytest.mark.parametrize("held_out", [0, 1])
def test_without_people_held_out_one_line_says_what_to_set(
    small_recipe: ReidRecipe, tmp_path: Path, held_out: int
) -> None:
    recipe = replace(
        small_recipe,
        data=replace(small_recipe.data, held_out=held_out),
        training=replace(small_recipe.training, information_epochs=1),
    )
    with pytest.raises(InputError, match=r"set data\.held_out to at least 2") as caught:
        train_run(recipe, tmp_path)
    assert len(str(caught.value).splitlines()) == 1
