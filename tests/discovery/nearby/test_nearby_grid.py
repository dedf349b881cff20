"""The grid: every point has one cell, cells are nearly squares everywhere, and nothing near is overlooked."""

from __future__ import annotations

import hashlib
import math
import random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from datingtoday.discovery.nearby.grid import BANDS_M, DEGREE_M, EARTH_RADIUS_M, Grid
from tests.discovery.locations import Point, metres_between, moved

GRIDS = {size_m: Grid(size_m) for size_m in (20, 50, 777, 2200, 20_000)}
GRID = GRIDS[2200]

sizes = st.sampled_from(sorted(GRIDS))
points = st.one_of(
    st.tuples(st.floats(-90, 90), st.floats(-180, 180)),
    # Close to what is special: poles, date line, equator.
    st.tuples(
        st.sampled_from([-90.0, 90.0, 0.0, 89.99, -89.99, 89.7, 66.5, -54.9]),
        st.sampled_from([-180.0, 180.0, 179.9999, -179.9999, 0.0]),
    ),
    st.tuples(st.floats(89.5, 90), st.floats(-180, 180)),
    st.tuples(st.floats(18, 53), st.floats(74, 134)),
)


def on_the_sphere(one: Point, other: Point) -> float:
    """The distance by vectors, in metres; another formula than the grid's."""

    def vector(point: Point) -> tuple[float, float, float]:
        latitude, longitude = map(math.radians, point)
        return (
            math.cos(latitude) * math.cos(longitude),
            math.cos(latitude) * math.sin(longitude),
            math.sin(latitude),
        )

    return 2 * EARTH_RADIUS_M * math.asin(min(1.0, math.dist(vector(one), vector(other)) / 2))


@given(sizes, points)
def test_a_point_lies_in_its_cell(size_m: int, point: Point) -> None:
    grid = GRIDS[size_m]
    cell = grid.cell_of(*point)
    south, west, north, east = grid.bounds(cell)
    assert south - 1e-9 <= point[0] <= north + 1e-9
    if abs(point[0]) < 90:
        # 180 and -180 are the same meridian.
        assert (
            west - 1e-9 <= point[1] <= east + 1e-9
            or west - 1e-9 <= point[1] - math.copysign(360, point[1]) <= east + 1e-9
        )
    assert grid.outside_m(cell, *point) < 0.01
    assert grid.knows(cell) and 0 < cell < 2**62


@given(sizes, points)
def test_the_middle_of_a_cell_lies_in_it(size_m: int, point: Point) -> None:
    grid = GRIDS[size_m]
    cell = grid.cell_of(*point)
    assert grid.cell_of(*grid.centre(cell)) == cell


@given(sizes, points)
def test_cells_are_squares_of_the_grids_size(size_m: int, point: Point) -> None:
    """Nearly: never smaller in the middle, and all but those around a pole hardly larger."""
    grid = GRIDS[size_m]
    cell = grid.cell_of(*point)
    south, west, north, east = grid.bounds(cell)
    height_m = (north - south) * DEGREE_M
    width_m = (east - west) * DEGREE_M * math.cos(math.radians((south + north) / 2))
    assert size_m <= height_m < size_m * 1.01
    assert width_m >= size_m * 0.999
    if min(north, -south) < 89:
        assert width_m < size_m * (1 + 1.2 / max(1.0, math.floor(360 / (east - west)) / 6))


@given(sizes, st.floats(-90, 90))
def test_the_date_line_is_no_edge(size_m: int, latitude: float) -> None:
    grid = GRIDS[size_m]
    assert grid.cell_of(latitude, 180.0) == grid.cell_of(latitude, -180.0)


@pytest.mark.parametrize("pole", [90.0, -90.0])
def test_a_pole_is_one_point(pole: float) -> None:
    assert len({GRID.cell_of(pole, longitude) for longitude in range(-180, 181, 7)}) == 1


@given(points, points)
def test_distances_are_those_on_the_sphere(one: Point, other: Point) -> None:
    a, b = GRID.cell_of(*one), GRID.cell_of(*other)
    distance_m = GRID.distance_m(a, b)
    assert distance_m == pytest.approx(on_the_sphere(GRID.centre(a), GRID.centre(b)), abs=0.5, rel=1e-6)
    assert distance_m == GRID.distance_m(b, a)


@given(points, st.floats(0, 120_000), st.floats(0, 2 * math.pi))
@example((31.23, 121.47), 0.0, 0.0)
def test_a_band_is_an_upper_bound(start: Point, far_m: float, bearing: float) -> None:
    """Bounds of the distance of the middles, and so of the true one, but for where the two are in their cells."""
    latitude = max(-89.0, min(89.0, start[0]))
    end = moved((latitude, start[1]), north_m=far_m * math.cos(bearing), east_m=far_m * math.sin(bearing))
    if abs(end[0]) >= 89.5:
        return
    here, there = GRID.cell_of(latitude, start[1]), GRID.cell_of(*end)
    band = GRID.band(here, there)
    limits = (0, *BANDS_M, math.inf)
    assert limits[band] < GRID.distance_m(here, there) <= limits[band + 1] or here == there
    corners_m = math.hypot(2200 * 1.01, 2200 * 1.25)
    true_m = on_the_sphere((latitude, start[1]), end)
    assert true_m <= limits[band + 1] + corners_m
    assert true_m >= limits[band] - corners_m


def test_who_is_in_the_same_cell_is_in_the_first_band() -> None:
    cell = GRID.cell_of(31.23, 121.47)
    assert GRID.band(cell, cell) == 0


@given(sizes, points, points)
def test_outside_is_measured_to_the_edge(size_m: int, point: Point, other: Point) -> None:
    """Never more than to the middle less half a cell, never less than to the farthest corner less the diagonal."""
    grid = GRIDS[size_m]
    if abs(point[0]) > 80 or abs(other[0]) > 80 or abs(point[0] - other[0]) > 1:
        return
    cell = grid.cell_of(*point)
    if on_the_sphere(grid.centre(cell), other) > 50_000:
        return
    outside_m = grid.outside_m(cell, *other)
    middle_m = metres_between(grid.centre(cell), other)
    south, west, north, east = grid.bounds(cell)
    corner_m = max(
        metres_between(grid.centre(cell), (lat, lng)) for lat in (south, north) for lng in (west, east)
    )
    assert middle_m - corner_m - 60 <= outside_m <= middle_m + 60


@given(points, st.sampled_from(BANDS_M), st.floats(0, 1), st.floats(0, 2 * math.pi))
def test_tiles_around_leave_nothing_out(point: Point, radius_m: int, share: float, bearing: float) -> None:
    cell = GRID.cell_of(*point)
    latitude, longitude = map(math.radians, GRID.centre(cell))
    angle = radius_m * share / EARTH_RADIUS_M
    # A point at that distance, on the sphere: over the pole and the date line, too.
    there = math.asin(
        math.sin(latitude) * math.cos(angle) + math.cos(latitude) * math.sin(angle) * math.cos(bearing)
    )
    aside = math.atan2(
        math.sin(bearing) * math.sin(angle) * math.cos(latitude),
        math.cos(angle) - math.sin(latitude) * math.sin(there),
    )
    other = GRID.cell_of(math.degrees(there), (math.degrees(longitude + aside) + 180.0) % 360.0 - 180.0)
    if GRID.distance_m(cell, other) <= radius_m:
        tiles = GRID.tiles_around(cell, radius_m)
        assert GRID.tile_of(other) in tiles
        assert len(tiles) == len(set(tiles)) <= 80


@given(sizes, points)
def test_cells_lie_in_the_range_of_their_tile(size_m: int, point: Point) -> None:
    cell = GRIDS[size_m].cell_of(*point)
    first, end = Grid.cells_of(Grid.tile_of(cell))
    assert first <= cell < end


def test_grids_of_other_sizes_have_other_cells() -> None:
    cell = GRID.cell_of(31.23, 121.47)
    assert not any(grid.knows(cell) for size_m, grid in GRIDS.items() if size_m != 2200)


@pytest.mark.parametrize("size_m", [0, 19, 100_001])
def test_sizes_beyond_all_measure_are_refused(size_m: int) -> None:
    with pytest.raises(ValueError, match=str(size_m)):
        Grid(size_m)


POINTS = [(31.23, 121.47), (-33.86, 151.21), (89.99, 10.0), (-90.0, 5.0), (0.0, -180.0)]


def digest(of: object) -> str:
    return hashlib.sha256(repr(of).encode()).hexdigest()


def some_points() -> list[Point]:
    rng = random.Random(11)
    return [(rng.uniform(-90, 90), rng.uniform(-180, 180)) for _ in range(400)]


@pytest.mark.parametrize(
    ("size_m", "cells", "of_many"),
    [
        (
            50,
            [881870907626699, 880656642297935, 882967027126724, 879609302221824, 881288231780800],
            "42fa2db3d9fc605ff96ecc67467329b022d4187e67b8d5e8b16ff22784d6b8fd",
        ),
        (
            2200,
            [38702860569721741, 38702833055142215, 38702885533385217, 38702809297716224, 38702847415550208],
            "944c301bfb9128cd99b7c25ca1b7cf065b0f33459001712654bf46191b2f1d31",
        ),
        (
            20_000,
            [
                351843726525553742, 351843723438553548, 351843729209819585,
                351843720888321024, 351843725049069824,
            ],
            "2030f9be12885717b318b8a4a19cf949f6cc31bad3dfb72f14bd9f1ca8044f3e",
        ),
    ],
)  # fmt: skip
def test_a_point_has_the_same_cell_in_every_release(size_m: int, cells: list[int], of_many: str) -> None:
    """Rows of `location` hold these numbers."""
    grid = Grid(size_m)
    assert [grid.cell_of(*point) for point in POINTS] == cells
    assert digest([grid.cell_of(*point) for point in some_points()]) == of_many


def test_no_more_tiles_are_asked_for_than_are_needed() -> None:
    """The same ones in every release: a change that asks for more costs every list of who is nearby."""
    places = [*some_points()[:60], (89.9, 0.0), (-89.8, 40.0), (0.0, 179.99), (45.0, -179.99)]
    around = []
    for place in places:
        for radius_m in (2_000, 5_000, 20_000, 50_000, 100_000):
            tiles = GRID.tiles_around(GRID.cell_of(*place), radius_m)
            around.append((len(tiles), sorted(tiles)))
    assert digest(around) == "41ab14ff7070f1eb582502ad6afe29b0576213f3de5c683a4211f4c99b35c8b7"


@pytest.mark.parametrize("place", [(31.23, 121.47), (-33.86, 179.999), (60.0, -179.999), (0.0, 0.0)])
def test_outside_is_measured_in_metres(place: Point) -> None:
    cell = GRID.cell_of(*place)
    south, west, north, east = GRID.bounds(cell)
    middle = ((south + north) / 2, (west + east) / 2)
    assert GRID.outside_m(cell, *middle) == GRID.outside_m(cell, north - 1e-9, west + 1e-9) == 0
    for edge, metres in (((north, middle[1]), 300.0), ((south, middle[1]), -300.0)):
        assert GRID.outside_m(cell, *moved(edge, north_m=metres)) == pytest.approx(300, rel=1e-6)
    for edge, metres in (((middle[0], east), 300.0), ((middle[0], west), -300.0)):
        assert GRID.outside_m(cell, *moved(edge, east_m=metres)) == pytest.approx(300, rel=1e-6)
    corner = moved((north, east), north_m=300.0)
    assert GRID.outside_m(cell, *moved(corner, east_m=400.0)) == pytest.approx(500, rel=1e-4)


def test_what_a_process_remembers_of_a_grid() -> None:
    grid = Grid(2200)
    assert grid.band.cache_info().maxsize == 131_072
    for remembered in (grid._columns, grid._tile_columns, grid._trigonometry):
        assert remembered.cache_info().maxsize == 65_536
