"""Attackers who want to know where a user is. Each gets a view of the server, a user to find, and a point in their
town to begin with, up to 8 km from them, and ends with a guess.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence

from datingtoday.discovery.nearby.grid import BANDS_KM, DEGREE_M, Grid
from tests.discovery.attackers_views import Memory
from tests.discovery.locations import Point, metres_between, moved

Attack = Callable[[Memory, Point, random.Random], Point]
Circle = tuple[Point, float]
"""A point, and how far the target is from it, in metres."""
_Ring = tuple[float, float, float, float]
"""A point, as metres to the north and east of another; and how far from it the target is at least and at most."""
_AROUND = [(math.cos(math.radians(angle)), math.sin(math.radians(angle))) for angle in range(0, 360, 90)]
_LOWER_KM = dict(zip(BANDS_KM, (0, *BANDS_KM), strict=False))


def least_squares(
    memory: Memory, start: Point, rng: random.Random, *, looks: int = 30, day: int = 0
) -> Point:
    """Many looks from around, the later ones from around what the first ones gave; the point that agrees best."""
    seen: list[_Ring] = []
    guess = start
    for far_m, precise_m in ((9_000, 100), (7_000, 8)):
        for _ in range(looks // 2):
            point = _somewhere(guess, rng, far_m)
            told = memory.distance_km(point, 10, day=day)
            low_m, high_m = (
                (10_000.0, 30_000.0) if told is None else (_LOWER_KM[told] * 1000.0, told * 1000.0)
            )
            seen.append((*_aside(start, point), low_m, high_m))
        guess = _climb(seen, start, precise_m)
    return guess


def band_flips(memory: Memory, start: Point, rng: random.Random) -> Point:
    """Walk away until the distance told becomes another one, and find that point to some metres, in 6 directions."""
    guess = least_squares(memory, start, rng, looks=12)
    for limit_km in (5, 2):

        def is_within(point: Point, limit_km: int = limit_km) -> bool:
            told = memory.distance_km(point, 10)
            return told is not None and told <= limit_km

        guess = _by_flips(is_within, guess, limit_km * 1000.0) or guess
    return guess


def radius_flips(memory: Memory, start: Point, rng: random.Random) -> Point:
    """The same with the radius: from where a user is listed at all."""
    guess = least_squares(memory, start, rng, looks=12)
    for radius_km in (10, 5):

        def is_listed(point: Point, radius_km: int = radius_km) -> bool:
            return memory.distance_km(point, radius_km) is not None

        guess = _by_flips(is_listed, guess, radius_km * 1000.0) or guess
    return guess


def sandwich(memory: Memory, start: Point, rng: random.Random) -> Point:
    """A second account is moved away from the viewer until it changes places with the target in the list."""
    guess = least_squares(memory, start, rng)
    circles: list[Circle] = []
    for number in range(6):
        viewer = _towards(guess, number * 60 + 15, 2_500)

        def is_nearer_than_target(far_m: float, viewer: Point = viewer, number: int = number) -> bool:
            decoy = memory.view.put_decoy(_towards(viewer, number * 60 + 195, far_m))
            return not memory.is_before_decoy(viewer, decoy)

        flip_m = _bisect(is_nearer_than_target, 0.0, 9_000.0, 40.0)
        if flip_m is not None:
            circles.append((viewer, flip_m))
    found = _meet(circles, guess) if len(circles) >= 3 else guess
    # Circles that do not meet anywhere near say that the order is not that of distances.
    return found if metres_between(found, guess) < 3_000 else guess


def averaging(memory: Memory, start: Point, rng: random.Random) -> Point:
    """Anew on several days from other points: what is drawn at random would cancel out."""
    guesses = [
        least_squares(memory, _somewhere(start, rng, 1_500), rng, looks=16, day=day) for day in range(4)
    ]
    return _mean(guesses)


def enumeration(grid: Grid) -> Attack:
    """Knows the defence, its grid, and all that the others were told: of all cells in reach it leaves those that agree
    with every answer, and asks from these until one is left. Its middle is the best guess of whoever knows no more.
    """

    def attack(memory: Memory, start: Point, rng: random.Random) -> Point:
        for _ in range(20 if memory.seen else 60):
            memory.distance_km(_somewhere(start, rng, 8_000), 10)
        looks = {(grid.cell_of(*point), radius, told) for point, radius, told in memory.seen}

        def agrees(cell: int) -> bool:
            return all(_told(grid, here, cell, radius) == told for here, radius, told in looks)

        candidates = [cell for cell in _cells_around(grid, start, 8_000 / grid.size_m) if agrees(cell)]
        for cell in list(candidates):
            if len(candidates) < 2:
                break
            told = memory.distance_km(grid.centre(cell), 10)
            candidates = [other for other in candidates if _told(grid, cell, other, 10) == told] or candidates
        return _mean([grid.centre(cell) for cell in candidates]) if candidates else start

    return attack


def attacks(grid: Grid) -> dict[str, Attack]:
    """All of them, by name; each may use what those before it were told."""
    return {
        "least squares": least_squares,
        "band flips": band_flips,
        "radius flips": radius_flips,
        "sandwich": sandwich,
        "averaging": averaging,
        "enumeration": enumeration(grid),
    }


# --- geometry


def _towards(point: Point, bearing: float, far_m: float) -> Point:
    angle = math.radians(bearing)
    return moved(point, north_m=math.cos(angle) * far_m, east_m=math.sin(angle) * far_m)


def _somewhere(point: Point, rng: random.Random, far_m: float) -> Point:
    return _towards(point, rng.uniform(0, 360), far_m * math.sqrt(rng.random()))


def _mean(points: Sequence[Point]) -> Point:
    return sum(point[0] for point in points) / len(points), sum(point[1] for point in points) / len(points)


def _aside(point: Point, other: Point) -> tuple[float, float]:
    """Offset of the other point to the north and to the east, in metres, on a flat earth."""
    scale = math.cos(math.radians(point[0]))
    return (other[0] - point[0]) * DEGREE_M, (other[1] - point[1]) * DEGREE_M * scale


def _climb(seen: Sequence[_Ring], start: Point, precise_m: float) -> Point:
    """The point that disagrees least with rings around points, by a pattern search from several beginnings."""

    def wrong(north_m: float, east_m: float) -> float:
        total = 0.0
        for ring_n, ring_e, low_m, high_m in seen:
            distance_m = math.hypot(north_m - ring_n, east_m - ring_e)
            # Of points that agree with everything the one in the middle is best.
            total += 1e-4 * (distance_m - (low_m + high_m) / 2) ** 2
            if distance_m < low_m:
                total += (low_m - distance_m) ** 2
            elif distance_m > high_m:
                total += (distance_m - high_m) ** 2
        return total

    best, least = (0.0, 0.0), math.inf
    for north_m, east_m in ((0.0, 0.0), *((3_500 * north, 3_500 * east) for north, east in _AROUND)):
        value, step_m = wrong(north_m, east_m), 2_000.0
        while step_m > precise_m:
            tried = ((north_m + step_m * north, east_m + step_m * east) for north, east in _AROUND)
            lowest, better = min((wrong(*point), point) for point in tried)
            if lowest < value:
                value, (north_m, east_m) = lowest, better
            else:
                step_m /= 2
        if value < least:
            best, least = (north_m, east_m), value
    return moved(start, north_m=best[0], east_m=best[1])


def _bisect(
    is_inside: Callable[[float], bool], near_m: float, far_m: float, precise_m: float
) -> float | None:
    """Distance at which inside becomes outside; None if it does not."""
    if not is_inside(near_m) or is_inside(far_m):
        return None
    while far_m - near_m > precise_m:
        middle_m = (near_m + far_m) / 2
        near_m, far_m = (middle_m, far_m) if is_inside(middle_m) else (near_m, middle_m)
    return (near_m + far_m) / 2


def _by_flips(is_inside: Callable[[Point], bool], guess: Point, radius_m: float) -> Point | None:
    """The middle of the circle on which inside becomes outside."""
    circles: list[Circle] = []
    for bearing in range(10, 370, 60):
        flip_m = _bisect(
            lambda far_m, bearing=bearing: is_inside(_towards(guess, bearing, far_m)),  # type: ignore[misc]
            0.0,
            radius_m * 2.2,
            12.0,
        )
        if flip_m is not None:
            circles.append((_towards(guess, bearing, flip_m), radius_m))
    return _meet(circles, guess) if len(circles) >= 3 else None


def _meet(circles: Sequence[Circle], start: Point) -> Point:
    """The point that lies best on all circles (Gauss and Newton)."""
    point = start
    for _ in range(30):
        nn = ne = ee = n = e = 0.0
        for centre, radius_m in circles:
            north_m = (point[0] - centre[0]) * DEGREE_M
            east_m = (point[1] - centre[1]) * DEGREE_M * math.cos(math.radians(centre[0]))
            distance_m = math.hypot(north_m, east_m) or 1.0
            up, aside, off_m = north_m / distance_m, east_m / distance_m, radius_m - distance_m
            nn, ne, ee = nn + up * up, ne + up * aside, ee + aside * aside
            n, e = n + up * off_m, e + aside * off_m
        # Damped: two circles may not say enough.
        nn, ee = nn + 1e-3, ee + 1e-3
        determinant = nn * ee - ne * ne
        step_n, step_e = (n * ee - e * ne) / determinant, (e * nn - n * ne) / determinant
        point = moved(point, north_m=step_n, east_m=step_e)
        if math.hypot(step_n, step_e) < 0.5:
            break
    return point


def _cells_around(grid: Grid, point: Point, cells: float) -> list[int]:
    far = math.ceil(cells)
    step_m = grid.size_m * 0.9
    return sorted(
        {
            grid.cell_of(*moved(point, north_m=row * step_m, east_m=column * step_m))
            for row in range(-far, far + 1)
            for column in range(-far, far + 1)
        }
    )


def _told(grid: Grid, here: int, there: int, radius_km: int) -> int | None:
    band = grid.band(here, there)
    return BANDS_KM[band] if band < len(BANDS_KM) and BANDS_KM[band] <= radius_km else None
