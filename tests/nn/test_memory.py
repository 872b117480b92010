"""Cluster memories against loops over clusters, and what the public update does instead; memories of batches."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from limbeck.nn import CrossBatchMemory, cluster_means, moved_prototypes

CLUSTERS, SAMPLES, FEATURES = 4, 9, 6
LABELS = torch.tensor([0, 2, 2, -1, 0, 3, 2, -1, 3])  # nobody is of cluster 1


def _unit(seed: int, rows: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(rows, FEATURES, generator=generator, dtype=torch.float64), dim=1)


def test_means_are_those_of_the_members() -> None:
    points = _unit(0, SAMPLES)
    found = cluster_means(points, LABELS, CLUSTERS)
    for cluster in (0, 2, 3):
        torch.testing.assert_close(found[cluster], F.normalize(points[_of(cluster)].mean(0), dim=0))
    assert found[1].abs().max() == 0


def _of(cluster: int) -> Tensor:
    return LABELS.eq(cluster)


@pytest.mark.parametrize("movers", ["mean", "hardest"])
@pytest.mark.parametrize("kept", [0.0, 0.1, 0.9, 1.0])
def test_prototypes_move_all_at_once(movers: str, kept: float) -> None:
    prototypes, points = _unit(1, CLUSTERS), _unit(2, SAMPLES)
    found = moved_prototypes(prototypes, points, LABELS, kept=kept, movers=movers)
    for cluster in range(CLUSTERS):
        members = points[_of(cluster)]
        if not len(members):
            assert torch.equal(found[cluster], prototypes[cluster])
            continue
        if movers == "mean":
            toward = F.normalize(members.mean(0), dim=0)
        else:
            toward = min(members, key=lambda point: (point @ prototypes[cluster]).item())
        expected = F.normalize(kept * prototypes[cluster] + (1 - kept) * toward, dim=0)
        torch.testing.assert_close(found[cluster], expected)
    order = torch.tensor([4, 8, 0, 2, 1, 6, 5, 3, 7])
    torch.testing.assert_close(
        moved_prototypes(prototypes, points[order], LABELS[order], kept=kept, movers=movers), found
    )


def test_no_gradient_flows_and_the_old_prototypes_stay() -> None:
    prototypes, points = _unit(3, CLUSTERS), _unit(4, SAMPLES).requires_grad_()
    before = prototypes.clone()
    found = moved_prototypes(prototypes, points, LABELS)
    assert not found.requires_grad
    assert torch.equal(prototypes, before)
    assert (found - prototypes).abs().max() > 0.1


@pytest.mark.parametrize("movers", ["mean", "hardest"])
def test_a_batch_of_nobody_moves_nothing(movers: str) -> None:
    prototypes = _unit(5, CLUSTERS)
    for labels, points in ((torch.full((3,), -1), _unit(6, 3)), (torch.zeros(0, dtype=torch.long), _unit(6, 0))):
        assert torch.equal(moved_prototypes(prototypes, points, labels, movers=movers), prototypes)


@pytest.mark.parametrize(("options", "message"), [({"kept": 1.5}, "kept must be"), ({"movers": "x"}, "movers must be")])
def test_wrong_parameters_are_refused_by_name(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        moved_prototypes(_unit(7, CLUSTERS), _unit(8, SAMPLES), LABELS, **options)


def test_a_memory_keeps_the_newest_without_their_gradient() -> None:
    memory = CrossBatchMemory(4)
    given: list[Tensor] = []
    for start in range(0, 9, 3):
        batch = torch.arange(start, start + 3.0).view(3, 1).requires_grad_()
        given.append(batch)
        memory.push(batch, torch.arange(start, start + 3))
        assert len(memory) == min(4, start + 3)
    assert memory.embeddings.flatten().tolist() == memory.labels.tolist() == [5, 6, 7, 8]
    assert not memory.embeddings.requires_grad
    other = CrossBatchMemory(4)
    other.restore(memory.state())
    other.push(torch.zeros(1, 1), torch.zeros(1, dtype=torch.int64))
    assert memory.labels.tolist() == [5, 6, 7, 8]
    with pytest.raises(ValueError, match="size"):
        CrossBatchMemory(0)
