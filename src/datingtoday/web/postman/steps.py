"""Form of the story's steps: one request each, and what its answer must be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from datingtoday.infra.text import Text

ME, PEER, NOBODY = "me", "peer", "nobody"
LOGINS = {ME: ("{{user_id}}", "{{token}}"), PEER: ("{{peer_id}}", "{{peer_token}}")}
"""Variables of the two people's logins: user id and token."""

HELLO = "你好，很高兴认识你！100% & + = ~ ! ' ( ) * 😀"
"""Text with every character that clients encode differently."""


@dataclass(frozen=True, slots=True)
class Step:
    """One request.

    :param call: method and path. :param params: values of parameters; the others are shown switched off.
    :param person: whose login it uses, if the endpoint needs one.
    :param code: of the expected answer.
    :param checks: title → JavaScript expression of ``data`` that must be true.
    :param keep: variable → path in the answer, such as ``data.list[0].user_id``; addresses become absolute.
    :param draw: variable → JavaScript expression, for what no answer contains.
    :param until: path and value; in a run the request is sent again, for some seconds, until the answer has it.
    :param url: in place of the path, for addresses that the server gave.
    """

    call: str
    params: Mapping[str, str] = field(default_factory=dict)
    person: str = ME
    title: Text | None = None
    code: int = 0
    checks: Mapping[str, str] = field(default_factory=dict)
    keep: Mapping[str, str] = field(default_factory=dict)
    draw: Mapping[str, str] = field(default_factory=dict)
    until: tuple[str, str] | None = None
    url: str = ""


@dataclass(frozen=True, slots=True)
class Chapter:
    """A folder of the collection."""

    title: Text
    steps: tuple[Step, ...]
