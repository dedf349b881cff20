"""The fixed grid to whose cells places are snapped, and distances between cells.

The earth is cut into rows of equal height, and each row into columns of equal width, as many as fit in its middle:
every cell is nearly a square of the grid's size, at all latitudes, and columns meet at the date line. Cells are bundled
into tiles of about 16 by 16, so that what lies around a place is found by a few keys.

A cell is one number: size of the grid, row and column of the tile, and the place in it. Cells of one tile are
neighbours as numbers, and cells of grids of different sizes are never the same.
"""

from __future__ import annotations

import math
from functools import cached_property, lru_cache

EARTH_RADIUS_M = 6_371_008.8
DEGREE_M = math.pi * EARTH_RADIUS_M / 180
"""Length of a degree of latitude."""
BANDS_KM = (2, 5, 10, 20, 50, 100)
"""Distances shown to users: the first of these that the real distance does not exceed."""
BANDS_M = tuple(km * 1000 for km in BANDS_KM)
RADII_KM = (5, 10, 20, 50, 100)
MIN_SIZE_M, MAX_SIZE_M = 20, 100_000

_TILE_CELLS = 16
_LOCAL_BITS, _COLUMN_BITS, _TILE_BITS = 10, 6, 17
_LOCAL = (1 << _LOCAL_BITS) - 1
_COLUMN = (1 << _COLUMN_BITS) - 1
_TILE = (1 << _TILE_BITS) - 1


class Grid:
    """A grid of one size; immutable.

    :param size_m: least height of a cell, and width in the middle of its row; `MIN_SIZE_M` to `MAX_SIZE_M`.
    """

    def __init__(self, size_m: int) -> None:
        if not MIN_SIZE_M <= size_m <= MAX_SIZE_M:
            raise ValueError(f"a grid of {size_m} m")
        self.size_m = size_m
        self.rows = int(math.pi * EARTH_RADIUS_M / size_m)
        self.row_height = 180.0 / self.rows
        """In degrees."""
        self._columns = lru_cache(maxsize=1 << 16)(self._count_columns)
        self._tile_columns = lru_cache(maxsize=1 << 16)(self._count_tile_columns)
        self._trigonometry = lru_cache(maxsize=1 << 16)(self._measure)
        self.band = lru_cache(maxsize=1 << 17)(self._band)

    # --- cells

    def cell_of(self, latitude: float, longitude: float) -> int:
        """The cell that holds a point in decimal degrees, -90..90 and -180..180."""
        if abs(latitude) == 90.0:
            # One point, whatever its longitude.
            longitude = 0.0
        row = min(self.rows - 1, int((latitude + 90.0) / self.row_height))
        columns = self._columns(row)
        column = int((longitude + 180.0) / 360.0 * columns) % columns
        tile_row = row // _TILE_CELLS
        tile_columns = self._tile_columns(tile_row)
        tile_column = (2 * column + 1) * tile_columns // (2 * columns)
        local = (row % _TILE_CELLS) << _COLUMN_BITS | column - self._first_column(row, tile_column)
        return self._tile(tile_row, tile_column) << _LOCAL_BITS | local

    def knows(self, cell: int) -> bool:
        """True if it is a cell of this grid, not of one of another size."""
        return cell >> (_LOCAL_BITS + 2 * _TILE_BITS) == self.size_m

    def centre(self, cell: int) -> tuple[float, float]:
        """Latitude and longitude of a cell's middle."""
        row, column = self._row_and_column(cell)
        return -90.0 + (row + 0.5) * self.row_height, -180.0 + (column + 0.5) * 360.0 / self._columns(row)

    def bounds(self, cell: int) -> tuple[float, float, float, float]:
        """South, west, north, east of a cell, in degrees."""
        row, column = self._row_and_column(cell)
        width = 360.0 / self._columns(row)
        south, west = -90.0 + row * self.row_height, -180.0 + column * width
        return south, west, south + self.row_height, west + width

    def outside_m(self, cell: int, latitude: float, longitude: float) -> float:
        """Distance of a point from the cell; 0 within it."""
        south, west, north, east = self.bounds(cell)
        up_m = max(south - latitude, latitude - north, 0.0) * DEGREE_M
        off = abs((longitude - (west + east) / 2 + 180.0) % 360.0 - 180.0) - (east - west) / 2
        side_m = max(off, 0.0) * DEGREE_M * math.cos(math.radians(latitude))
        return math.hypot(up_m, side_m)

    # --- distances

    def distance_m(self, cell: int, other: int) -> float:
        """Between the middles of two cells, on the sphere."""
        latitude, cosine, longitude = self._trigonometry(cell)
        other_latitude, other_cosine, other_longitude = self._trigonometry(other)
        half = (
            math.sin((other_latitude - latitude) / 2) ** 2
            + cosine * other_cosine * math.sin((other_longitude - longitude) / 2) ** 2
        )
        return 2 * EARTH_RADIUS_M * math.asin(min(1.0, math.sqrt(half)))

    def _band(self, cell: int, other: int) -> int:
        """Place in `BANDS_KM` of the distance of two cells; one more than the last where they are farther apart."""
        distance_m = self.distance_m(cell, other)
        return sum(distance_m > most_m for most_m in BANDS_M)

    # --- tiles

    @staticmethod
    def tile_of(cell: int) -> int:
        """The tile that a cell belongs to."""
        return cell >> _LOCAL_BITS

    @staticmethod
    def cells_of(tile: int) -> tuple[int, int]:
        """The range of numbers, end excluded, in which a tile's cells lie."""
        return tile << _LOCAL_BITS, (tile + 1) << _LOCAL_BITS

    def tiles_around(self, cell: int, radius_m: float) -> list[int]:
        """Tiles with all the cells whose middle is within a radius of the middle of this one, and some more."""
        latitude, longitude = self.centre(cell)
        reach = math.degrees(radius_m / EARTH_RADIUS_M) + 1e-9
        south, north = latitude - reach, latitude + reach
        first = max(0, int((south + 90.0) / self.row_height)) // _TILE_CELLS
        last = min(self.rows - 1, int((north + 90.0) / self.row_height)) // _TILE_CELLS
        over_a_pole = south <= -90.0 or north >= 90.0
        sine = 1.0 if over_a_pole else math.sin(math.radians(reach)) / math.cos(math.radians(latitude))
        aside = 180.0 if sine >= 1.0 else math.degrees(math.asin(sine)) + 1e-9
        found = []
        for tile_row in range(first, last + 1):
            columns = self._tile_columns(tile_row)
            west = math.floor((longitude - aside + 180.0) / 360.0 * columns)
            east = math.floor((longitude + aside + 180.0) / 360.0 * columns)
            wanted = range(columns) if east - west + 1 >= columns else range(west, east + 1)
            found += [self._tile(tile_row, column % columns) for column in wanted]
        return found

    # --- numbers

    @cached_property
    def _size_bits(self) -> int:
        return self.size_m << (2 * _TILE_BITS)

    def _tile(self, tile_row: int, tile_column: int) -> int:
        return self._size_bits | tile_row << _TILE_BITS | tile_column

    def _row_and_column(self, cell: int) -> tuple[int, int]:
        tile, local = cell >> _LOCAL_BITS, cell & _LOCAL
        row = (tile >> _TILE_BITS & _TILE) * _TILE_CELLS + (local >> _COLUMN_BITS)
        return row, self._first_column(row, tile & _TILE) + (local & _COLUMN)

    def _first_column(self, row: int, tile_column: int) -> int:
        """The first column of a row whose middle lies in that column of tiles."""
        columns, tile_columns = self._columns(row), self._tile_columns(row // _TILE_CELLS)
        return -((tile_columns - 2 * tile_column * columns) // (2 * tile_columns))

    def _count_columns(self, row: int) -> int:
        return self._fitting((row + 0.5) * self.row_height, self.size_m)

    def _count_tile_columns(self, tile_row: int) -> int:
        first = tile_row * _TILE_CELLS
        end = min(self.rows, first + _TILE_CELLS)
        return self._fitting((first + end) / 2 * self.row_height, self.size_m * _TILE_CELLS)

    @staticmethod
    def _fitting(degrees_from_south_pole: float, width_m: float) -> int:
        """Number of cells of this width that fit around the earth there; at least one."""
        around_m = 2 * math.pi * EARTH_RADIUS_M * math.sin(math.radians(degrees_from_south_pole))
        return max(1, int(around_m / width_m))

    def _measure(self, cell: int) -> tuple[float, float, float]:
        latitude, longitude = self.centre(cell)
        return math.radians(latitude), math.cos(math.radians(latitude)), math.radians(longitude)
