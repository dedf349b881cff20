"""Chinese of the options that `--help` shows."""

from __future__ import annotations

OPTIONS = {
    "Show the version and exit.": "显示版本号后退出。",
    "Show this message and exit.": "显示本帮助后退出。",
    "Show the stack trace of an unexpected error.": "出现意外错误时显示调用栈。",
    "Accept only hmac-sha256 signatures.": "只接受 hmac-sha256 签名。",
    "The INI file of settings [DATINGTODAY_CONFIG, else ./config.ini if there is one].": (
        "INI 配置文件 [DATINGTODAY_CONFIG，否则为 ./config.ini（如存在）]。"
    ),
    "The data folder [DATINGTODAY_DATA, else ./data].": "数据目录 [DATINGTODAY_DATA，否则为 ./data]。",
    "How long the old secret keeps working beside the new one; 0 ends it at once.": (
        "旧密钥与新密钥同时有效的时长；0 表示立即失效。"
    ),
    "End the old secret now, without a new one.": "立即停用旧密钥，不生成新密钥。",
    "Log in as this number, and sign with its token.": "以该手机号登录，并用其令牌签名。",
    "The login code, where the server does not tell it.": "登录验证码（服务器不返回验证码时填写）。",
    "The server [http://127.0.0.1 and the port of the settings].": "服务器地址 [http://127.0.0.1 加配置中的端口]。",
    "Print the signed curl line instead of sending the request.": "只打印已签名的 curl 命令，不发送请求。",
    "Host name under which clients reach the API.": "客户端访问 API 所用的域名。",
    "Folder for the files: a new or empty one, or an earlier one.": "输出目录：新目录、空目录，或此前生成的目录。",
    "Certificate with its chain [/etc/letsencrypt/live/DOMAIN/fullchain.pem].": (
        "证书及证书链 [/etc/letsencrypt/live/DOMAIN/fullchain.pem]。"
    ),
    "Its key [/etc/letsencrypt/live/DOMAIN/privkey.pem].": "证书私钥 [/etc/letsencrypt/live/DOMAIN/privkey.pem]。",
    "Virtual environment of the program [the one that runs this].": "程序所在的虚拟环境 [当前环境]。",
    "User that runs the processes.": "运行各进程的系统用户。",
    "Folder in which certbot puts its answers [/var/www/html].": "certbot 存放验证文件的目录 [/var/www/html]。",
    "Logs of the processes [/var/log/datingtoday].": "各进程的日志目录 [/var/log/datingtoday]。",
    "Logs of nginx [/var/log/nginx].": "nginx 的日志目录 [/var/log/nginx]。",
    "Let nginx listen on IPv6, too.": "让 nginx 同时监听 IPv6。",
    "The public address, to check TLS, proxy and push: https://api.example.com": (
        "公网地址，用于检查 TLS、代理和推送：https://api.example.com"
    ),
    "Only these areas; repeatable.": "只检查这些方面；可重复指定。",
    "Print one JSON document, in both languages.": "输出一个 JSON 文档，含中英文。",
    "Exit with 1 if no worker runs, a job fails or is late.": "没有 worker 运行、任务失败或延误时，退出码为 1。",
    "Gender it is for.": "适用的性别。",
    "Meaning, in up to 20 characters.": "含义，最多 20 个字符。",
    "Meaning; unchanged if left out.": "含义；不填则不变。",
    "Reason, for other moderators.": "理由，供其他审核员查看。",
    "Maximum uploads per statement.": "每条语句最多处理的上传数。",
    "Print errors only; for cron.": "只输出错误，适合 cron。",
    "Shown to the user.": "展示给该用户。",
    "Duration in days (7d); permanent if left out.": "时长，以天计（7d）；不填则为永久。",
    "Only reports about this user id.": "只列出针对该用户 ID 的举报。",
    "Write the photos that an open report keeps to this folder.": "把未结举报保留的照片写到该目录。",
    "Print errors only.": "只输出错误。",
    "Orders of how many days are asked about at their providers; the ledger is compared as a whole.": (
        "向支付渠道查询最近多少天的订单；账本始终整体核对。"
    ),
    "The order's trade_no.": "订单的 trade_no。",
    "Move no money: look up this refund, made in WeChat Pay's console, and apply what it gave back.": (
        "不再退款：查询在微信支付商户平台上已做的这笔退款，并按其退款金额处理。"
    ),
    "Refund it instead of paying it.": "退款，而不是支付。",
    "How many notifications, all at once; 0: paid, but the notification gets lost.": (
        "同时发送多少条通知；0 表示已支付但通知丢失。"
    ),
    "Another amount in fen: of a payment, to see it refused; of a refund, a part.": (
        "另一个金额，单位分：支付时用来看它被拒绝；退款时为部分退款。"
    ),
    "Address of the running server [that of the settings].": "正在运行的服务器地址 [取自配置]。",
    "Days of VIP.": "VIP 天数。",
    "Price in fen: 3000 is 30 yuan.": "价格，单位分：3000 即 30 元。",
    "Description, up to 200 characters.": "描述，最多 200 个字符。",
    "Product id in App Store Connect; left out: not sold there.": "App Store Connect 中的商品 ID；不填则不在那里销售。",
    "Name; left out, it stays. So for all options.": "名称；不填则不变，其他选项相同。",
    "Price in fen.": "价格，单位分。",
    "Description.": "描述。",
    "Product id in App Store Connect; empty: not sold there any more.": (
        "App Store Connect 中的商品 ID；填空值则不再在那里销售。"
    ),
    "Sell a retired product again.": "重新上架已下架的商品。",
    "Maximum rows per statement.": "每条语句最多处理的行数。",
    "Address to listen on [127.0.0.1].": "监听地址 [127.0.0.1]。",
    "Port; every process of a host needs its own [8100].": "端口；同一主机上的每个进程各用一个 [8100]。",
    "Number of people.": "人数。",
    "The same seed makes the same people.": "种子相同，生成的用户也相同。",
    "Seed your own database even if it holds people.": "即使自己的数据库中已有用户，也继续生成。",
    "Port; without [DATABASE] uri the next free one is used if it is taken [8000].": (
        "端口；未配置 [DATABASE] uri 且端口被占用时，使用下一个空闲端口 [8000]。"
    ),
    "Number of worker processes [2].": "工作进程数 [2]。",
    "Made-up people on the first start without settings, so that lists are not empty.": (
        "未配置数据库的首次启动时生成的虚构用户数，使各列表不为空。"
    ),
    "With [DATABASE] uri: bring the database up to date first.": "配置了 [DATABASE] uri 时：先升级数据库。",
    "The appsecret [that of the settings].": "appsecret [取自配置]。",
    "Your string to sign, to be compared; @FILE reads it from a file.": (
        "你的待签名字符串，用于比较；@FILE 表示从文件读取。"
    ),
    "The uploaded file.": "上传的文件。",
}
