"""The settings of limits. Adding one is adding a line and running `datingtoday docs write`."""

from datingtoday.infra.config.fields import Section, key


class LimitsSection(Section):
    """Limits per user, number and address."""

    enabled: bool = key(
        True, en="0 disables every limit; for tests.", zh="关闭后所有限制均不生效，仅供测试。"
    )
    per_user_per_minute: int = key(
        600,
        ge=1,
        le=1_000_000,
        en="Requests per user in any minute, from all devices together.",
        zh="单个用户所有设备合计每分钟的请求数。",
    )
    cards_per_hour: int = key(
        4000,
        ge=100,
        le=10_000_000,
        en="Different people whose cards lists may show one user in an hour.",
        zh="单个用户一小时内可在列表中看到的不同用户数。",
    )
    cards_per_day: int = key(
        12_000,
        ge=100,
        le=10_000_000,
        en="The same in a day.",
        zh="同上，一天内。",
    )
    profiles_per_hour: int = key(
        600,
        ge=10,
        le=10_000_000,
        en="Different people whose profile or album one user may open in an hour.",
        zh="单个用户一小时内可打开资料或相册的不同用户数。",
    )
    profiles_per_day: int = key(
        2000,
        ge=10,
        le=10_000_000,
        en="The same in a day.",
        zh="同上，一天内。",
    )
    sms_gap_s: int = key(
        60,
        ge=0,
        le=3600,
        en="Minimum seconds between two codes to one number.",
        zh="同一号码两次验证码的最小间隔秒数。",
    )
    sms_per_hour: int = key(
        5, ge=1, le=1000, en="Codes per number per hour.", zh="同一号码每小时的验证码数。"
    )
    sms_per_day: int = key(10, ge=1, le=1000, en="Codes per number per day.", zh="同一号码每天的验证码数。")
    sms_per_address_per_hour: int = key(
        30,
        ge=1,
        le=1_000_000,
        en="Code requests per network address per hour.",
        zh="同一网络地址每小时可请求的验证码数。",
    )
    sms_per_prefix_per_day: int = key(
        2000,
        ge=1,
        le=10_000_000,
        en="Codes in 24 hours to numbers with the same prefix (country code and three digits).",
        zh="同一号段（国家码加三位数字）24 小时内的验证码数。",
    )
    sms_in_all_per_day: int = key(
        20_000,
        ge=1,
        le=10_000_000,
        en="Codes in 24 hours to all numbers together; what a day of SMS can cost at most.",
        zh="所有号码 24 小时内的验证码总数，即每天短信费用的上限。",
    )
    wrong_codes_per_address_per_hour: int = key(
        60,
        ge=1,
        le=1_000_000,
        en="Wrong tries from one network address in an hour against codes that were asked for from elsewhere; each "
        "right one makes room for one more.",
        zh="同一网络地址每小时对其他网络请求的验证码的错误尝试次数，每次成功增加一次余量。",
    )
    wrong_codes_per_prefix_per_hour: int = key(
        300,
        ge=1,
        le=1_000_000,
        en="The same against numbers with one prefix (country code and three digits), from all addresses.",
        zh="同上，但按号段（国家码加三位数字）统计所有网络地址。",
    )
    messages_per_minute: int = key(
        300,
        ge=1,
        le=60_000,
        en="Messages per user per minute.",
        zh="单个用户每分钟可发送的消息数。",
    )
    new_contacts_per_day: int = key(
        20,
        ge=1,
        le=100_000,
        en="New conversations per user per day (UTC).",
        zh="单个用户每天（UTC）可主动发起的会话数。",
    )
    new_contacts_per_day_vip: int = key(
        100, ge=1, le=100_000, en="The same for VIPs.", zh="VIP 用户的同一上限。"
    )
    uploads_at_once: int = key(
        2,
        ge=1,
        le=100,
        en="Uploads of one user that are worked on at the same time; one more is refused at once.",
        zh="单个用户同时处理的上传数，超出的立即拒绝。",
    )
    reports_per_day: int = key(
        20,
        ge=1,
        le=10_000,
        en="Reports per user per 24 hours.",
        zh="同一用户 24 小时内可提交的举报数。",
    )
