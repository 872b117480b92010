"""Casting rays: exact intersections with the surfaces of a world, and the two sensors' loops over them."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from limbeck.jit import jit
from limbeck.synthetic.streets.factors import CELL, KERB
from limbeck.synthetic.streets.world import (
    ASPHALT,
    BANDS,
    BOX,
    ELLIPSOID,
    GLASS,
    GRASS,
    LEAVES,
    LYING,
    PAVING,
    PLANKS,
    UPRIGHT,
    WHEEL,
    WINDOWS,
)

Array = NDArray[np.float64]
Integers = NDArray[np.int64]
_FAR = 1e9


@jit
def box(ox: float, oy: float, oz: float, dx: float, dy: float, dz: float, hx: float, hy: float, hz: float):  # type: ignore[no-untyped-def]
    """Where the ray o + t d enters the box |x| <= hx, |y| <= hy, |z| <= hz: t (negative: nowhere) and the normal."""
    enter, leave = -_FAR, _FAR
    axis, sign = 0, 1.0
    for k in range(3):
        o = ox if k == 0 else (oy if k == 1 else oz)
        d = dx if k == 0 else (dy if k == 1 else dz)
        h = hx if k == 0 else (hy if k == 1 else hz)
        if abs(d) < 1e-12:
            if abs(o) > h:
                return -1.0, 0.0, 0.0, 0.0
            continue
        near = (-h - o) / d if d > 0 else (h - o) / d
        far = (h - o) / d if d > 0 else (-h - o) / d
        if near > enter:
            enter, axis, sign = near, k, -1.0 if d > 0 else 1.0
        leave = min(leave, far)
    if enter > leave or enter <= 0:
        return -1.0, 0.0, 0.0, 0.0
    return enter, sign if axis == 0 else 0.0, sign if axis == 1 else 0.0, sign if axis == 2 else 0.0


@jit
def cylinder(ox: float, oy: float, oz: float, dx: float, dy: float, dz: float, hx: float, hy: float, hz: float):  # type: ignore[no-untyped-def]
    """Where the ray enters the cylinder (x/hx)^2 + (y/hy)^2 <= 1, |z| <= hz: t (negative: nowhere) and the normal."""
    px, py, qx, qy = ox / hx, oy / hy, dx / hx, dy / hy
    a, b, c = qx * qx + qy * qy, px * qx + py * qy, px * px + py * py - 1
    enter, leave, cap = -_FAR, _FAR, False
    if a < 1e-18:
        if c > 0:
            return -1.0, 0.0, 0.0, 0.0
    else:
        root = b * b - a * c
        if root < 0:
            return -1.0, 0.0, 0.0, 0.0
        root = math.sqrt(root)
        enter, leave = (-b - root) / a, (-b + root) / a
    if abs(dz) < 1e-12:
        if abs(oz) > hz:
            return -1.0, 0.0, 0.0, 0.0
    else:
        near = (-hz - oz) / dz if dz > 0 else (hz - oz) / dz
        leave = min(leave, (hz - oz) / dz if dz > 0 else (-hz - oz) / dz)
        if near > enter:
            enter, cap = near, True
    if enter > leave or enter <= 0:
        return -1.0, 0.0, 0.0, 0.0
    if cap:
        return enter, 0.0, 0.0, -1.0 if dz > 0 else 1.0
    nx, ny = (px + enter * qx) / hx, (py + enter * qy) / hy
    length = math.sqrt(nx * nx + ny * ny)
    return enter, nx / length, ny / length, 0.0


@jit
def ellipsoid(ox: float, oy: float, oz: float, dx: float, dy: float, dz: float, hx: float, hy: float, hz: float):  # type: ignore[no-untyped-def]
    """Where the ray enters (x/hx)^2 + (y/hy)^2 + (z/hz)^2 <= 1: t (negative: nowhere) and the normal."""
    px, py, pz, qx, qy, qz = ox / hx, oy / hy, oz / hz, dx / hx, dy / hy, dz / hz
    a, b, c = qx * qx + qy * qy + qz * qz, px * qx + py * qy + pz * qz, px * px + py * py + pz * pz - 1
    root = b * b - a * c
    if root < 0:
        return -1.0, 0.0, 0.0, 0.0
    enter = (-b - math.sqrt(root)) / a
    if enter <= 0:
        return -1.0, 0.0, 0.0, 0.0
    nx, ny, nz = (px + enter * qx) / hx, (py + enter * qy) / hy, (pz + enter * qz) / hz
    length = math.sqrt(nx * nx + ny * ny + nz * nz)
    return enter, nx / length, ny / length, nz / length


@jit
def ground(ox: float, oy: float, oz: float, dx: float, dy: float, dz: float, half: float):  # type: ignore[no-untyped-def]
    """Where the ray meets the road, a kerb or what lies beside it.

    Returns:
        t (negative: nowhere), the side (0: the road, 1: left, -1: right), and the normal.
    """
    if dz < -1e-12:
        t = -oz / dz
        if abs(oy + t * dy) < half:
            best, side = t, 0
        else:
            best = (KERB - oz) / dz
            side = 1 if oy + best * dy > 0 else -1
            if abs(oy + best * dy) < half:  # below the top of the kerb, above the road: its face
                side = 1 if dy > 0 else -1
                return (side * half - oy) / dy, side, 0.0, -1.0 * side, 0.0
        return best, side, 0.0, 0.0, 1.0
    return -1.0, 0, 0.0, 0.0, 0.0


@jit
def nearest(  # type: ignore[no-untyped-def]
    ox: float, oy: float, oz: float, dx: float, dy: float, dz: float, shapes: Array, kinds: Integers,
    starts: Integers, members: Integers, near: Integers, half: float, limit: float,
):  # fmt: skip
    """The nearest surface on a ray: t, its part (-1: the ground, -2: none), the ground's side, and the normal."""
    best, side, nx, ny, nz = ground(ox, oy, oz, dx, dy, dz, half)
    part = -1
    if best <= 0 or best > limit:
        best, part = limit, -2
    flat = math.sqrt(dx * dx + dy * dy)
    bins = starts.shape[0] - 1
    place = int((math.atan2(dy, dx) / (2 * math.pi) % 1.0) * bins) % bins
    for at in range(starts[place], starts[place + 1]):
        k = members[at]
        if best * flat < 1e-3 * near[k]:
            break  # whatever follows begins behind what was hit
        row = shapes[k]
        x, y, z, c, s = ox - row[0], oy - row[1], oz - row[2], row[3], row[4]
        lx, ly, mx, my = c * x + s * y, c * y - s * x, c * dx + s * dy, c * dy - s * dx
        if kinds[k] == BOX:
            t, ax, ay, az = box(lx, ly, z, mx, my, dz, row[5], row[6], row[7])
        elif kinds[k] == UPRIGHT:
            t, ax, ay, az = cylinder(lx, ly, z, mx, my, dz, row[5], row[6], row[7])
        elif kinds[k] == LYING:
            t, ay, az, ax = cylinder(ly, z, lx, my, dz, mx, row[6], row[7], row[5])
        elif kinds[k] == ELLIPSOID:
            t, ax, ay, az = ellipsoid(lx, ly, z, mx, my, dz, row[5], row[6], row[7])
        else:
            continue
        if 0 < t < best:
            best, part = t, k
            nx, ny, nz = c * ax - s * ay, s * ax + c * ay, az
    return best, part, side, nx, ny, nz


@jit
def owner(part: int, side: int, x: float, owners: Integers, cells: Integers, start: float, things: int) -> int:
    """Which thing was hit; the last one is the road."""
    if part >= 0:
        return int(owners[part])
    if side == 0:
        return things - 1
    place = min(max(math.floor((x - start) / CELL), 0), cells.shape[1] - 1)
    return int(cells[0 if side > 0 else 1, place])


@jit
def scan(  # type: ignore[no-untyped-def]
    origin: Array, directions: Array, shapes: Array, kinds: Integers, owners: Integers, starts: Integers,
    members: Integers, near: Integers, cells: Integers, start: float, half: float, things: int, limit: float,
):  # fmt: skip
    """What a LiDAR's rays hit.

    Returns:
        `(rays,)` range in metres (0: nothing), thing, and cosine of the angle of incidence.
    """
    count = directions.shape[0]
    ranges, hit, facing = np.zeros(count), np.zeros(count, np.int64), np.zeros(count)
    for k in range(count):
        dx, dy, dz = directions[k]
        t, part, side, nx, ny, nz = nearest(
            origin[0], origin[1], origin[2], dx, dy, dz, shapes, kinds, starts, members, near, half, limit
        )
        if part != -2:
            ranges[k] = t
            hit[k] = owner(part, side, origin[0] + t * dx, owners, cells, start, things)
            facing[k] = abs(nx * dx + ny * dy + nz * dz)
    return ranges, hit, facing


@jit
def noise(i: int, j: int, k: int) -> float:
    """A number in [0, 1) that looks random, the same for the same three."""
    value = (i * 73856093) ^ (j * 19349663) ^ (k * 83492791)
    value = (value ^ (value >> 13)) & 0xFFFFFFFF
    value = (value * 0x5BD1E995) & 0xFFFFFFFF
    value = (value ^ (value >> 15)) & 0xFFFFFFFF
    return (value & 0xFFFF) / 65536.0


@jit
def painted(  # type: ignore[no-untyped-def]
    paint: int, x: float, y: float, z: float, lx: float, ly: float, nx: float, ny: float, nz: float, ax: float,
    depth: float, colours: Array, foot: float, tall: float, half: float,
):  # fmt: skip
    """The colour at a place on a surface, before light and shade. (lx, ly): the place seen from its centre; ax: the
    normal's part along its own x. What is finer than the picture fades with the depth."""
    band, gain = 0, 1.0
    fine = math.exp(-depth / 30)
    if paint == BANDS:
        share = (z - foot) / tall
        band = 0 if share < 0.42 else (1 if share < 0.84 else 2)
    elif paint == WINDOWS and nz < 0.5:
        along = ly if abs(ax) > 0.5 else lx
        up = (z - foot) / 3.0
        inside = 0.25 < (along / 2.2) % 1.0 < 0.75 and 0.3 < up % 1.0 < 0.8 and z < foot + tall - 0.4
        if inside:
            return 0.17, 0.2, 0.26
        gain = 0.93 if up % 1.0 < 0.05 else 1.0
    elif paint == LEAVES:
        gain = 1 + fine * (noise(math.floor(x * 6), math.floor(y * 6), math.floor(z * 6)) - 0.5)
    elif paint == GRASS:
        gain = 1 + 0.5 * fine * (noise(math.floor(x * 5), math.floor(y * 5), 7) - 0.5)
    elif paint == PAVING:
        joint = x % 1.0 < 0.06 or y % 1.0 < 0.06
        gain = 1 - (0.2 * fine if joint else 0.0) - 0.08 * noise(math.floor(x), math.floor(y), 3)
    elif paint == GLASS and nz < 0.5:
        return 0.14, 0.17, 0.2
    elif paint == PLANKS:
        gain = 1 - (0.45 * fine if lx % 0.22 < 0.04 else 0.0)
    elif paint == WHEEL:
        return 0.05, 0.05, 0.055
    elif paint == ASPHALT:
        lane = half - 2.7
        dashed = abs(y) < 0.07 and x % 6.0 < 3.0
        if dashed or abs(abs(y) - lane) < 0.06:
            return 0.85, 0.85, 0.82
        gain = 1 + 0.25 * fine * (noise(math.floor(x * 8), math.floor(y * 8), 1) - 0.5)
    return gain * colours[band, 0], gain * colours[band, 1], gain * colours[band, 2]


@jit
def expose(  # type: ignore[no-untyped-def]
    origin: Array, forward: Array, right: Array, down: Array, focal: float, height: int, width: int, shapes: Array,
    kinds: Integers, paints: Integers, owners: Integers, colours: Array, feet: Array, starts: Integers,
    members: Integers, near: Integers, cells: Integers, start: float, half: float, labels: Integers, terrain: int,
    sun: Array, dark: bool,
):  # fmt: skip
    """A pinhole camera's picture, one ray through the middle of every pixel.

    Returns:
        `(height, width, 3)` colours in light and shade, `(height, width)` labels (-1: sky) and depths in metres along
        the optical axis (infinite: sky).
    """
    picture = np.zeros((height, width, 3))
    seen = np.full((height, width), -1, np.int64)
    depths = np.full((height, width), np.inf)
    things = labels.shape[0]
    for row in range(height):
        v = (row - (height - 1) / 2) / focal
        for column in range(width):
            u = (column - (width - 1) / 2) / focal
            dx = forward[0] + u * right[0] + v * down[0]
            dy = forward[1] + u * right[1] + v * down[1]
            dz = forward[2] + u * right[2] + v * down[2]
            t, part, side, nx, ny, nz = nearest(
                origin[0], origin[1], origin[2], dx, dy, dz, shapes, kinds, starts, members, near, half, 2000.0
            )
            if part == -2:
                up = min(max(dz / math.sqrt(dx * dx + dy * dy + dz * dz), 0.0), 1.0)
                if dark:
                    picture[row, column] = (0.12, 0.14, 0.22)
                else:
                    picture[row, column, 0] = 0.86 - 0.9 * up
                    picture[row, column, 1] = 0.91 - 0.6 * up
                    picture[row, column, 2] = 0.97 - 0.2 * up
                continue
            x, y, z = origin[0] + t * dx, origin[1] + t * dy, origin[2] + t * dz
            thing = owner(part, side, x, owners, cells, start, things)
            lx, ly, ax, paint = x, y, 0.0, ASPHALT
            if part >= 0:
                c, s = shapes[part, 3], shapes[part, 4]
                lx, ly = (
                    c * (x - shapes[part, 0]) + s * (y - shapes[part, 1]),
                    c * (y - shapes[part, 1]) - s * (x - shapes[part, 0]),
                )
                ax, paint = c * nx + s * ny, paints[part]
            elif side != 0:
                paint = GRASS if labels[thing] == terrain else PAVING
            red, green, blue = painted(
                paint, x, y, z, lx, ly, nx, ny, nz, ax, t, colours[thing], feet[thing, 0], feet[thing, 1], half
            )
            shade = 0.85
            if paint != BANDS:
                shade = 0.6 + 0.12 * nz + 0.3 * max(nx * sun[0] + ny * sun[1] + nz * sun[2], 0.0)
            if dark:  # what light there is comes from the lamps beside the cameras
                shade = 0.45 + 0.5 / (1 + (t / 9.0) ** 2)
            picture[row, column, 0] = shade * red
            picture[row, column, 1] = shade * green
            picture[row, column, 2] = shade * blue
            seen[row, column] = labels[thing]
            depths[row, column] = t
    return picture, seen, depths
