"""Banner of `datingtoday serve`: addresses, secrets of the embedded default, and commands to try."""

import importlib.metadata
import io
import shlex
import socket
from ipaddress import ip_address

from datingtoday.infra.config.demo import DEMO_PHONES
from datingtoday.infra.config.settings import Settings

EXAMPLE_PHONE = "13800138000"

_NONCE = "$(od -An -N8 -tx1 /dev/urandom | tr -d ' \\n')"
# md5sum is not everywhere, openssl neither; when the first is missing it has read nothing.
_MD5 = "{ md5sum 2>/dev/null || openssl md5 -r; } | cut -c1-32"


def signed_post(base_url: str, path: str, appkey: str, appsecret: str, params: dict[str, str]) -> str:
    """A line for any POSIX shell that signs the request when it runs, and sends it.

    The values of `params` stand in the line between double quotes: `$name` is taken from the shell.
    """
    pairs = sorted(f"{name}={value}" for name, value in {**params, "appkey": appkey}.items())
    message = "&".join(pairs)
    return (
        f"t=$(date +%s) n={_NONCE}; "
        f's=$(printf %s "{message}$t$n"{shlex.quote(appsecret)} | {_MD5}); '
        f'curl -sS -d "{message}&timestamp=$t&nonce=$n&sign=$s" {base_url}{path}; echo'
    )


def sendsms_line(base_url: str, appkey: str, appsecret: str) -> str:
    """Ask for a code."""
    return signed_post(base_url, "/api/auth/sendsms", appkey, appsecret, {"phone": EXAMPLE_PHONE})


def login_line(base_url: str, appkey: str, appsecret: str) -> str:
    """Log in with the code that the line asks for."""
    call = signed_post(
        base_url, "/api/auth/login", appkey, appsecret, {"phone": EXAMPLE_PHONE, "code": "$code"}
    )
    return f"printf 'code: '; read -r code; {call}"


def banner(settings: Settings, host: str, port: int, *, is_app_changed: bool = False) -> str:
    """The text; `host` and `port` are what the server listens on.

    `is_app_changed`: the client program of the settings was rotated, disabled or told to use hmac only since, so that
    what the settings say of it signs nothing any more.
    """
    url = base_url(host, port)
    rows = [("API", f"{url}/api", "接口")]
    if settings.docs.enabled:
        rows.append(("Documentation", f"{url}/docs", "文档"))
    rows.append(("Data folder", str(settings.data_dir), "数据目录"))
    if settings.embedded:
        rows.append(("appkey", settings.app.appkey, "客户端标识"))
        secret = "changed with `datingtoday app`" if is_app_changed else settings.app.appsecret
        rows.append(("appsecret", secret, "签名密钥"))
    width = max(len(row[1]) for row in rows)
    # The first line is the page to open.
    page = f": open {url}/demo/split  打开演示" if settings.demo.enabled else ""
    lines = [f"DatingToday {importlib.metadata.version('datingtoday')}{page}", ""]
    lines += [f"  {name:<14}{value:<{width}}  {zh}" for name, value, zh in rows]
    if settings.demo.enabled:
        lines += _demo_people(settings)
        lines += _code_for_phones(host, port)
    if settings.embedded and not is_app_changed:
        lines += ["", *_what_to_try(settings, url)]
    lines += ["", "  Ctrl-C stops the server.", "  按 Ctrl-C 停止服务。", ""]
    return "\n".join(lines)


def _demo_people(settings: Settings) -> list[str]:
    if not settings.embedded:
        return []
    phones = ", ".join(phone.removeprefix("+86") for phone in DEMO_PHONES)
    code = settings.demo.login_code
    return [
        "",
        f"  Demo people to log in as, on this machine: {phones}; code {code}",
        f"  演示账号（仅限本机）：{phones}，验证码 {code}",
    ]


def _code_for_phones(host: str, port: int) -> list[str]:
    """The demo's address for phones in the same network, as a QR code; nothing if only this machine is served."""
    address = network_address(host)
    if address is None:
        return []
    import segno

    url = f"{base_url(address, port)}/demo"
    drawing = io.StringIO()
    segno.make(url, error="l").terminal(out=drawing, compact=True)
    return [
        "",
        f"  For a phone in the same network · 同一网络中的手机扫码打开: {url}",
        drawing.getvalue().rstrip(),
    ]


def network_address(host: str) -> str | None:
    """The address at which others in the network reach a server that listens on `host`; None for loopback."""
    if host not in ("0.0.0.0", "::", ""):  # noqa: S104 - compared, not bound
        try:
            return None if ip_address(host).is_loopback else host
        except ValueError:
            return None if host == "localhost" else host
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            # Sends nothing: the system only says by which address it would leave.
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return None
        return str(probe.getsockname()[0])


def _what_to_try(settings: Settings, url: str) -> list[str]:
    where_en, where_zh = "it is printed in this terminal", "显示在本终端"
    if settings.sms.echo:
        where_en, where_zh = "the answer contains it, on this machine only", "仅对本机，应答中直接返回"
    elif settings.sms.provider != "console":
        where_en, where_zh = (
            "it comes by SMS; put your own number into the lines",
            "以短信发送，请换成自己的号码",
        )
    app = settings.app.appkey, settings.app.appsecret
    return [
        f"  1. Ask for an SMS code ({where_en}); paste into another terminal:",
        f"     获取短信验证码（{where_zh}），粘贴到另一个终端：",
        "",
        sendsms_line(url, *app),
        "",
        "  2. Log in: paste, then type the code.",
        "     登录：粘贴后输入验证码。",
        "",
        login_line(url, *app),
    ]


def base_url(host: str, port: int) -> str:
    """The address to use on this machine for a server that listens on `host`."""
    if host in ("0.0.0.0", ""):  # noqa: S104 - compared, not bound
        host = "127.0.0.1"
    elif host == "::":
        host = "::1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
