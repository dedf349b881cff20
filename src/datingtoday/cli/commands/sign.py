"""`datingtoday sign`: how a request is signed, step by step."""

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

import click

from datingtoday.cli.main import EXIT_FAILED, speaks_chinese
from datingtoday.cli.options import settings_options
from datingtoday.cli.terminal import in_language, say
from datingtoday.infra.config.settings import load_settings
from datingtoday.infra.paired import paired
from datingtoday.infra.text import Text

if TYPE_CHECKING:
    from datingtoday.protocol.signing.attempts import SignedRequest


@click.group()
def command() -> None:
    """Look at signatures."""


@command.command()
@settings_options
@click.argument("method", type=click.Choice(["GET", "POST"], case_sensitive=False))
@click.argument("path")
@click.argument("params", nargs=-1, metavar="NAME=VALUE...")
@click.option("--secret", help="The appsecret [that of the settings].")
@click.option(
    "--string", "own_string", help="Your string to sign, to be compared; @FILE reads it from a file."
)
@click.option(
    "--file", "file", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="The uploaded file."
)
def explain(
    config_file: Path | None,
    data_dir: Path | None,
    method: str,
    path: str,
    params: tuple[str, ...],
    secret: str | None,
    file: Path | None,
    own_string: str | None,
) -> int:
    """Show the string to sign and the signature of a request; with sign=… also which mistake leads to that one.

    The path may be a whole address. With --string, your own string to sign is compared with the right one: that tells a
    wrong string from a wrong secret.

    \b
    datingtoday sign explain POST /api/auth/sendsms phone=13800138000 appkey=432ABZ \\
        timestamp=1795305600 nonce=4f3a sign_method=hmac-sha256 sign=…

    Parameters are given as they are before URL encoding. The secret is never printed.

    Exit codes: 0 explained (and right, if a sign was given), 1 the sign is wrong, 2 wrong usage or settings.
    """
    from datingtoday.protocol.signing.attempts import SignedRequest

    host, path, query = _split(path)
    given = {**query, **_given(params)}
    secret = secret or load_settings(config_file, data_dir).app.appsecret
    if not secret:
        raise click.UsageError(
            in_language(
                "there is no appsecret in the settings: give one with --secret",
                "设置中没有 appsecret：请用 --secret 指定",
            )
        )
    digest = hashlib.sha256(file.read_bytes() if file else b"").hexdigest()
    method = method.upper()
    _show_strings(method, path, given, secret, digest)
    request = SignedRequest(given, method, path, digest, host=host)
    right = _judge(request, secret) if "sign" in given else True
    if own_string is not None:
        right = _compare(request, secret, own_string) and right
    return 0 if right else EXIT_FAILED


def _show_strings(method: str, path: str, given: dict[str, str], secret: str, digest: str) -> None:
    """Print the strings to sign, with the secret masked, and their signatures."""
    from datingtoday.protocol.signing.explain import MASKED_SECRET
    from datingtoday.protocol.signing.strings_to_sign import (
        HMAC_SHA256,
        hmac_string,
        md5_strings,
        sign_hmac,
        sign_md5,
    )

    if given.get("sign_method") == HMAC_SHA256:
        string = hmac_string(method, path, given, digest)
        say("string to sign (four lines):", "待签名字符串（四行）：")
        click.echo(string)
        say(
            f"signature: HMAC-SHA256 with {MASKED_SECRET} as the key, in hex:",
            f"签名：以 {MASKED_SECRET} 为密钥的 HMAC-SHA256（十六进制）：",
        )
        click.echo(sign_hmac(string, secret))
        return
    say(
        "strings to sign (any of them; parameters sorted, then token, timestamp, nonce and secret):",
        "待签名字符串（任选其一；参数排序后，再接 token、timestamp、nonce 与密钥）：",
    )
    for shown, string in paired(md5_strings(given, MASKED_SECRET), md5_strings(given, secret)):
        click.echo(f"{shown}\n  md5: {sign_md5(string)}")


def _judge(request: "SignedRequest", secret: str) -> bool:
    """Say whether the sign is right, else the likely mistake."""
    from datingtoday.protocol.signing import explain as explaining
    from datingtoday.protocol.signing.strings_to_sign import (
        HMAC_SHA256,
        MD5,
        SIGN_LENGTHS,
        is_hmac_signed,
        signed_text,
    )

    given = request.params
    sign_method = given.get("sign_method", MD5)
    if len(given["sign"]) != SIGN_LENGTHS.get(sign_method, 0):
        explanation = explaining.of_another_method(given["sign"])
        hint = explanation or Text(
            f"{len(given['sign'])} characters are no {sign_method} signature in hex",
            f"{len(given['sign'])} 个字符不是十六进制的 {sign_method} 签名",
        )
        say(f"your sign is wrong: {hint.en}", f"你的签名不正确：{hint.zh}")
        return False
    if sign_method == HMAC_SHA256:
        covered = {"method": request.method, "path": request.path, "file_sha256": request.file_sha256}
        right = is_hmac_signed(given, [secret], **covered)
    else:
        right = signed_text(given, [secret]) is not None
    if right:
        say("your sign is right", "你的签名正确")
        return True
    request = replace(request, declared=_declared(request.method, request.path))
    lang = "zh" if speaks_chinese() else "en"
    hint_text = explaining.explain(request, [secret], sign_method=sign_method, lang=lang)["hint"]
    say(f"your sign is wrong: {hint_text}", f"你的签名不正确：{hint_text}")
    return False


def _compare(request: "SignedRequest", secret: str, own_string: str) -> bool:
    """Say where a developer's string differs from the right one; True if it does not."""
    from datingtoday.protocol.signing.explain import SAME_STRING, compare_strings
    from datingtoday.protocol.signing.strings_to_sign import MD5

    if own_string.startswith("@"):
        # As it is: a line end in the file is what was hashed.
        own_string = Path(own_string[1:]).read_bytes().decode()
    explanation = compare_strings(request, [secret], request.params.get("sign_method", MD5), own_string)
    say(*explanation)
    return explanation is SAME_STRING


def _declared(method: str, path: str) -> dict[str, str]:
    """The parameters of an endpoint of the product."""
    from datingtoday.cli.generated.api_page import product_routes
    from datingtoday.protocol.signing.explain import declared_params

    for route in product_routes():
        if (route.method, route.path) == (method, path):
            return declared_params(route.endpoint.params)
    return {}


def _split(address: str) -> tuple[str, str, dict[str, str]]:
    """Host, path and query of a path or of a whole address."""
    parts = urlsplit(address)
    return parts.netloc, parts.path, dict(parse_qsl(parts.query, keep_blank_values=True))


def _given(params: tuple[str, ...]) -> dict[str, str]:
    pairs = {}
    for text in params:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise click.UsageError(
                in_language(f"{text}: parameters are given as NAME=VALUE", f"{text}：参数的写法是 NAME=VALUE")
            )
        pairs[name] = value
    return pairs
