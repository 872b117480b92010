"""Normalisation of pictures: the mean colour of ImageNet, or each picture's own mean and deviation."""

import pytest
import torch

from limbeck.nn import PictureNormalization
from limbeck.nn.normalization import FLAT


def test_imagenet_takes_its_mean_and_deviation_off_every_channel() -> None:
    pictures = torch.rand(2, 3, 4, 5)
    found = PictureNormalization("imagenet")(pictures)
    for channel, (mean, deviation) in enumerate([(0.485, 0.229), (0.456, 0.224), (0.406, 0.225)]):
        torch.testing.assert_close(found[:, channel], (pictures[:, channel] - mean) / deviation)


def test_picture_leaves_no_brightness_and_next_to_no_contrast() -> None:
    pictures = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    normalise = PictureNormalization("picture")
    deviation = pictures.std(dim=(1, 2, 3), keepdim=True)
    # Half the contrast is half the deviation, to which the same is added.
    less = (deviation + FLAT) / (deviation + FLAT / 0.5)
    torch.testing.assert_close(normalise(0.5 * pictures + 0.2), less * normalise(pictures), atol=1e-5, rtol=1e-5)
    assert less.min() > 0.9
    torch.testing.assert_close(normalise(pictures).mean(dim=(1, 2, 3)), torch.zeros(2), atol=1e-5, rtol=0)
    assert not normalise(torch.full((1, 3, 2, 2), 0.3)).any()  # an empty picture stays finite


def test_nothing_of_it_is_in_a_network_s_state() -> None:
    assert not PictureNormalization().state_dict()
    with pytest.raises(ValueError, match="kind"):
        PictureNormalization("none")  # type: ignore[arg-type]
