"""A transaction of packets, for the few requests that come so often that a session's ceremony counts.

A session of SQLAlchemy costs such a request more than its statements do. This one is a plain connection, on which a
session is opened only where one is wanted; and its last packet takes COMMIT along, which saves a round trip.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from datingtoday.infra.db import commit, committed
from datingtoday.infra.kept_connections import KeptConnections
from datingtoday.infra.packets import Packet, Rows


class PacketTransaction:
    """One transaction; begins with its first statement and holds a connection until it is closed.

    :param connections: where its own comes from, :param session: or one that has begun already, and whose owner
        commits it.
    """

    def __init__(self, connections: KeptConnections | None, session: Session | None = None) -> None:
        self._connections = connections
        self._session = session
        self._connection: Connection | None = None
        self._is_open = False
        self.info: dict[Any, Any] = {} if session is None else session.info

    @classmethod
    def within(cls, session: Session) -> PacketTransaction:
        """Packets in the transaction of a session."""
        return cls(None, session)

    @property
    def session(self) -> Session:
        """A session in this transaction. From then on it is committed as every session's is."""
        if self._session is None:
            self._session = Session(
                self._connect(), expire_on_commit=False, join_transaction_mode="control_fully"
            )
            self._session.info.update(self.info)
            self.info = self._session.info
        return self._session

    def run(self, packet: Packet, params: Mapping[str, Any]) -> list[Rows]:
        """:raises DBAPIError: of the first statement that fails; those after it are not run."""
        return packet.run(self._connect(), params)

    def run_last(self, packet: Packet, params: Mapping[str, Any]) -> None:
        """Run the last packet. It takes COMMIT along where it can; otherwise that is left to `finish`.

        So whatever may still refuse the work must have been asked, and its answer made. A statement of the packet that
        fails ends it, and nothing is committed.

        :raises DBAPIError: as `run`; after a connection that was lost nobody knows whether it was committed.
        """
        if self._session is not None:
            self.run(packet, params)
            return
        self._is_open = not packet.run_and_commit(self._connect(), params)

    def finish(self) -> None:
        """Commit what `run_last` has not, then run the after-commit hooks, as `db.commit` does."""
        if self._session is not None:
            commit(self._session)
            return
        if self._is_open:
            connection = self._connect()
            try:
                (connection.get_transaction() or connection.begin()).commit()
            except DBAPIError:
                # See `db.commit`.
                connection.invalidate()
                raise
            self._is_open = False
        committed(self)

    def rollback(self) -> None:
        """Undo everything and forget the hooks; the transaction may begin anew."""
        self.info.clear()
        if self._session is not None:
            self._session.rollback()
        elif self._connection is not None and self._is_open and not self._connection.invalidated:
            (self._connection.get_transaction() or self._connection.begin()).rollback()
        self._is_open = False

    def close(self) -> None:
        """Let go of the connection; what was not committed is undone."""
        is_clean = self._session is None and not self._is_open
        self.rollback()
        if self._connection is None or self._connections is None:
            return
        connection, self._connection = self._connection, None
        if is_clean:
            self._connections.give_back(connection)
            return
        if connection.invalidated:
            self._connections.clear()
        if self._session is not None:
            self._session.close()
        connection.close()

    def _connect(self) -> Connection:
        self._is_open = True
        if self._session is not None:
            return self._session.connection()
        if self._connection is None:
            if self._connections is None:
                raise RuntimeError("a transaction within a session has no connection of its own")
            self._connection = self._connections.take()
        return self._connection
