"""Answers to packets, byte by byte: rows of every length, numbers of every size, and what else a server may send."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import pymysql
import pytest
from sqlalchemy import bindparam, insert, literal_column, select, text

from datingtoday.accounts.models import SmsNumber
from datingtoday.infra.db import Database
from datingtoday.infra.packet_connection import PacketConnection
from datingtoday.infra.packets import Packet, in_one_column
from tests.plugins.api import Api

OK = b"\x00"
EOF = b"\xfe\x00\x00\x02\x00"
COLUMN = b"\x03def, as it is described"


def packed(*payloads: bytes, first: int = 1) -> bytes:
    """Packets as a server sends them."""
    return b"".join(
        len(payload).to_bytes(3, "little") + bytes([(first + at) % 256]) + payload
        for at, payload in enumerate(payloads)
    )


class Sent(PacketConnection):
    """A connection whose server has sent these bytes already."""

    def __init__(self, answer: bytes, *, version: str = "8.4.0") -> None:
        self._rfile = io.BufferedReader(io.BytesIO(answer))
        self._next_seq_id = 0
        self.server_version = version
        self._read_timeout = self._current_timeout = None
        self.asked: list[str] = []
        self.is_closed = False

    def _execute_command(self, command: int, sql: str) -> None:
        assert command == 3
        self.asked.append(sql)
        self._next_seq_id = 1

    def _force_close(self) -> None:
        self.is_closed = True

    def __del__(self) -> None:
        """Nothing was opened."""


class Pieces(io.RawIOBase):
    """Bytes that come a few at a time."""

    def __init__(self, data: bytes, size: int) -> None:
        self._data = io.BytesIO(data)
        self._size = size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        piece = self._data.read(min(self._size, len(buffer)))
        buffer[: len(piece)] = piece
        return len(piece)


def ok(affected: bytes = b"\x01", last_id: bytes = b"\x00", status: int = 2) -> bytes:
    return OK + affected + last_id + status.to_bytes(2, "little") + b"\x00\x00"


def rows(*values: bytes, status: int = 2) -> list[bytes]:
    end = b"\xfe\x00\x00" + status.to_bytes(2, "little")
    return [b"\x01", COLUMN, EOF, *map(with_length, values), end]


def with_length(value: bytes) -> bytes:
    size = len(value)
    if size < 251:
        return bytes([size]) + value
    if size < 2**16:
        return b"\xfc" + size.to_bytes(2, "little") + value
    return b"\xfd" + size.to_bytes(3, "little") + value


class TestBytes:
    @pytest.mark.parametrize(
        "number",
        [
            b"\x00", b"\xfa", b"\xfc\xfb\x00", b"\xfc\xff\xff", b"\xfd\x00\x00\x01", b"\xfd\xff\xff\xff",
            b"\xfe\x00\x00\x00\x01\x00\x00\x00\x00", b"\xfe" + b"\xff" * 8,
        ],
    )  # fmt: skip
    @pytest.mark.parametrize("status", [2, 0x0003, 0x4002])
    def test_numbers_of_every_size_before_the_status(self, number: bytes, status: int) -> None:
        for affected, last_id in ((number, b"\x00"), (b"\x01", number), (number, number)):
            connection = Sent(packed(ok(affected, last_id, status)))
            assert connection.run_packet("DO 1") == [[]]
            assert connection.server_status == status

    @pytest.mark.parametrize("size", [0, 1, 4, 5, 249, 250, 251, 252, 65_535, 65_536, 70_000])
    def test_rows_of_every_length(self, size: int) -> None:
        value = b"\xfe" * size
        connection = Sent(packed(*rows(value, b"x", value, status=0x4103)))
        assert connection.run_packet("SELECT 1") == [[value, b"x", value]]
        assert connection.server_status == 0x4103

    def test_a_row_that_looks_like_the_end(self) -> None:
        """Of five bytes, or beginning with 0xFE: neither alone is one."""
        assert Sent(packed(*rows(b"four"))).run_packet("SELECT 1") == [[b"four"]]

    def test_several_answers_follow_each_other_while_there_is_more(self) -> None:
        more = 0x000A
        sent = packed(ok(status=more), *rows(b"a", b"b", status=more), *rows(status=more), ok(status=1))
        connection = Sent(sent)
        assert connection.run_packet("…") == [[], [b"a", b"b"], [], []]
        assert connection.server_status == 1, "in a transaction"
        assert not connection.is_closed

    def test_what_nobody_asked_for_ends_the_connection_and_not_the_answer(self) -> None:
        """MariaDB tells its connections that it shuts down."""
        connection = Sent(packed(ok()) + b"x")
        assert connection.run_packet("…") == [[]]
        assert connection.is_closed

    @pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 7, 30])
    def test_an_answer_that_comes_in_pieces(self, size: int) -> None:
        values = [b"x" * length for length in (0, 1, 3, 300, 2)]
        connection = Sent(b"")
        sent = packed(ok(status=0x000A), *rows(*values))
        connection._rfile = io.BufferedReader(Pieces(sent, size), buffer_size=1)
        assert connection.run_packet("…") == [[], values]
        assert not connection.is_closed

    def test_packets_are_numbered_round_and_round(self) -> None:
        values = [b"%d" % number for number in range(600)]
        assert Sent(packed(*rows(*values))).run_packet("SELECT 1") == [values]

    def test_an_error_is_the_servers_and_the_connection_stays(self) -> None:
        connection = Sent(packed(b"\xff\xb5\x04#40001deadlock"))
        with pytest.raises(pymysql.err.OperationalError, match="deadlock") as caught:
            connection.run_packet("…")
        assert caught.value.args[0] == 1205
        assert not connection.is_closed

    @pytest.mark.parametrize(
        "sent",
        [
            b"", b"\x01\x00", packed(ok())[:-1], packed(ok(), first=0), packed(ok(), first=2),
            b"\xff\xff\xff\x01" + b"x" * 40, packed(*rows(b"a"))[:-3],
        ],
    )  # fmt: skip
    def test_an_answer_that_ends_early_or_out_of_turn_is_a_lost_connection(self, sent: bytes) -> None:
        connection = Sent(sent)
        with pytest.raises(pymysql.err.OperationalError, match="Lost connection") as caught:
            connection.run_packet("…")
        assert (caught.value.args[0], connection.is_closed) == (2013, True)

    @pytest.mark.parametrize("error", [TimeoutError(), OSError("reset"), KeyboardInterrupt()])
    def test_whatever_happens_while_reading_closes_it(self, error: BaseException) -> None:
        def read(_: int) -> bytes:
            raise error

        connection = Sent(b"")
        connection._rfile = type("File", (), {"read1": staticmethod(read)})()
        expected = pymysql.err.OperationalError if isinstance(error, OSError) else type(error)
        with pytest.raises(expected):
            connection.run_packet("…")
        assert connection.is_closed

    def test_a_wait_that_the_system_ended_is_a_lost_connection(self) -> None:
        connection = Sent(b"")
        connection._rfile = type("File", (), {"read1": staticmethod(lambda _: None)})()
        with pytest.raises(pymysql.err.OperationalError, match="Lost"):
            connection.run_packet("…")
        assert connection.is_closed

    def test_an_answer_of_two_columns_closes_it(self) -> None:
        connection = Sent(packed(b"\x02" + b"x" * 20, COLUMN, COLUMN, EOF, EOF))
        with pytest.raises(pymysql.err.InternalError, match=r"has one column, not 02(78){8}$"):
            connection.run_packet("SELECT 1, 2")
        assert connection.is_closed

    def test_what_follows_an_error_is_no_part_of_the_next_answer(self) -> None:
        connection = Sent(packed(b"\xff\xb5\x04#40001deadlock") + b"x")
        with pytest.raises(pymysql.err.OperationalError, match="deadlock"):
            connection.run_packet("…")
        connection._rfile = io.BufferedReader(io.BytesIO(packed(*rows(b"a"))))
        assert connection.run_packet("…") == [[b"a"]]

    def test_where_python_keeps_the_time_it_is_set_once(self) -> None:
        connection, times = Sent(b""), list[float]()
        connection._sock = type("Socket", (), {"settimeout": staticmethod(times.append)})()
        connection._read_timeout, connection._current_timeout = 3.0, 10.0
        for _ in range(2):
            connection._rfile = io.BufferedReader(io.BytesIO(packed(ok())))
            connection.run_packet("…")
        assert times == [3.0]

    def test_what_pymysql_itself_reads(self) -> None:
        connection = Sent(b"abcd")
        assert connection._read_bytes(3) == b"abc"
        assert not connection.is_closed
        with pytest.raises(pymysql.err.OperationalError, match="Lost") as caught:
            connection._read_bytes(2)
        assert (caught.value.args[0], connection.is_closed) == (2013, True)

    @pytest.mark.parametrize(
        ("fails", "raised"),
        [
            (None, pymysql.err.OperationalError), (OSError("reset"), pymysql.err.OperationalError),
            (TimeoutError(), pymysql.err.OperationalError), (KeyboardInterrupt(), KeyboardInterrupt),
        ],
    )  # fmt: skip
    def test_whatever_happens_while_pymysql_reads_closes_it(
        self, fails: BaseException | None, raised: type[BaseException]
    ) -> None:
        def read(_: int) -> None:
            if fails is not None:
                raise fails

        connection = Sent(b"")
        connection._rfile = type("File", (), {"read": staticmethod(read)})()
        with pytest.raises(raised):
            connection._read_bytes(1)
        assert connection.is_closed

    @pytest.mark.parametrize(
        ("version", "asked"),
        [
            ("5.5.5-10.11.6-MariaDB", "BEGIN NOT ATOMIC\nDO 1;\nCOMMIT;\nEND"), ("8.4.0", "DO 1;\nCOMMIT"),
        ],
    )  # fmt: skip
    def test_mariadb_commits_in_a_block(self, version: str, asked: str) -> None:
        connection = Sent(packed(ok()), version=version)
        connection.run_and_commit("DO 1")
        assert connection.asked == [asked]


class TestServer:
    """The same from the server itself."""

    @pytest.fixture
    def connection(self, api: Api) -> Iterator[Any]:
        pooled = api.parts.base.database.engine.raw_connection()
        yield pooled.driver_connection
        pooled.invalidate()

    @pytest.mark.parametrize("shared_backend", ["real"], indirect=True)
    def test_large_numbers_and_many_rows(self, connection: Any) -> None:
        connection.run_packet(
            "CREATE TEMPORARY TABLE large (id BIGINT AUTO_INCREMENT PRIMARY KEY, n INT) AUTO_INCREMENT = 1099511627776"
        )
        values = ",".join(f"({number})" for number in range(700))
        assert connection.run_packet(f"INSERT INTO large (n) VALUES {values}; SELECT MAX(id) FROM large") == [
            [], [b"1099511628475"]
        ]  # fmt: skip
        found = connection.run_packet("UPDATE large SET n = n + 1; SELECT n FROM large ORDER BY id")
        assert found == [[], [b"%d" % number for number in range(1, 701)]]

    @pytest.mark.parametrize("shared_backend", ["real"], indirect=True)
    def test_the_server_says_whether_a_transaction_is_open(self, connection: Any) -> None:
        connection.run_packet("BEGIN; SELECT 1")
        assert connection.server_status & 1
        connection.run_packet("ROLLBACK")
        assert not connection.server_status & 1

    @pytest.mark.parametrize("shared_backend", ["real"], indirect=True)
    def test_the_operating_system_keeps_the_time_of_both_kinds(self, connection: Any) -> None:
        connection.run_packet("DO 1")
        connection.query("DO 1")
        assert connection._sock.gettimeout() is None


class TestPacket:
    @pytest.fixture
    def database(self, api: Api) -> Database:
        return api.parts.base.database

    def test_values_of_the_statements_own(self, database: Database) -> None:
        packet = Packet(
            select(literal_column("1"), bindparam("own", 7)), select(bindparam("given"), bindparam("own", 7))
        )
        with database.reading() as session:
            for given in (3, None):
                found = packet.run(session.connection(), {"given": given})
                assert [list(map(list, rows)) for rows in found] == [[[1, 7]], [[given, 7]]]

    @pytest.mark.parametrize("shared_backend", ["real"], indirect=True)
    def test_two_own_values_of_one_name_are_a_mistake(self, database: Database) -> None:
        packet = Packet(select(bindparam("own", 7)), select(bindparam("own", 8)))
        with database.reading() as session, pytest.raises(ValueError, match="own"):
            packet.run(session.connection(), {})

    def test_it_tells_whether_it_was_committed(self, database: Database) -> None:
        packet = Packet(insert(SmsNumber).values(phone=bindparam("phone"), last_sent_at=bindparam("at")))
        with database.transaction() as session:
            connection = session.connection()
            is_committed = packet.run_and_commit(connection, {"phone": "+8617000000001", "at": None})
            assert is_committed is (not database.is_sqlite)
            session.execute(text("DELETE FROM sms_number WHERE phone = '+8617000000001'"))

    def test_a_subquery_keeps_what_its_columns_come_from(self) -> None:
        made = in_one_column(
            select(SmsNumber.phone).select_from(SmsNumber).where(SmsNumber.last_sent_at.is_(None))
        )
        assert "FROM sms_number" in str(made)
