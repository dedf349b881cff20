"""Settings of the demo, which only the embedded default switches on."""

from datingtoday.infra.config.fields import Section, key
from datingtoday.infra.config.value_types import DemoCode

DEMO_PHONES = ("+8613800000001", "+8613800000002", "+8613800000003")
"""Phone numbers of the made-up people that can be logged in to."""
DEMO_PEOPLE = ("林小雨", "周子航", "苏晴")
"""Their nicknames."""
ANSWERING_PHONE = DEMO_PHONES[2]


class DemoSection(Section):
    """/demo: a web client to look at, and people to step into."""

    enabled: bool = key(
        False,
        embedded_default=True,
        en="Serve the demo client; its page holds the appkey and appsecret of [APP].",
        zh="提供演示客户端；其页面包含 [APP] 的 appkey 与 appsecret。",
        unset=("on in the embedded default, else off", "内嵌默认模式下开启，否则关闭"),
    )
    login_code: DemoCode = key(
        "",
        embedded_default="888888",
        example="246810",
        en="Login code of the demo people (13800000001 to 13800000003), for loopback peers only.",
        zh="演示用户（13800000001 至 13800000003）的登录验证码，仅限本机请求。",
        unset=("888888 in the embedded default, else none", "内嵌默认模式下为 888888，否则无"),
    )
    answers: bool = key(
        False,
        embedded_default=True,
        en="Let the third demo person answer messages by itself.",
        zh="让第三位演示用户自动回复消息。",
        unset=("on in the embedded default, else off", "内嵌默认模式下开启，否则关闭"),
    )
