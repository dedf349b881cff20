"""The types of settings: what a value may look like, said once for error lines and documentation."""

from typing import Annotated

from datingtoday.infra.config.fields import NETWORK, TextRule, matching, time_zone, uri_of
from datingtoday.infra.text import Text

Appkey = Annotated[
    str, matching(r"[A-Za-z0-9_-]{4,64}", "4 to 64 of A-Z a-z 0-9 _ -", "4 到 64 个字符：A-Z a-z 0-9 _ -")
]
Secret = Annotated[
    str,
    matching(
        r"[!-~]{8,256}",
        "8 to 256 printable ASCII characters, no spaces",
        "8 到 256 个可打印 ASCII 字符，不含空格",
    ),
]
HexKey = Annotated[
    str,
    matching(
        r"[0-9a-fA-F]{64,256}",
        "64 or more hex digits (openssl rand -hex 32)",
        "至少 64 位十六进制（openssl rand -hex 32）",
    ),
]
Host = Annotated[str, matching(r"[A-Za-z0-9.:_-]{1,255}", "an address or a host name", "地址或主机名")]
Name = Annotated[
    str,
    matching(
        r"[!-~]{1,255}",
        "1 to 255 printable ASCII characters, no spaces",
        "1 到 255 个可打印 ASCII 字符，不含空格",
    ),
]
Sign = Annotated[str, matching(r"\S(.{0,62}\S)?", "1 to 64 characters", "1 到 64 个字符")]
Region = Annotated[
    str, matching(r"[A-Z]{2}", "two capital letters (CN, SG, DE)", "两个大写字母（CN、SG、DE）")
]
Regions = Annotated[
    tuple[str, ...],
    matching(
        r"\*|[A-Z]{2}",
        "countries and territories by two capital letters, comma separated (CN, HK), or *",
        "以逗号分隔的两个大写字母的国家或地区（CN, HK），或 *",
    ),
]
Version = Annotated[
    str,
    matching(
        r"[0-9]{1,6}(\.[0-9]{1,6}){0,3}", "numbers with points (2, 2.10.1)", "以点分隔的数字（2、2.10.1）"
    ),
]
Moderator = Annotated[
    str,
    matching(
        r"approve|[A-Za-z_][A-Za-z0-9_.]{0,200}:[A-Za-z_][A-Za-z0-9_]{0,100}",
        "approve, or package.module:factory",
        "approve，或 package.module:factory",
    ),
]
DemoCode = Annotated[str, matching(r"[0-9]{6}", "6 digits", "6 位数字")]
FilePath = Annotated[str, matching(r"[^\0]{1,4096}", "the path of a file", "文件路径")]
FilePaths = Annotated[
    tuple[str, ...], matching(r"[^\0,]{1,4096}", "paths of files, comma separated", "以逗号分隔的文件路径")
]
KeyFiles = Annotated[
    tuple[str, ...],
    matching(r"[A-Za-z0-9_]{1,64}=[^\0,]{1,4096}", "ID=FILE, comma separated", "以逗号分隔的 ID=文件"),
]
FolderPath = Annotated[str, matching(r"/[^\0]{1,4095}", "an absolute path of a folder", "目录的绝对路径")]
Location = Annotated[
    str, matching(r"/[A-Za-z0-9_/-]*/", "a path that begins and ends with /", "以 / 开头和结尾的路径")
]
HttpUrl = Annotated[
    str, uri_of(("http", "https"), "an http:// or https:// address", "http:// 或 https:// 地址")
]
DatabaseUri = Annotated[
    str,
    uri_of(
        ("mysql+pymysql", "mysql+mysqldb", "mariadb+pymysql", "mariadb+mysqldb", "sqlite"),
        "mysql+pymysql://user:password@host:3306/name, or sqlite:////path (password percent-encoded)",
        "mysql+pymysql://用户:密码@主机:3306/库名，或 sqlite:////路径（密码须百分号编码）",
    ),
]
RedisUri = Annotated[
    str,
    uri_of(
        ("redis", "rediss", "unix", "redis+cluster", "rediss+cluster"),
        "redis://[user:password@]host:6379/0, rediss://…, unix:///path or redis+cluster://host:6379",
        "redis://[用户:密码@]主机:6379/0、rediss://…、unix:///路径 或 redis+cluster://主机:6379",
    ),
]
Origins = Annotated[
    tuple[str, ...],
    matching(
        r"\*|null|[a-z][a-z0-9+.-]{0,30}://([a-z0-9.-]{1,253}|\[[0-9a-f:.]{2,45}\])(:[0-9]{1,5})?",
        "origins, comma separated (https://m.example.com, http://localhost:5173), or *",
        "以逗号分隔的来源（https://m.example.com, http://localhost:5173），或 *",
    ),
]
TimeZone = Annotated[
    str,
    TextRule(
        Text("a time zone of the IANA database (Asia/Shanghai)", "IANA 时区（Asia/Shanghai）"), time_zone
    ),
]
Networks = Annotated[tuple[str, ...], NETWORK]
