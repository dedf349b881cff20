# Made by `datingtoday deploy render`; changes are lost when it is made again.
# To /etc/datingtoday/gunicorn.conf.py. Settings of the API processes; HUP reads this file and the program again.
from datingtoday.infra.server import safe_reload

bind = "127.0.0.1:8000"
backlog = 2048
workers = 2
worker_class = "datingtoday.infra.server.idle_connections.PollingWorker"
threads = 4
worker_connections = 8000
# Off: with it, HUP would start the workers with the old program.
preload_app = False
# A request may take this long; nginx waits 65 s.
timeout = 60
# Requests that have begun are finished within it; supervisord and systemd wait longer.
graceful_timeout = 15
# Longer than nginx's keepalive_timeout of 1 s: it is nginx that closes an idle connection.
keepalive = 5
limit_request_line = 8190
forwarded_allow_ips = "127.0.0.1"
# A heartbeat must not wait for a disk.
worker_tmp_dir = "/dev/shm"  # noqa: S108
control_socket_disable = True
logger_class = "datingtoday.infra.server.gunicorn_log.JsonLog"
loglevel = "info"
# Old workers go on until the new ones are ready, and stay if these cannot start.
on_reload = safe_reload.on_reload
post_fork = safe_reload.post_fork
