"""Prints, zips, faces and hairlines: where on a round surface its second material is."""

from __future__ import annotations

import math

import numpy as np

from limbeck.synthetic.people.factors import Print
from limbeck.synthetic.people.paint import Array, Field, soft_step


def printed(pattern: Print, radius: float, length: float) -> Field | None:
    """The second material's share of a print on a garment of this radius and length in metres; None where plain."""
    frequency, angle = pattern.frequency, math.radians(pattern.angle)

    def stripes(along: Array, azimuth: Array, pixel: float) -> Array:
        around = np.radians(azimuth) * radius
        return _bars(along * math.cos(angle) + around * math.sin(angle), frequency, pattern.duty, pixel)

    def checks(along: Array, azimuth: Array, pixel: float) -> Array:
        down = _bars(along, frequency, pattern.duty, pixel)
        round_ = _bars(np.radians(azimuth) * radius, frequency, pattern.duty, pixel)
        return (down + round_) / 2

    def logo(along: Array, azimuth: Array, pixel: float) -> Array:
        aside = np.radians(_turned(azimuth, pattern.place)) * radius
        return soft_step(pattern.width / 2 - np.abs(aside), pixel) * soft_step(
            pattern.tall / 2 - np.abs(along - pattern.level * length), pixel
        )

    def patches(along: Array, azimuth: Array, pixel: float) -> Array:
        around = np.radians(azimuth) * radius
        rate = math.pi * frequency
        waves = np.sin(rate * along + 1.7 * np.sin(0.8 * rate * around)) + np.sin(rate * around + pattern.place)
        return soft_step(waves / rate - (0.4 - pattern.duty) / frequency, pixel)

    def block(along: Array, azimuth: Array, pixel: float) -> Array:
        del azimuth
        return soft_step(along - pattern.level * length, pixel)

    fields: dict[str, Field] = {"stripes": stripes, "checks": checks, "logo": logo, "patches": patches, "block": block}
    return fields.get(pattern.kind)


def opened(half_angle: float) -> Field:
    """The front between the two sides of an open garment."""

    def front(along: Array, azimuth: Array, pixel: float) -> Array:
        del along, pixel
        return soft_step(half_angle - np.abs(azimuth), 4.0)

    return front


def hair_mask(fringe: float, tall: float) -> Field:
    """The part of a head of height `tall` that hair covers: the top, lower at the sides, all of the back."""
    front = tall * (0.12 + 0.2 * fringe)
    back = 0.78 * tall

    def mask(along: Array, azimuth: Array, pixel: float) -> Array:
        behind = np.clip((np.abs(azimuth) - 45) / 60, 0, 1)
        line = front + (back - front) * behind
        return soft_step(line - along, pixel)

    return mask


def face_features(tall: float) -> Field:
    """The eyes and the mouth of a head of height `tall`."""

    def features(along: Array, azimuth: Array, pixel: float) -> Array:
        eyes = soft_step(8 - np.abs(np.abs(azimuth) - 24), 4.0) * soft_step(
            0.035 * tall - np.abs(along - 0.48 * tall), pixel
        )
        mouth = soft_step(14 - np.abs(azimuth), 4.0) * soft_step(0.02 * tall - np.abs(along - 0.76 * tall), pixel)
        return 0.7 * np.maximum(eyes, mouth)

    return features


def top_mask(share: float, tall: float) -> Field:
    """The upper `share` of a head of height `tall`."""

    def mask(along: Array, azimuth: Array, pixel: float) -> Array:
        del azimuth
        return soft_step(share * tall - along, pixel)

    return mask


def _bars(place: Array, frequency: float, duty: float, pixel: float) -> Array:
    """1 within bars, 0 between them, with edges one pixel wide."""
    from_centre = np.abs((place * frequency) % 1 - 0.5) / frequency
    return soft_step(duty / 2 / frequency - from_centre, pixel)


def _turned(azimuth: Array, centre: float) -> Array:
    return (azimuth - centre + 180) % 360 - 180
