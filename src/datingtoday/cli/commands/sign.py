"""`datingtoday sign`: how a request is signed, step by step."""

import hashlib
from pathlib import Path

import click

from datingtoday.cli.main import EXIT_FAILED, speaks_chinese
from datingtoday.cli.options import settings_options
from datingtoday.cli.terminal import say
from datingtoday.infra.config.settings import load_settings


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
) -> int:
    """Show the string to sign and the signature of a request; with sign=… also which mistake leads to that one.

    \b
    datingtoday sign explain POST /api/auth/sendsms phone=13800138000 appkey=432ABZ \\
        timestamp=1795305600 nonce=4f3a sign_method=hmac-sha256 sign=…

    Parameters are given as they are before URL encoding. The secret is never printed.

    Exit codes: 0 explained (and right, if a sign was given), 1 the sign is wrong, 2 wrong usage or settings.
    """
    given = _given(params)
    secret = secret or load_settings(config_file, data_dir, create_secrets=False).app.appsecret
    if not secret:
        raise click.UsageError("there is no appsecret in the settings: give one with --secret")
    digest = hashlib.sha256(file.read_bytes() if file else b"").hexdigest()
    _show_strings(method.upper(), path, given, secret, digest)
    return _judge(method.upper(), path, given, secret, digest) if "sign" in given else 0


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
    for shown, string in zip(md5_strings(given, MASKED_SECRET), md5_strings(given, secret), strict=True):
        click.echo(f"{shown}\n  md5: {sign_md5(string)}")


def _judge(method: str, path: str, given: dict[str, str], secret: str, digest: str) -> int:
    """Say whether the sign is right, else the likely mistake; the exit code."""
    from datingtoday.protocol.signing import explain as explaining
    from datingtoday.protocol.signing.strings_to_sign import HMAC_SHA256, MD5, is_hmac_signed, signed_text

    sign_method = given.get("sign_method", MD5)
    if sign_method == HMAC_SHA256:
        right = is_hmac_signed(given, [secret], method=method, path=path, file_sha256=digest)
    else:
        right = signed_text(given, [secret]) is not None
    if right:
        say("your sign is right", "你的签名正确")
        return 0
    told = explaining.explain(
        given,
        [secret],
        sign_method=sign_method,
        method=method,
        path=path,
        file_sha256=digest,
        lang="zh" if speaks_chinese() else "en",
    )
    say(f"your sign is wrong: {told['hint']}", f"你的签名不正确：{told['hint']}")
    return EXIT_FAILED


def _given(params: tuple[str, ...]) -> dict[str, str]:
    pairs = {}
    for text in params:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise click.UsageError(f"{text}: parameters are given as NAME=VALUE")
        pairs[name] = value
    return pairs
