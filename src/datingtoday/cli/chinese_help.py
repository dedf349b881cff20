"""Chinese of what `--help` shows, by paragraph of the English text; a test compares it with all commands."""

from __future__ import annotations

from datingtoday.cli.chinese_options import OPTIONS

_COMMANDS = {
    "DatingToday: the server of a dating app.": "DatingToday：交友应用的服务端。",
    "Run the server.": "运行服务器。",
    "Run a background worker.": "运行后台 worker。",
    "Show what the background worker does.": "查看后台 worker 的工作情况。",
    "Manage client programs: appkeys and secrets.": "管理客户端程序：appkey 与密钥。",
    "Send a signed request to a running server.": "向正在运行的服务器发送已签名的请求。",
    "Check and show the settings.": "检查并显示配置。",
    "Create and migrate the database.": "创建和迁移数据库。",
    "Make the files of a deployment.": "生成部署所需的文件。",
    "Examine settings, servers, providers and processes.": "检查配置、服务器、服务商和进程。",
    "Check and write files generated from the code.": "检查和生成由代码导出的文件。",
    "Add and rename the labels users can choose.": "添加和重命名用户可选的标签。",
    "Remove unused uploads, and moderate uploads.": "清理未使用的上传，审核上传。",
    "Review reports, and ban users.": "处理举报，封禁用户。",
    "Rebuild the search index and the hot list.": "重建搜索索引和热门列表。",
    "Rebuild the index of people nearby.": "重建附近的人索引。",
    "Run a push process (Socket.IO).": "运行推送进程（Socket.IO）。",
    "Look after payments, and play the sandbox's provider.": "管理支付，扮演沙箱支付渠道。",
    "List, add, change and retire the VIP products.": "列出、添加、修改和下架 VIP 商品。",
    "Remove old codes, logins and deleted accounts.": "清理旧验证码、登录记录和已注销账号。",
    "Fill the database with made-up people.": "用虚构用户填充数据库。",
    "Explain the signature of a request.": "解释请求的签名。",
    "Manage the client programs that may sign requests.": "管理可以签名请求的客户端程序。",
    "Running servers notice every change within a second. The client program of the settings ([APP] appkey) works "
    "without any of this.": (
        "运行中的服务器会在一秒内知道每次修改。配置中的客户端程序（[APP] appkey）无需任何操作即可使用。"
    ),
    "Make a client program and print its appkey and appsecret, this once.": (
        "创建客户端程序，并打印其 appkey 和 appsecret（仅此一次）。"
    ),
    "NAME is for people: which program, whose.": "NAME 供人辨认：是哪个程序、属于谁。",
    "Refuse all requests of a client program (1003); `enable` takes it back.": (
        "拒绝某客户端程序的全部请求（1003）；用 `enable` 恢复。"
    ),
    "Accept a disabled client program again, with the secrets that it had.": (
        "重新启用已停用的客户端程序，沿用原有密钥。"
    ),
    "Accept only sign_method=hmac-sha256 from a client program (on), or md5 as well (off).": (
        "只接受某客户端程序的 sign_method=hmac-sha256（on），或同时接受 md5（off）。"
    ),
    "Show all client programs; never a secret.": "列出全部客户端程序；从不显示密钥。",
    "Give a client program a new appsecret and print it, this once.": (
        "为客户端程序生成新的 appsecret 并打印（仅此一次）。"
    ),
    "Sign a request with the appkey of the settings, send it and print the answer.": (
        "用配置中的 appkey 签名并发送请求，打印响应。"
    ),
    "The demo people (13800000001 to 13800000003) need no code on the machine of the server. A login is kept in the "
    "data folder and used again.": (
        "演示用户（13800000001 到 13800000003）在服务器本机上无需验证码。登录状态保存在数据目录中，可重复使用。"
    ),
    "Precedence: environment DATINGTODAY_<SECTION>_<KEY>, then the INI file, then the secrets that were generated "
    "into the data folder, then the defaults.": (
        "优先级：环境变量 DATINGTODAY_<SECTION>_<KEY>，其次 INI 文件，其次数据目录中生成的密钥，最后是默认值。"
    ),
    "Check the settings; nothing is started or written.": "检查配置；不启动也不写入任何东西。",
    "Print every setting with its origin; secrets are masked.": "打印每项配置及其来源；密钥会被遮盖。",
    "Print the revision of the database and the newest one.": "打印数据库当前版本和最新版本。",
    "For developers: write a migration with what the tables in the code have and the migrations do not.": (
        "供开发者使用：按代码中的表与现有迁移的差异生成新的迁移。"
    ),
    "Tell all chat clients that the database was set back (restored): they read everything from the start again.": (
        "通知所有聊天客户端数据库已回退（恢复备份）：它们会从头重新读取。"
    ),
    "Print the schema as a script for MySQL and MariaDB (the content of datingtoday.sql).": (
        "打印 MySQL 和 MariaDB 的建表脚本（即 datingtoday.sql 的内容）。"
    ),
    "Bring the database up to date.": "把数据库升级到最新版本。",
    "Safe to run at the same time on several hosts. Ctrl-C stops it between two revisions; run it again to go on.": (
        "可在多台主机上同时运行。按 Ctrl-C 会在两个版本之间停止；再次运行即可继续。"
    ),
    "Write the files for nginx, gunicorn, supervisord, systemd, logrotate, MariaDB and Redis.": (
        "生成 nginx、gunicorn、supervisord、systemd、logrotate、MariaDB 和 Redis 的文件。"
    ),
    "Settings are read from --config; files and settings that are missing or do not fit are refused, each with a line "
    "that says what to do. Nothing outside of --out is changed: docs/deployment.md says where each file goes.": (
        "配置取自 --config；缺少或不合适的文件和配置会被拒绝，并各用一行说明如何处理。不会修改 --out 以外的任何东西："
        "每个文件放在哪里见 docs/deployment.zh-CN.md。"
    ),
    "Say which files are stale.": "指出哪些文件已过期。",
    "Write the files that are stale.": "重新生成已过期的文件。",
    "Examine this installation: settings, secrets, clock, database, Redis, storage, providers, processes, proxy.": (
        "检查本安装：配置、密钥、时钟、数据库、Redis、存储、服务商、进程和代理。"
    ),
    "Each finding that is not in order comes with the command that repairs it. Only servers that the settings name "
    "(and --url) are contacted; payment and SMS providers are not. Changes nothing: what is written for a check is "
    "removed.": (
        "每个问题都附有修复命令。只连接配置中的服务器（以及 --url），不连接支付和短信服务商。不做任何修改："
        "为检查而写入的内容会被删除。"
    ),
    "Manage the hot list and the nickname index.": "管理热门列表和昵称索引。",
    "Rebuild the nickname index, all scores and the hot list from the database.": (
        "根据数据库重建昵称索引、全部分数和热门列表。"
    ),
    "Needed after an import and after a change of [DISCOVERY] hot_half_life_days; data lost by Redis is restored "
    "automatically. Works in small batches while servers keep running. Safe to stop and to run twice.": (
        "导入数据或修改 [DISCOVERY] hot_half_life_days 后需要运行；Redis 丢失的数据会自动恢复。"
        "分小批进行，服务器可继续运行；可随时停止、重复运行。"
    ),
    "Show the jobs of the background worker and the streams that it reads.": "显示后台 worker 的任务和它读取的流。",
    "For each job its last success, how long that took, the next run, and failures since; for each stream how many "
    "entries wait, and for how long the oldest does.": (
        "每个任务：上次成功的时间、用时、下次运行时间和此后的失败次数；每个流：等待的条数，以及最早一条已等待的时间。"
    ),
    "Add a label; clients see it at once.": "添加标签；客户端立即可见。",
    "Show all labels.": "列出全部标签。",
    "Give a label another name, also where people have chosen it.": "重命名标签，已选择它的用户同样生效。",
    "Moderate uploads: pending and refused ones are shown to their owners only.": (
        "审核上传：待审核和被拒绝的上传只有本人可见。"
    ),
    "Takes effect with the next request for the bytes.": "从下一次读取该文件起生效。",
    "Let these uploads be shown to everybody who may see them.": "通过这些上传，有权限的人都能看到。",
    "Ask the moderator of the settings about uploads that it has not answered for, because it failed.": (
        "对审核服务因故障未给出结论的上传，重新向配置的审核服务询问。"
    ),
    "Show uploads with this verdict, the oldest first, with URLs that work for a while.": (
        "列出该审核结论的上传，最早的在前，并附一段时间内有效的 URL。"
    ),
    "Whoever has such a URL sees the upload as its owner does.": "持有该 URL 的人看到的与本人看到的相同。",
    "Show these uploads to nobody but their owners.": "拒绝这些上传，只有本人可见。",
    "Remove uploads that no album, avatar or message uses ([MEDIA] unused_hours), and orphaned files.": (
        "清理没有相册、头像或消息使用的上传（[MEDIA] unused_hours），以及孤立文件。"
    ),
    "Orphaned files belong to uploads that failed or were removed, and to deleted accounts. Works in small batches "
    "while servers keep running. Safe to stop and to run twice. A worker on each host does it once an hour.": (
        "孤立文件来自失败或已删除的上传，以及已注销的账号。分小批进行，服务器可继续运行；可随时停止、重复运行。"
        "每台主机上的 worker 每小时执行一次。"
    ),
    "Running servers notice every change with its commit.": "修改一经提交，运行中的服务器即生效。",
    "Hide a person and keep them out (1102), and close the open reports about them.": (
        "封禁用户：隐藏其资料、禁止登录（1102），并关闭针对其的未结举报。"
    ),
    "Close a report without consequences.": "关闭举报，不作处理。",
    "Show reports, the oldest first.": "列出举报，最早的在前。",
    "Show a report with its evidence, as JSON.": "以 JSON 显示一条举报及其证据。",
    "The evidence is how the reported person looked when the report was made. Media ids stand in place of URLs. As "
    "long as the report is open its photos are kept, although their owner may have removed them.": (
        "证据是举报时被举报人的资料。其中以媒体 ID 代替 URL。举报未结期间，照片即使被本人删除也会保留。"
    ),
    "End a ban at once.": "立即解除封禁。",
    "Manage the list of people nearby.": "管理附近的人列表。",
    "Repair the locations at which people are shown, and fill the cache.": "修复用户的展示位置，并填充缓存。",
    "Needed after an import and after a change of [DISCOVERY] nearby_grid_m; data lost by Redis is restored "
    "automatically. Works in small steps while servers keep running. Safe to stop and to run twice.": (
        "导入数据或修改 [DISCOVERY] nearby_grid_m 后需要运行；Redis 丢失的数据会自动恢复。"
        "分小步进行，服务器可继续运行；可随时停止、重复运行。"
    ),
    "Look after payments.": "管理支付。",
    "Compare ledger, orders and providers, and name each difference; changes nothing.": (
        "核对账本、订单和支付渠道，列出每处差异；不做任何修改。"
    ),
    "One line a finding: kind, channel, trade_no, user id, detail, separated by tabs; docs/payments.md says what to do "
    "about each.": (
        "每处差异一行：类型、渠道、trade_no、用户 ID、详情，以制表符分隔；处理方法见 docs/payments.zh-CN.md。"
    ),
    "Give a paid order's money back, and take its days back once the provider has done it.": (
        "为已支付的订单退款；支付渠道退款成功后收回相应天数。"
    ),
    "Asked for now, and again by the worker until it is done. If the provider says that all of it went back already, "
    "that is applied instead. Apple's payments are refunded by Apple only.": (
        "现在申请一次，之后由 worker 重试直至完成。若支付渠道表示已全额退款，则按已退款处理。"
        "Apple 的付款只能由 Apple 退款。"
    ),
    "Play the sandbox's provider: pay or refund an order, and notify a running server.": (
        "扮演沙箱支付渠道：支付或退款某个订单，并通知正在运行的服务器。"
    ),
    "Put a product on sale.": "上架商品。",
    "Change a product for orders to come; existing orders stay as they are.": (
        "修改商品，只影响以后的订单；已有订单不变。"
    ),
    "Show all products, retired ones too.": "列出全部商品，含已下架的。",
    "Sell a product no longer; its orders go on, unpaid ones can still be paid.": (
        "下架商品；其订单不受影响，未支付的仍可支付。"
    ),
    "Remove SMS codes older than 2 days, logins that expired and accounts that were deleted more than 30 days ago.": (
        "清理 2 天以前的验证码、已过期的登录，以及注销超过 30 天的账号。"
    ),
    "Works in small batches while servers keep running. Safe to stop and to run twice. A worker does it once a day.": (
        "分小批进行，服务器可继续运行；可随时停止、重复运行。worker 每天执行一次。"
    ),
    "Run a push process: Socket.IO at /socket.io.": "运行推送进程：/socket.io 上的 Socket.IO。",
    "For servers with a database and a Redis of their own; `datingtoday serve` starts one by itself. As many may run "
    "as you like, on one host or several. SIGTERM ends it within 5 seconds; its clients connect to another one.": (
        "用于配置了自己的数据库和 Redis 的服务器；`datingtoday serve` 会自动启动一个。"
        "可在一台或多台主机上运行任意多个。"
        "收到 SIGTERM 后 5 秒内结束，其客户端会连接到其他进程。"
    ),
    "Fill the database with made-up Chinese profiles: names, labels, introductions, places in 40 cities, activity.": (
        "用虚构的中文资料填充数据库：姓名、标签、介绍、40 个城市中的位置和活跃情况。"
    ),
    "Most have an avatar, one of some dozens of drawn faces; nobody can log in as one of them. Running it again adds "
    "more people; after Ctrl-C whole batches stay, and the last line says how to add the others.": (
        "多数带有头像（数十张绘制的面孔之一）；无法以他们的身份登录。再次运行会增加更多用户；"
        "按 Ctrl-C 后已完成的批次会保留，最后一行说明如何补齐其余用户。"
    ),
    "It runs until Ctrl-C or SIGTERM. Without settings it is complete in itself: SQLite and a private Redis in the "
    "data folder, and secrets that are generated once.": (
        "持续运行，直到按 Ctrl-C 或收到 SIGTERM。无需任何配置即可使用："
        "SQLite 和专用 Redis 位于数据目录，密钥只生成一次。"
    ),
    "Look at signatures.": "查看签名。",
    "Show the string to sign and the signature of a request; with sign=… also which mistake leads to that one.": (
        "显示请求的待签名字符串和签名；给出 sign=… 时，还会指出是哪种错误导致该签名。"
    ),
    "The path may be a whole address. With --string, your own string to sign is compared with the right one: that "
    "tells a wrong string from a wrong secret.": (
        "路径可以是完整地址。使用 --string 可把自己的待签名字符串与正确的比较，从而区分是字符串错误还是密钥错误。"
    ),
    "Parameters are given as they are before URL encoding. The secret is never printed.": (
        "参数填写 URL 编码之前的值。密钥从不打印。"
    ),
    "Run a background worker: purges, hot list editions, due moves, visits, and whatever else needs no request.": (
        "运行后台 worker：清理、热门列表版本、到期的位置变更、访问记录，以及其他不依赖请求的工作。"
    ),
    "Any number of them may run, on any number of hosts: each job is done once per period. It runs until SIGTERM or "
    "Ctrl-C, and ends within 5 seconds; a job in the middle goes on later. `datingtoday serve` runs one by itself.": (
        "可在任意多台主机上运行任意多个：每个任务在每个周期只执行一次。持续运行，直到收到 SIGTERM 或按 Ctrl-C，"
        "并在 5 秒内结束；进行到一半的任务稍后继续。`datingtoday serve` 会自动运行一个。"
    ),
}

_EXIT_CODES = {
    "0 done, 1 failed, 2 wrong usage or settings, 130 stopped by Ctrl-C. Every command has --help.": (
        "0 完成，1 失败，2 用法或配置错误，130 被 Ctrl-C 停止。每个命令都有 --help。"
    ),
    "0 made, 1 failed, 2 wrong usage or settings.": "0 已创建，1 失败，2 用法或配置错误。",
    "0 done, 1 failed, 2 the settings are wrong.": "0 完成，1 失败，2 配置错误。",
    "0 done, 1 failed, 2 wrong usage or settings.": "0 完成，1 失败，2 用法或配置错误。",
    "0 shown, 1 failed, 2 the settings are wrong.": "0 已显示，1 失败，2 配置错误。",
    "0 shown, 1 failed, 2 wrong usage or settings.": "0 已显示，1 失败，2 用法或配置错误。",
    "0 done, 1 failed (unknown appkey, two secrets live already), 2 wrong usage or settings.": (
        "0 完成，1 失败（appkey 不存在，或已有两个有效密钥），2 用法或配置错误。"
    ),
    "0 the answer's code is 0, 1 it is another or there is no answer, 2 wrong usage or settings.": (
        "0 响应的 code 为 0，1 为其他值或没有响应，2 用法或配置错误。"
    ),
    "0 the server would start with them, 2 it would not. Every reason is a line on stderr; what is wrong with the "
    "settings together is told when each of them is known and well-formed.": (
        "0 服务器可以用该配置启动，2 不能。每个原因在 stderr 上占一行；"
        "各项配置都已知且格式正确之后，才检查它们之间的矛盾。"
    ),
    "0 printed, 2 the settings are wrong.": "0 已打印，2 配置错误。",
    "0 the database is up to date, 1 it is not or cannot be reached, 2 the settings are wrong.": (
        "0 数据库已是最新，1 不是最新或无法连接，2 配置错误。"
    ),
    "0 up to date, 1 failed, 2 the settings are wrong.": "0 已是最新，1 失败，2 配置错误。",
    "0 written, 2 the options or the settings are wrong.": "0 已写入，2 选项或配置错误。",
    "0 none, 1 some; `datingtoday docs write` makes them anew.": "0 没有，1 有；用 `datingtoday docs write` 重新生成。",
    "0 no errors (warnings are possible), 1 errors were found, 2 the settings cannot be read.": (
        "0 没有错误（可能有警告），1 发现错误，2 无法读取配置。"
    ),
    "0 done, 1 failed (finished batches are kept), 2 the settings are wrong.": (
        "0 完成，1 失败（已完成的批次会保留），2 配置错误。"
    ),
    "0 shown, 1 failed (with --check also: no worker runs, a job fails or is late), 2 the settings are wrong.": (
        "0 已显示，1 失败（加 --check 时还包括：没有 worker 运行、任务失败或延误），2 配置错误。"
    ),
    "0 added, 1 failed (there is one of this name for the same gender), 2 wrong usage or settings.": (
        "0 已添加，1 失败（同一性别已有同名标签），2 用法或配置错误。"
    ),
    "0 done, 1 failed (no such label, or there is one of this name for the same gender), 2 wrong usage or settings.": (
        "0 完成，1 失败（标签不存在，或同一性别已有同名标签），2 用法或配置错误。"
    ),
    "0 done, 1 failed (no such upload; nothing was changed), 2 wrong usage or settings.": (
        "0 完成，1 失败（上传不存在；未做任何修改），2 用法或配置错误。"
    ),
    "0 done, 1 failed (no answer for some of them), 2 the settings are wrong.": (
        "0 完成，1 失败（部分没有得到结论），2 配置错误。"
    ),
    "0 done, 1 failed (removed rows stay removed) or objects missing, 2 the settings are wrong.": (
        "0 完成，1 失败（已删除的行不会恢复）或缺少对象，2 配置错误。"
    ),
    "0 done, 1 failed (no such account), 2 wrong usage or settings.": (
        "0 完成，1 失败（账号不存在），2 用法或配置错误。"
    ),
    "0 done, 1 failed (no such report, or closed already), 2 wrong usage or settings.": (
        "0 完成，1 失败（举报不存在或已关闭），2 用法或配置错误。"
    ),
    "0 shown, 1 failed (no such report), 2 wrong usage or settings.": (
        "0 已显示，1 失败（举报不存在），2 用法或配置错误。"
    ),
    "0 done, 1 failed (no such account, or not banned), 2 wrong usage or settings.": (
        "0 完成，1 失败（账号不存在或未被封禁），2 用法或配置错误。"
    ),
    "0 nothing differs, 1 something does or failed, 2 the settings are wrong.": (
        "0 没有差异，1 有差异或失败，2 配置错误。"
    ),
    "0 done, or accepted by the provider; 1 failed; 2 wrong usage or settings.": (
        "0 完成或支付渠道已受理，1 失败，2 用法或配置错误。"
    ),
    "0 every notification was accepted, 1 failed or refused, 2 wrong usage or settings.": (
        "0 全部通知均被接受，1 失败或被拒绝，2 用法或配置错误。"
    ),
    "0 added, 1 failed (the Apple id is another product's), 2 wrong usage or settings.": (
        "0 已添加，1 失败（该 Apple ID 属于另一商品），2 用法或配置错误。"
    ),
    "0 done, 1 failed (no such product, or the Apple id is another's), 2 wrong usage or settings.": (
        "0 完成，1 失败（商品不存在，或该 Apple ID 属于另一商品），2 用法或配置错误。"
    ),
    "0 done, 1 failed (no such product), 2 wrong usage or settings.": (
        "0 完成，1 失败（商品不存在），2 用法或配置错误。"
    ),
    "0 done, 1 failed (removed rows stay removed), 2 the settings are wrong.": (
        "0 完成，1 失败（已删除的行不会恢复），2 配置错误。"
    ),
    "0 done, 1 failed (whole batches stay), 2 the settings are wrong.": (
        "0 完成，1 失败（已完成的批次会保留），2 配置错误。"
    ),
    "0 stopped in order, 1 failed, 2 the settings are wrong.": "0 正常停止，1 失败，2 配置错误。",
    "0 stopped in order, 1 failed, 2 the settings are wrong, 130 stopped by Ctrl-C before it served.": (
        "0 正常停止，1 失败，2 配置错误，130 在开始服务前被 Ctrl-C 停止。"
    ),
    "0 explained (and right, if a sign was given), 1 the sign is wrong, 2 wrong usage or settings.": (
        "0 已解释（若给出 sign 则为正确），1 sign 错误，2 用法或配置错误。"
    ),
}

CHINESE = {
    **OPTIONS,
    **_COMMANDS,
    **{f"Exit codes: {codes}": f"退出码：{zh}" for codes, zh in _EXIT_CODES.items()},
}
