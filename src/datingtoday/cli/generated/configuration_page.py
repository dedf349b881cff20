"""The pages that explain the settings, made from the settings themselves."""

from typing import Literal

from pydantic.fields import FieldInfo

from datingtoday.infra.config.fields import KeyNotes, Section, allowed, as_text, notes_of
from datingtoday.infra.config.settings import ENV_PREFIX, sections
from datingtoday.infra.text import Text

Language = Literal["en", "zh"]

_INTRO = {
    "en": """# Settings

Made from the code by `datingtoday docs write`; do not edit. [中文](configuration.zh-CN.md)

No setting is needed to start: without any, `datingtoday serve` runs the *embedded default*, SQLite and a
private Redis in the data folder, with secrets that it generates once. As soon as `[DATABASE] uri` is given,
that is over: appkey, appsecret and secret_key must be set, codes are not echoed, example values are refused.

- A key is looked for in the environment (`DATINGTODAY_<SECTION>_<KEY>`), then in the INI file, then in
  `secrets.ini` of the data folder (embedded default only), then here among the defaults.
- The INI file is that of `--config`, else of `DATINGTODAY_CONFIG`, else `config.ini` in the working folder,
  if it exists. The data folder is that of `--data`, else of `DATINGTODAY_DATA`, else `./data`.
- Comments are whole lines that begin with `;` or `#`. Values are taken as they stand: no quotes, and `%` is
  just a `%`.
- A boolean is `1 0`, `true false`, `yes no` or `on off`; a list is comma separated.
- Whatever is unknown, malformed or empty stops the start; a line for each names the key and what is allowed.
  `datingtoday config check` says so without starting; `datingtoday config show` prints each value with its
  origin, secrets masked.
""",
    "zh": """# 配置

由 `datingtoday docs write` 从代码生成，请勿手工修改。[English](configuration.md)

启动不需要任何配置。什么都不设置时，`datingtoday serve` 以*内嵌默认模式*运行：
使用数据目录中的 SQLite 和私有 Redis，密钥在首次启动时生成一次。一旦给出 `[DATABASE] uri`，
内嵌默认模式即结束：appkey、appsecret、secret_key 必须设置，不再返回验证码，示例值会被拒绝。

- 查找顺序：环境变量（`DATINGTODAY_<节>_<键>`），INI 文件，
  数据目录中的 `secrets.ini`（仅内嵌默认模式），最后是下表的默认值。
- INI 文件依次取 `--config`、`DATINGTODAY_CONFIG`、当前目录下的 `config.ini`（若存在）。
  数据目录依次取 `--data`、`DATINGTODAY_DATA`、`./data`。
- 注释独占一行，以 `;` 或 `#` 开头。值按原样读取：不加引号，`%` 没有特殊含义。
- 布尔值写作 `1 0`、`true false`、`yes no` 或 `on off`；列表以逗号分隔。
- 未知、格式错误或为空的设置会阻止启动；每一处各用一行指明是哪个键、允许什么。
  `datingtoday config check` 只检查不启动；`datingtoday config show` 显示每个值及其来源，密钥以星号代替。
""",
}

_HEADINGS = {
    "en": "| key | what | allowed | default |",
    "zh": "| 键 | 说明 | 允许的值 | 默认值 |",
}
_NOT_SET = Text("not set", "未设置")
_ENVIRONMENT = Text("In the environment", "环境变量")


def configuration_page(language: Language) -> str:
    """docs/configuration.md in one of the languages."""
    lines = [_INTRO[language]]
    for section, model in sections().items():
        lines += [f"## [{section}]", ""]
        if language == "en":
            lines += [_first_line(model), ""]
        lines += [_HEADINGS[language], "| --- | --- | --- | --- |"]
        for name, info in model.model_fields.items():
            notes = notes_of(info)
            cells = (
                f"`{name}`",
                _say(notes.about, language),
                _say(allowed(info), language),
                _default(info, language),
            )
            lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
        lines += ["", f"{_say(_ENVIRONMENT, language)}: `{ENV_PREFIX}{section}_<KEY>`", ""]
    return "\n".join(lines).rstrip() + "\n"


def example_ini() -> str:
    """config.example.ini: every key, explained in both languages, and switched off by a comment sign."""
    lines = [
        "; Every setting of DatingToday. None is needed to start. Copy this file to config.ini, and take",
        "; away the comment sign of what you change. Made by `datingtoday docs write`; see docs/configuration.md.",
        "; DatingToday 的全部设置，启动时均非必需。复制为 config.ini，去掉要修改的行首的注释符即可。",
        "; 由 `datingtoday docs write` 生成；详见 docs/configuration.zh-CN.md。",
    ]
    for section, model in sections().items():
        lines += ["", "", f"[{section}]"]
        for name, info in model.model_fields.items():
            notes, may = notes_of(info), allowed(info)
            lines += ["", f"; {notes.about.en}", f"; {notes.about.zh}"]
            lines += [f"; Allowed: {may.en}", f"; 允许：{may.zh}"]
            if notes.unset is not None:
                lines += [f"; Left out: {notes.unset.en}", f"; 不设置：{notes.unset.zh}"]
            value = notes.example if notes.example is not None else as_text(info.default)
            lines += [f";{name} = {value}"]
    return "\n".join(lines) + "\n"


def _first_line(model: type[Section]) -> str:
    return (model.__doc__ or "").strip().splitlines()[0]


def _say(words: Text, language: Language) -> str:
    return words.en if language == "en" else words.zh


def _default(info: FieldInfo, language: Language) -> str:
    notes: KeyNotes = notes_of(info)
    if notes.unset is not None:
        return _say(notes.unset, language)
    value = as_text(info.default)
    return f"`{value}`" if value else _say(_NOT_SET, language)
