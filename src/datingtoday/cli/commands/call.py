"""`datingtoday call`: one signed request to a running server."""

from pathlib import Path

import click

from datingtoday.cli.main import EXIT_FAILED
from datingtoday.cli.options import settings_options
from datingtoday.cli.terminal import in_language, say_json
from datingtoday.infra.config.settings import load_settings


@click.command()
@settings_options
@click.argument("method", type=click.Choice(["GET", "POST"], case_sensitive=False))
@click.argument("path")
@click.argument("params", nargs=-1, metavar="[NAME=VALUE]...")
@click.option("--as", "phone", metavar="PHONE", help="Log in as this number, and sign with its token.")
@click.option("--code", metavar="CODE", help="The login code, where the server does not tell it.")
@click.option("--url", help="The server [http://127.0.0.1 and the port of the settings].")
@click.option("--curl", is_flag=True, help="Print the signed curl line instead of sending the request.")
def command(
    config_file: Path | None,
    data_dir: Path | None,
    method: str,
    path: str,
    params: tuple[str, ...],
    phone: str | None,
    code: str | None,
    url: str | None,
    curl: bool,
) -> int:
    """Sign a request with the appkey of the settings, send it and print the answer.

    \b
    datingtoday call GET /api/app/config
    datingtoday call GET /api/user/hot/list page=1 --as 13800000001
    datingtoday call POST /api/user/follow peerId=100790 --as 13800000001 --curl

    The demo people (13800000001 to 13800000003) need no code on the machine of the server. A login is kept in the
    data folder and used again.

    Exit codes: 0 the answer's code is 0, 1 it is another or there is no answer, 2 wrong usage or settings.
    """
    from datingtoday.cli.api_client import ApiClient

    settings = load_settings(config_file, data_dir)
    given = dict(_pair(text) for text in params)
    if not path.startswith("/"):
        raise click.UsageError(
            in_language(
                f"PATH {path}: begins with a /, as in /api/user/show",
                f"PATH {path}：应以 / 开头，如 /api/user/show",
            )
        )
    client = ApiClient(settings, url or f"http://127.0.0.1:{settings.server.port}")
    method = method.upper()
    login = client.login(phone, code) if phone else {}
    request = client.request(method, path, {**given, **login})
    if curl:
        click.echo(request.curl())
        return 0
    answer = request.send()
    if phone and client.is_ended(answer):
        answer = client.request(method, path, {**given, **client.login(phone, code, anew=True)}).send()
    say_json(answer)
    return 0 if answer.get("code") == 0 else EXIT_FAILED


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise click.UsageError(f"{text}: parameters are given as NAME=VALUE")
    return name, value
