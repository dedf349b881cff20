"""Settings of the background worker."""

from datingtoday.infra.config.fields import Section, key


class WorkerSection(Section):
    """`datingtoday worker`: what happens without a request."""

    with_serve: bool = key(
        True,
        en="Let `datingtoday serve` run a worker beside the server.",
        zh="`datingtoday serve` 是否同时运行后台工作进程。",
    )
    threads: int = key(4, ge=1, le=64, en="Concurrent jobs per worker.", zh="每个后台进程同时运行的任务数。")
    lease_s: float = key(
        30.0,
        ge=0.5,
        le=600,
        en="Seconds after which other workers take over the jobs of a dead worker.",
        zh="后台进程异常退出后，其未完成的工作在多少秒后由其他进程接手。",
    )
