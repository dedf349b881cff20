"""Settings of the push processes."""

from datingtoday.infra.config.fields import Section, key
from datingtoday.infra.config.value_types import Host


class PushSection(Section):
    """Socket.IO: `datingtoday push`, and the push process of `datingtoday serve`."""

    enabled: bool = key(
        True,
        en="`datingtoday serve` starts a push process and answers /socket.io on its own port.",
        zh="`datingtoday serve` 启动推送进程，并在自身端口上提供 /socket.io。",
    )
    host: Host = key(
        "127.0.0.1",
        en="Address that `datingtoday push` listens on.",
        zh="`datingtoday push` 的监听地址。",
    )
    port: int = key(
        8100,
        ge=1,
        le=65535,
        en="Port that `datingtoday push` listens on; every process of a host needs its own.",
        zh="`datingtoday push` 的监听端口；同一主机的每个进程各用一个。",
    )
    connections_per_user: int = key(
        5,
        ge=1,
        le=100,
        en="Maximum connections per user over all processes; the oldest is closed (1103).",
        zh="单个用户在所有进程上的连接数上限，超出时最早的连接被终止（1103）。",
    )
    waiting_per_address: int = key(
        100,
        ge=1,
        le=100_000,
        en="Connections from one network address that have not yet authenticated, for each process; more: 429.",
        zh="每个进程中，同一网络地址尚未认证的连接数上限，超出返回 429。",
    )
    recheck_s: float = key(
        30.0,
        ge=0.1,
        le=300,
        en="Seconds between two checks of the sessions of open connections.",
        zh="检查已打开连接的登录是否仍有效的间隔秒数。",
    )
