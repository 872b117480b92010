"""The critic: which pairs it scores, and that it learns to tell dependent pairs from independent ones."""

import math

import pytest
import torch
from torch import Tensor

from limbeck.nn import PairCritic
from limbeck.objectives import jensen_shannon_information


def _normal(generator: torch.Generator, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=generator)


def _critic(generator: torch.Generator) -> PairCritic:
    critic = PairCritic(2, 1, hidden=(32,))
    with torch.no_grad():
        for parameter in critic.parameters():
            parameter.copy_(0.3 * _normal(generator, *parameter.shape))
    return critic


def test_scores_belong_to_each_sample_and_to_each_with_the_next() -> None:
    generator = torch.Generator().manual_seed(0)
    critic, v, z = _critic(generator), _normal(generator, 5, 2), _normal(generator, 5, 1)
    scores = critic(v, z)
    assert (scores.joint.shape, scores.product.shape) == ((5,), (5,))
    for i in range(5):
        for other, score in ((i, scores.joint[i]), ((i + 1) % 5, scores.product[i])):
            expected = critic.score(torch.cat([v[i], z[other]]))
            torch.testing.assert_close(score, expected[0])


def test_size_is_that_of_its_layers() -> None:
    """(2048 + 256 + 1) 1024 + (1024 + 1) 512 + (512 + 1) = 2 360 320 + 524 800 + 513."""
    assert sum(parameter.numel() for parameter in PairCritic(2048, 256).parameters()) == 2_885_633


@pytest.mark.parametrize(("observations", "representations"), [(5, 4), (1, 1), (0, 0)])
def test_pairs_that_do_not_match_and_single_samples_are_refused(observations: int, representations: int) -> None:
    with pytest.raises(ValueError, match=rf"two or more samples, got {observations} and {representations}"):
        PairCritic(2, 1, hidden=(4,))(torch.zeros(observations, 2), torch.zeros(representations, 1))


@pytest.mark.parametrize("dependent", [True, False])
def test_learns_to_tell_dependent_pairs_from_independent_ones(dependent: bool) -> None:
    """Unable to tell, the best critic scores 0 and I_JS = -2 log 2 = -1.386; the scores below are of fresh samples."""
    generator = torch.Generator().manual_seed(1)
    critic = _critic(generator)
    optimizer = torch.optim.Adam(critic.parameters(), lr=1e-2)

    def pairs(count: int) -> tuple[Tensor, Tensor]:
        v = _normal(generator, count, 2)
        source = v if dependent else _normal(generator, count, 2)
        return v, source[:, :1] + source[:, 1:] + 0.3 * _normal(generator, count, 1)

    for _ in range(300):
        loss = -jensen_shannon_information(*critic(*pairs(128)))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        information = jensen_shannon_information(*critic(*pairs(4000))).item()
    if dependent:
        assert information > -2 * math.log(2) + 0.4
    else:
        assert -2 * math.log(2) - 0.1 < information < -2 * math.log(2) + 0.05


def test_size_with_batch_normalisation_is_that_of_the_published_table() -> None:
    """(2560 + 1) 2048 + (2048 + 1) 512 + (512 + 1), and 2 (2048 + 512) of batch normalisation: "MIE", 2021 Table 4."""
    critic = PairCritic(2048, 512, hidden=(2048, 512), normalization="batch")
    assert sum(parameter.numel() for parameter in critic.parameters()) == 6_299_649


def test_batch_normalisation_measures_both_kinds_of_pairs_by_the_same_moments() -> None:
    generator = torch.Generator().manual_seed(2)
    critic = PairCritic(2, 1, hidden=(8,), normalization="batch")
    v, z = _normal(generator, 5, 2), _normal(generator, 5, 1)
    scores = critic(v, z)
    both = torch.cat([torch.cat([v, z], 1), torch.cat([v, z.roll(-1, 0)], 1)])
    hidden = critic.score[0](both)
    hidden = ((hidden - hidden.mean(0)) / (hidden.var(0, unbiased=False) + 1e-5).sqrt()).clamp(min=0)
    torch.testing.assert_close(torch.cat(scores), critic.score[3](hidden).squeeze(-1))
    assert critic.score[1].num_batches_tracked == 1


def test_without_normalisation_the_names_of_the_state_are_as_ever() -> None:
    assert list(PairCritic(2, 1, hidden=(4,)).state_dict()) == [
        "score.0.weight",
        "score.0.bias",
        "score.2.weight",
        "score.2.bias",
    ]
    with pytest.raises(ValueError, match="normalization must be 'none' or 'batch'"):
        PairCritic(2, 1, normalization="layer")
