"""The one table of errors: every error that a client can receive is a class here or in a feature's ``errors.py``.

`docs/errors.md` is generated from these classes; two classes with the same code and HTTP status cannot be defined.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

from datingtoday.infra.text import Text


class DataField(NamedTuple):
    """A field of an error's ``data``: what it tells, and its JSON schema."""

    about: Text
    schema: Mapping[str, Any]


_TEXT = {"type": "string"}
_NUMBER = {"type": "integer", "minimum": 0}
_STATE = {"type": "string"}


class AppError(Exception):
    """An outcome that is told to the client as ``{"code": …, "msg": …}``.

    ``en`` and ``zh`` are format strings for the keyword arguments of the constructor. ``commits`` says that what
    was done before the error must stay (a used-up try of a code); every other error rolls back.
    """

    code: ClassVar[int]
    http_status: ClassVar[int] = 200
    en: ClassVar[str]
    zh: ClassVar[str]
    cause: ClassVar[Text]
    cure: ClassVar[Text]
    data_fields: ClassVar[Mapping[str, DataField]] = {}
    """Fields that ``data`` of the answer may hold, for the documentation; a test holds answers against it."""
    commits: ClassVar[bool] = False

    registry: ClassVar[dict[tuple[int, int], type[AppError]]] = {}

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "code" not in cls.__dict__ and "http_status" not in cls.__dict__:
            return
        key = (cls.code, cls.http_status)
        other = AppError.registry.setdefault(key, cls)
        if other is not cls and other.__qualname__ != cls.__qualname__:
            raise TypeError(f"{cls.__qualname__} and {other.__qualname__} share code {key[0]}, HTTP {key[1]}")
        for name in ("en", "zh", "cause", "cure"):
            if not getattr(cls, name, None):
                raise TypeError(f"{cls.__qualname__} must say {name}")

    def __init__(
        self, *, data: dict[str, Any] | None = None, headers: dict[str, str] | None = None, **values: Any
    ) -> None:
        self.values = values
        self.data = data
        self.headers = headers or {}
        super().__init__(self.message("en"))

    def message(self, lang: str) -> str:
        """The sentence for the client; ``lang`` is ``en`` or ``zh``."""
        values = {
            name: value.within(lang) if isinstance(value, Text) else value
            for name, value in self.values.items()
        }
        return (self.zh if lang == "zh" else self.en).format_map(values)


class ParameterError(AppError):
    """A parameter is missing or malformed; the message names it and says what is allowed."""

    code = 300
    en = "{name} {problem}"
    zh = "参数 {name} {problem}"
    cause = Text(
        "A parameter is missing, duplicated, in the wrong place, or malformed.",
        "参数缺失、重复、位置不对，或格式不符合该接口的要求。",
    )
    cure = Text(
        "Read the message: it names the parameter and says what is allowed. Nothing was changed.",
        "看 msg：它写明了是哪个参数、允许什么。服务器没有做任何修改。",
    )

    @classmethod
    def missing(cls, name: str, allowed: Text) -> ParameterError:
        return cls(
            name=name,
            problem=Text(f"is missing; allowed: {allowed.en}", f"缺失；允许：{allowed.zh}"),
        )

    @classmethod
    def malformed(cls, name: str, allowed: Text) -> ParameterError:
        return cls(
            name=name,
            problem=Text(f"is not valid; allowed: {allowed.en}", f"不正确；允许：{allowed.zh}"),
        )

    @classmethod
    def plain(cls, en: str, zh: str) -> ParameterError:
        """A message that stands as it is."""
        return _PlainParameterError(en=en, zh=zh)


class _PlainParameterError(ParameterError):
    en = "{en}"
    zh = "{zh}"


class SignatureWrong(AppError):
    code = 500
    en = "signature is error."
    zh = "签名错误。"
    cause = Text(
        "`sign` is not the signature of these parameters under this appkey's secret.",
        "`sign` 与这些参数及该 appkey 的密钥算出的签名不一致。",
    )
    cure = Text(
        "Compare your string to sign with the vectors in docs/protocol.md. On a local server `data` shows the string "
        "that the server signed and the likely mistake.",
        "把待签名字符串与 docs/protocol.md 的示例逐字比较。本地服务器会在 `data` 里给出"
        "服务器端的待签名字符串和最可能的错误。",
    )
    data_fields: ClassVar[Mapping[str, DataField]] = {
        "string_to_sign": DataField(
            Text(
                "what the server signed, the secret masked; only on a local server, for peers on the same machine",
                "服务器端的待签名字符串（密钥已隐去）；仅在本地服务器上对本机客户端返回",
            ),
            _TEXT,
        ),
        "hint": DataField(
            Text("the likely mistake; only together with it", "最可能的错误；与上一项同时返回"), _TEXT
        ),
    }


class InternalError(AppError):
    code = 500
    http_status = 500
    en = "internal error"
    zh = "服务器内部错误"
    cause = Text("A fault of the server.", "服务器出错。")
    cure = Text(
        "Try again later; tell the operator the `X-Request-Id` of the answer.",
        "稍后重试；把响应头 `X-Request-Id` 告诉运维人员。",
    )


class NotFound(AppError):
    code = 404
    http_status = 404
    en = (
        "The requested URL was not found on the server. If you entered the URL manually please check your spelling "
        "and try again."
    )
    zh = "服务器上没有这个地址，请检查拼写。"
    cause = Text("No endpoint has this path.", "没有这个路径的接口。")
    cure = Text("Check the path against /docs.", "对照 /docs 检查路径。")


class MethodNotAllowed(AppError):
    code = 405
    http_status = 405
    en = "The method is not allowed for the requested URL; allowed: {allowed}"
    zh = "该地址不支持这种请求方法；允许：{allowed}"
    cause = Text("The endpoint exists, but not for this HTTP method.", "接口存在，但不支持这种 HTTP 方法。")
    cure = Text("Use a method that the `Allow` header names.", "使用响应头 `Allow` 列出的方法。")


class BodyTooLarge(AppError):
    code = 413
    http_status = 413
    en = "the request body is too large; at most {limit_bytes} bytes are taken here"
    zh = "请求体过大；此接口最多接受 {limit_bytes} 字节"
    cause = Text("The request body is larger than this endpoint accepts.", "请求体超过该接口的上限。")
    cure = Text("Send less; `/api/app/config` and the docs list the limits.", "减小请求体；上限见文档。")


class UnsupportedMediaType(AppError):
    code = 415
    http_status = 415
    en = "the body must be application/x-www-form-urlencoded or multipart/form-data"
    zh = "请求体必须是 application/x-www-form-urlencoded 或 multipart/form-data"
    cause = Text(
        "A body of another type, JSON for example, or one that is compressed.",
        "请求体是其他类型（例如 JSON），或经过压缩。",
    )
    cure = Text("Send the parameters as a form, uncompressed.", "用表单提交参数，不要压缩。")


class BodyCompressed(UnsupportedMediaType):
    en = "the body is compressed (Content-Encoding: {encoding}); send it as it is"
    zh = "请求体被压缩（Content-Encoding: {encoding}）；请不经压缩发送"

    def __init__(self, encoding: str) -> None:
        super().__init__(headers={"Accept-Encoding": "identity"}, encoding=encoding[:40])


class RateLimited(AppError):
    code = 429
    http_status = 429
    en = "too many requests; try again in {retry_after_s} s"
    zh = "请求过于频繁；请在 {retry_after_s} 秒后重试"
    cause = Text(
        "A limit per user, per number or per address has been reached.",
        "达到了按用户、号码或地址计算的频率上限。",
    )
    cure = Text("Wait for the time given in `Retry-After`.", "按 `Retry-After` 等待后再试。")
    data_fields: ClassVar[Mapping[str, DataField]] = {
        "retry_after_s": DataField(
            Text("seconds to wait, as in `Retry-After`", "需等待的秒数，与 `Retry-After` 相同"),
            {"type": "integer", "minimum": 1},
        )
    }

    def __init__(self, retry_after_s: float) -> None:
        seconds = max(1, int(-(-retry_after_s // 1)))
        super().__init__(
            data={"retry_after_s": seconds}, headers={"Retry-After": str(seconds)}, retry_after_s=seconds
        )


class Unavailable(AppError):
    code = 503
    http_status = 503
    en = "a part that this request needs is down; try again shortly"
    zh = "该请求依赖的服务暂时不可用，请稍后重试"
    cause = Text(
        "Redis, the database or a provider (SMS, storage, payment) is unreachable.",
        "Redis、数据库或服务商（短信、存储、支付）暂时无法访问。",
    )
    cure = Text(
        "Try again with a new nonce after `Retry-After`. Nothing was changed, and it does not count against limits.",
        "在 `Retry-After` 之后用新的 nonce 重试。服务器没有做任何修改，也不计入频率限制。",
    )
    data_fields: ClassVar[Mapping[str, DataField]] = {
        "database": DataField(
            Text("`up` or `down`; only of `/readyz`", "`up` 或 `down`；仅 `/readyz` 返回"), _STATE
        ),
        **dict.fromkeys(
            ("schema", "redis", "cache", "queues", "worker", "push"),
            DataField(Text("the same", "同上"), _STATE),
        ),
        "latency_ms": DataField(
            Text("milliseconds by part; only of `/readyz`", "各部分的毫秒数；仅 `/readyz` 返回"),
            {"type": "object", "additionalProperties": {"type": "number"}},
        ),
    }

    def __init__(self) -> None:
        super().__init__(headers={"Retry-After": "1"})


class ClientIdReused(AppError):
    code = 1403
    en = "clientId reused with other content"
    zh = "clientId 已用于其他内容"
    cause = Text(
        "This `clientId` was used before, with other content.",
        "你之前已用这个 `clientId` 提交过其他内容。",
    )
    cure = Text(
        "Generate a new `clientId` for every new message or order; reuse it only to retry the same one.",
        "每条新消息或新订单都生成新的 `clientId`；只在重试同一条时沿用。",
    )


class RequestExpired(AppError):
    code = 1001
    en = "request expired"
    zh = "请求已过期"
    cause = Text(
        "`timestamp` is more than 60 s behind or 5 s ahead of the server's clock, or older than the "
        "moment at which the "
        "server lost its record of past requests.",
        "`timestamp` 比服务器慢 60 秒以上或快 5 秒以上；或者该请求早于服务器丢失历史记录的时刻。",
    )
    cure = Text(
        "Correct your clock offset from `data.server_time` and sign again; if `data.retry_after_ms` is "
        "present, wait that "
        "long first.",
        "用 `data.server_time` 校准时钟后重新签名；若有 `data.retry_after_ms`，先等待这么久。",
    )
    data_fields: ClassVar[Mapping[str, DataField]] = {
        "server_time": DataField(
            Text("the server's clock, ms since 1970", "服务器时钟，1970 年以来的毫秒数"), _NUMBER
        ),
        "retry_after_ms": DataField(
            Text(
                "how long to wait; only after the server lost its record of past requests",
                "需等待的毫秒数；仅在服务器丢失历史记录之后",
            ),
            _NUMBER,
        ),
    }


class RequestReplayed(AppError):
    code = 1002
    en = "request replayed"
    zh = "重复的请求"
    cause = Text("This signature, or this nonce, was used before.", "这个签名或 nonce 已经用过。")
    cure = Text(
        "Generate a new nonce for every request, including retries.", "每次请求（包括重试）都要用新的 nonce。"
    )


class AppkeyUnknown(AppError):
    code = 1003
    en = "appkey unknown"
    zh = "未知的 appkey"
    cause = Text("No client program has this appkey, or it is disabled.", "没有这个 appkey，或它已被停用。")
    cure = Text(
        "Use the appkey that the operator gave you (`datingtoday app list` shows them).",
        "使用运维人员分配的 appkey（`datingtoday app list` 可查看）。",
    )


class NoPermission(AppError):
    code = 504
    en = "no operation permission"
    zh = "没有操作权限"
    cause = Text(
        "`token` or `userId` is missing, was never valid, or they do not belong together.",
        "`token` 或 `userId` 缺失、从未有效，或两者不匹配。",
    )
    cure = Text(
        "Log in, and send the `user_id` and `token` of that answer.",
        "先登录，再带上登录返回的 `user_id` 和 `token`。",
    )


class TokenExpired(AppError):
    code = 1101
    en = "token expired"
    zh = "登录已失效"
    cause = Text(
        "The login has ended: expired, logged out, replaced by a newer device, or the account was deleted.",
        "登录已结束：过期、已退出、被新设备挤下线，或账号已注销。",
    )
    cure = Text("Log in again.", "重新登录。")


class AccountBanned(AppError):
    code = 1102
    en = "account banned"
    zh = "账号已被封禁"
    cause = Text("The account broke the rules.", "账号违反了规则。")
    cure = Text(
        "`data.until` is the end of the ban (null: permanent), `data.reason` the reason.",
        "`data.until` 是解封时间（null 表示永久），`data.reason` 是原因。",
    )
    data_fields: ClassVar[Mapping[str, DataField]] = {
        "until": DataField(
            Text("UTC; null: permanent", "UTC 时间；null 表示永久"),
            {"type": ["string", "null"], "pattern": r"^\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}$"},
        ),
        "reason": DataField(
            Text("as the operator wrote it; may be empty", "运维人员填写的原因，可能为空"), _TEXT
        ),
    }
