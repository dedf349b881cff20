"""`Endpoint`, the declaration of a route, and `Call`, an admitted request."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol

from flask import Response
from marshmallow import Schema
from sqlalchemy.orm import Session

from datingtoday.infra.cache_reader import CacheReader
from datingtoday.infra.db import Database, commit
from datingtoday.infra.packet_transaction import PacketTransaction
from datingtoday.infra.text import Text
from datingtoday.protocol.errors import AppError
from datingtoday.protocol.login import Login
from datingtoday.protocol.multipart_form import UploadedFile

CALL = "datingtoday.call"
"""Key of the admitted `Call` in the WSGI environ."""
LANG = "datingtoday.lang"
RULE = "datingtoday.rule"
"""The routing rule of a path with a variable part, for whoever counts requests."""
GUARD = "datingtoday.guard"
"""The guard's place in ``Flask.extensions``."""
KeysAhead = Callable[[int, Mapping[str, str], datetime], Sequence[str]]
"""Cache entries that a request will want, as far as its claimed user id and its parameters tell, neither of
which is checked yet: a guess, which costs a little if it is wrong and decides nothing."""

Shown = Literal["cards", "profiles"]
"""Cards in a list, or the profile or album of the ``peerId``."""

Environ = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Declaration of a route.

    :param params: marshmallow schema of its own parameters; the common ones are the guard's.
    :param returns: schema of ``data``; None if there is none. Many: ``many=True`` on the instance.
    :param transaction: ``auto`` opens one at the view's first statement and commits it; ``manual`` leaves it to the
        service, for the few that must call a provider between two transactions.
    :param raises: errors of its own that a client should expect, for the documentation.
    :param max_file_bytes: 0 where no file is taken; ``file_name`` is the parameter that holds it.
    """

    summary: Text
    require_token: bool = True
    require_sign: bool = True
    params: Schema | None = None
    returns: Schema | None = None
    transaction: Literal["auto", "manual"] = "auto"
    repeatable: bool = False
    """Done twice is like done once, so the transaction may also be repeated after a connection that was lost at
    COMMIT, when nobody knows whether it was kept."""
    raises: tuple[type[AppError], ...] = ()
    description: Text | None = None
    max_file_bytes: int = 0
    file_name: str = "file"
    own_format: bool = False
    """The route speaks another's format (a payment provider's, raw bytes): no parameters are read, no envelope.
    ``params`` then only says for the documentation what stands in the query."""
    own_answers: Mapping[int, Text] = field(default_factory=dict)
    """HTTP statuses of a route with its own format, and what they mean; for the documentation."""
    shows: Shown | None = None
    """Other people in the answer; counted against the account's limits."""
    ahead: KeysAhead | None = None
    """Lets the guard read these entries in its own round trip; only where a token is required."""


@dataclass(slots=True)
class Call:
    """One admitted request."""

    endpoint: Endpoint
    method: str
    path: str
    params: Mapping[str, str]
    file: UploadedFile | None
    address: str
    is_local: bool
    now: datetime
    lang: str
    database: Database
    cache: CacheReader
    """The cache with what the guard has read of it already."""
    host: str = ""
    """The ``Host`` header."""
    appkey: str = ""
    token_digest: str = field(default="", repr=False)
    login: Login | None = None
    _session: Session | None = field(default=None, repr=False)
    _packets: PacketTransaction | None = field(default=None, repr=False)

    @property
    def user_id(self) -> int:
        """User id of the login; only where the endpoint requires a token."""
        if self.login is None:
            raise RuntimeError("this endpoint does not require a token")
        return self.login.user_id

    @property
    def session_id(self) -> int:
        if self.login is None:
            raise RuntimeError("this endpoint does not require a token")
        return self.login.session_id

    @property
    def session(self) -> Session:
        """The request's transaction; begins with its first statement and is committed by the endpoint."""
        if self._packets is not None:
            return self._packets.session
        if self._session is None:
            self._refuse_manual()
            self._session = self.database.session(write=self._writes)
        return self._session

    @property
    def packets(self) -> PacketTransaction:
        """The request's transaction, for an endpoint that writes by packets; ask for it before `session`."""
        if self._packets is None:
            self._refuse_manual()
            self._packets = PacketTransaction(self.database.kept)
        return self._packets

    def _refuse_manual(self) -> None:
        if self.endpoint.transaction == "manual":
            raise RuntimeError("a manual endpoint opens its own transactions")

    @property
    def _writes(self) -> bool:
        return self.method not in ("GET", "HEAD")

    def restart(self, now: datetime) -> None:
        """Begin again after a lost race, at another time and with nothing read."""
        self.now = self.cache.now = now
        self.cache.forget_read()

    def finish(self, *, keep: bool) -> None:
        """Commit (``keep``) or roll back what the view did, and let go of the connection."""
        packets, self._packets = self._packets, None
        if packets is not None:
            try:
                if keep:
                    packets.finish()
            finally:
                packets.close()
        session, self._session = self._session, None
        if session is None:
            return
        try:
            if keep:
                commit(session)
            elif session.in_transaction():
                session.rollback()
        finally:
            self.database.give_back(session, write=self._writes)


Runner = Callable[[Call, Mapping[str, str]], Response | bytes]
"""Runs a decorated view for an admitted call and the values of the path's variable parts."""


class Admission(Protocol):
    """Admits requests that Flask routed by itself; the guard is one."""

    def admit(self, environ: Environ, declared: Endpoint) -> Call:
        """Check a request by what its endpoint declares.

        :raises AppError: in the order of the checks.
        """
