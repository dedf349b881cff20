"""Chapters in which two people register and find each other."""

from __future__ import annotations

from datingtoday.infra.text import Text
from datingtoday.web.postman.steps import HELLO, PEER, Chapter, Step

_NEW_PHONE = '"139" + String(Math.floor(Math.random() * 1e8)).padStart(8, "0")'

MEETING = (
    Chapter(
        Text("Start", "开始"),
        (
            Step(
                "GET /api/app/config",
                checks={"有枚举值 · has enumerations": "data.enumerations.gender.length === 3"},
                keep={"sms_gap_s": "data.limits.sms_gap_s"},
                draw={
                    "clock_offset_ms": "data.server_time_ms - Date.now()",
                    # Each run registers people of its own, so that it can be repeated at once.
                    "phone": _NEW_PHONE,
                    "peer_phone": _NEW_PHONE,
                    "new_phone": _NEW_PHONE,
                },
            ),
            Step("GET /api/label/list", keep={"label_id": "data[0].label_id"}),
        ),
    ),
    Chapter(
        Text("Code and login", "验证码与登录"),
        (
            Step(
                "POST /api/auth/sendsms",
                {"phone": "{{phone}}"},
                checks={"号码原样返回 · the number as given": 'data.phone === pm.environment.get("phone")'},
                # Elsewhere than in the embedded default the code comes by SMS: put it into the variable.
                keep={"code": "data.code"},
            ),
            Step(
                "POST /api/auth/login",
                {"phone": "{{phone}}", "code": "{{code}}", "device": "Postman"},
                checks={
                    "新用户 · a new user": "data.is_new === true",
                    "token 为 32 位十六进制 · the token is 32 hex digits": "/^[0-9a-f]{32}$/.test(data.token)",
                },
                keep={"user_id": "data.user_id", "token": "data.token"},
            ),
            Step(
                "POST /api/auth/sendsms",
                {"phone": "{{peer_phone}}"},
                title=Text("Send a code to the other person", "给另一位用户发送验证码"),
                checks={
                    "号码原样返回 · the number as given": 'data.phone === pm.environment.get("peer_phone")'
                },
                keep={"peer_code": "data.code"},
            ),
            Step(
                "POST /api/auth/login",
                {"phone": "{{peer_phone}}", "code": "{{peer_code}}", "device": "Postman"},
                title=Text("Log in as the other person", "以另一位用户登录"),
                checks={
                    "是另一个用户 · another user": 'data.user_id !== Number(pm.environment.get("user_id"))'
                },
                keep={"peer_id": "data.user_id", "peer_token": "data.token"},
            ),
            Step(
                "GET /api/auth/sessions",
                checks={"只有本设备 · this device only": "data.length === 1 && data[0].current"},
            ),
        ),
    ),
    Chapter(
        Text("Profile and album", "资料与相册"),
        (
            Step(
                "POST /api/user/update",
                {
                    "nickname": "小周 {{user_id}}",
                    "gender": "1",
                    "sexual": "2",
                    "birthday": "1997-05-20",
                    "height": "178",
                    "education": "3",
                    "intro": HELLO,
                },
                checks={"介绍原样保存 · the intro is kept as it is": f'data.intro === "{HELLO}"'},
            ),
            Step(
                "POST /api/user/update",
                {
                    "nickname": "小雨 {{peer_id}}",
                    "gender": "2",
                    "sexual": "1",
                    "birthday": "1999-10-01",
                    "height": "166",
                },
                PEER,
                Text("The other person's profile", "另一位用户的资料"),
                checks={"性别已保存 · the gender is kept": "data.gender === 2"},
            ),
            Step(
                "POST /api/user/label/update",
                {"labelIds": "{{label_id}}"},
                checks={"一个标签 · one label": "data.length === 1"},
            ),
            Step(
                "POST /api/media/upload",
                {"kind": "photo", "fileSha256": "{{photo_sha256}}"},
                checks={"是照片 · a photo": 'data.kind === "photo" && data.mime.startsWith("image/")'},
                keep={"media_id": "data.media_id", "photo_url": "data.url"},
            ),
            Step("GET /api/media/{media_id}", url="{{photo_url}}"),
            Step(
                "POST /api/album/add",
                {"mediaId": "{{media_id}}"},
                checks={"相册有一张照片 · one photo": "data.length === 1"},
                keep={"photo_id": "data[0].photo_id"},
            ),
            Step(
                "POST /api/album/order",
                {"photoIds": "{{photo_id}}"},
                checks={
                    "第一张 · it is the first": 'data[0].photo_id === Number(pm.environment.get("photo_id"))'
                },
            ),
            Step("GET /api/album/list", checks={"相册有一张照片 · one photo": "data.length === 1"}),
            Step(
                "POST /api/album/remove",
                {"photoId": "{{photo_id}}"},
                checks={"相册已空 · no photo": "data.length === 0"},
            ),
            Step(
                "GET /api/user/show",
                title=Text("My own profile", "查看自己的资料"),
                checks={
                    "自己的手机号 · my own number": 'data.phone.endsWith(pm.environment.get("phone"))',
                    "年龄由生日算出 · the age follows from the birthday": "data.age >= 18",
                },
            ),
        ),
    ),
    Chapter(
        Text("Finding people", "发现"),
        (
            Step(
                "GET /api/user/hot/list",
                {"page": "1", "pageCount": "10"},
                checks={
                    "只有想认识的性别 · only the wanted gender": "data.list.every((card) => card.gender === 2)",
                    "没有自己 · without me": (
                        'data.list.every((card) => card.user_id !== Number(pm.environment.get("user_id")))'
                    ),
                },
            ),
            Step(
                "POST /api/user/location",
                {"latlng": "31.2304,121.4737"},
                PEER,
                Text("The other person reports a location", "另一位用户上报位置"),
            ),
            Step(
                "GET /api/user/nearby/list",
                {"latlng": "31.2310,121.4740", "radius": "5", "pageCount": "50"},
                checks={
                    "距离为上限 · distances are upper bounds": "data.list.every((card) => card.distance_km >= 2)"
                },
            ),
            Step(
                "GET /api/user/search",
                {"nickname": "小雨 {{peer_id}}"},
                checks={
                    "找到她 · finds her": (
                        'data.list.some((card) => card.user_id === Number(pm.environment.get("peer_id")))'
                    )
                },
                until=("data.list[0]?.user_id", "{{peer_id}}"),
            ),
            Step(
                "GET /api/user/show",
                {"peerId": "{{peer_id}}"},
                title=Text("Her profile", "查看对方的资料"),
                checks={"看不到对方手机号 · without her number": "data.phone === undefined"},
            ),
            Step(
                "GET /api/user/show",
                {"peerId": "{{user_id}}"},
                PEER,
                Text("She views my profile: a visit", "对方查看我的资料：一次访问"),
                checks={"不是关注者 · not a follower": "data.following === false"},
            ),
        ),
    ),
    Chapter(
        Text("Following", "关注"),
        (
            Step(
                "POST /api/user/follow",
                {"peerId": "{{peer_id}}"},
                checks={"已关注 · following": "data.following"},
            ),
            Step(
                "POST /api/user/follow",
                {"peerId": "{{user_id}}"},
                PEER,
                Text("She follows me back", "对方回关"),
                checks={"互相关注 · mutual": "data.mutual"},
            ),
            Step("GET /api/user/follow/list", checks={"关注一人 · one": "data.total === 1"}),
            Step("GET /api/user/fans/list", checks={"粉丝一人 · one": "data.total === 1"}),
        ),
    ),
)
