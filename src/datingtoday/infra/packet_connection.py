"""A connection of PyMySQL that takes several statements in one packet, and reads their answers with little ceremony.

PyMySQL makes three objects of every packet of an answer, and describes columns that nobody asks about. `Packet` needs
the rows alone, of one column (docs/decisions/speed-tricks.md has the figure). Only the statements of packets are read
here; everything else on the same connection goes PyMySQL's own way.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from io import BufferedReader
from typing import Any

from pymysql.connections import MAX_PACKET_LEN, Connection
from pymysql.constants import CLIENT, COMMAND, CR, SERVER_STATUS
from pymysql.err import InternalError, OperationalError, raise_mysql_exception

from datingtoday.infra.system_timeouts import let_system_time

_OK, _EOF, _ERROR = 0x00, 0xFE, 0xFF
_EOF_BYTES = 5
_SIZES = {0xFC: 2, 0xFD: 3, 0xFE: 8}
"""Bytes of a number that does not fit into its first byte."""

_CHUNK_BYTES = 16_384

Column = list[bytes]


class PacketConnection(Connection):
    """A connection that packets can be sent on; the arguments are PyMySQL's."""

    # PyMySQL's own, of which its type stubs do not tell.
    _sock: socket.socket
    _rfile: BufferedReader
    _read_timeout: float | None
    _write_timeout: float | None
    _current_timeout: float | None
    _next_seq_id: int
    server_version: str
    _execute_command: Callable[[int, str], None]
    _force_close: Callable[[], None]

    # What has come of the answer of a packet, and where its next part begins.
    _answer = b""
    _at = 0

    def __init__(self, *arguments: Any, client_flag: int = 0, **options: Any) -> None:
        super().__init__(*arguments, client_flag=client_flag | CLIENT.MULTI_STATEMENTS, **options)

    def connect(self, sock: Any = None) -> None:
        super().connect(sock)
        if self._read_timeout is not None and let_system_time(self, self._read_timeout):
            self._read_timeout = self._write_timeout = self._current_timeout = None

    def _read_bytes(self, num_bytes: int) -> bytes:
        """PyMySQL's own, which does not expect the operating system to end a wait (None)."""
        try:
            data: bytes | None = self._rfile.read(num_bytes)
        except BaseException as error:
            self._force_close()
            if isinstance(error, OSError):
                raise _lost() from error
            raise
        if data is None or len(data) < num_bytes:
            self._force_close()
            raise _lost()
        return data

    def run_packet(self, text: str) -> list[Column]:
        """Send statements in one packet.

        :return: for each of them the rows of its one column; none where it returns none.
        :raises pymysql.Error: of the first statement that fails; those after it are not run.
        """
        self._execute_command(COMMAND.COM_QUERY, text)
        if self._current_timeout != self._read_timeout:
            self._sock.settimeout(self._read_timeout)
            self._current_timeout = self._read_timeout
        self._answer, self._at = b"", 0
        found: list[Column] = []
        more = True
        while more:
            first = self._next_packet()
            if first[0] == _OK:
                status = _status(first, _behind_number(first, _behind_number(first, 1)))
                found.append([])
            else:
                rows, status = self._read_column(first)
                found.append(rows)
            self.server_status = status
            more = bool(status & SERVER_STATUS.SERVER_MORE_RESULTS_EXISTS)
        if self._at != len(self._answer):
            # The server said more than was asked: it shuts down, see below. The answer itself is whole.
            self._force_close()
        return found

    def run_and_commit(self, text: str) -> None:
        """Send statements that return nothing, and COMMIT.

        MariaDB answers a packet statement by statement, and each answer wakes this process; a block is answered once.

        :raises pymysql.Error: of the first statement that fails; those after it are not run, nor is COMMIT.
        """
        if "MariaDB" in self.server_version:
            self.run_packet(f"BEGIN NOT ATOMIC\n{text};\nCOMMIT;\nEND")
        else:
            self.run_packet(f"{text};\nCOMMIT")

    def _read_column(self, first: bytes) -> tuple[Column, int]:
        """The rows, and the server's status after them."""
        if first != b"\x01":
            self._force_close()
            raise InternalError(f"the answer of a packet has one column, not {first[:9].hex()}")
        # The description of the column, and its end.
        self._next_packet()
        self._next_packet()
        rows: Column = []
        while True:
            row = self._next_packet()
            if row[0] == _EOF and len(row) == _EOF_BYTES:
                return rows, _status(row, 3)
            rows.append(row[_behind_number(row, 0) :])

    def _next_packet(self) -> bytes:
        header = self._take(4)
        size = int.from_bytes(header[:3], "little")
        if header[3] != self._next_seq_id or size == MAX_PACKET_LEN:
            # A server that shuts down sends a packet of its own (MariaDB); and no answer has 16 MB.
            self._force_close()
            raise _lost()
        self._next_seq_id = (header[3] + 1) & 0xFF
        packet = self._take(size)
        if packet[0] == _ERROR:
            raise_mysql_exception(packet)
        return packet

    def _take(self, size: int) -> bytes:
        """The next bytes of the answer."""
        if self._at + size > len(self._answer):
            self._read_on(size)
        taken = self._answer[self._at : self._at + size]
        self._at += size
        return taken

    def _read_on(self, size: int) -> None:
        """Read until so many bytes of the rest of the answer are there, and forget what was taken of it.

        Whatever has come is taken at once: an answer of five packets would be ten reads otherwise.
        """
        answer = self._answer[self._at :]
        while len(answer) < size:
            try:
                more = self._rfile.read1(_CHUNK_BYTES)
            except BaseException as error:
                self._force_close()
                if isinstance(error, OSError):
                    raise _lost() from error
                raise
            if not more:
                self._force_close()
                raise _lost()
            answer += more
        self._answer, self._at = answer, 0


def _lost() -> OperationalError:
    return OperationalError(CR.CR_SERVER_LOST, "Lost connection to MySQL server during query")


def _behind_number(packet: bytes, at: int) -> int:
    """Place of the value that follows a number of variable length."""
    return at + 1 + _SIZES.get(packet[at], 0)


def _status(packet: bytes, at: int) -> int:
    """The server's status, of two bytes."""
    return int.from_bytes(packet[at : at + 2], "little")
