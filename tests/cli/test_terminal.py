"""Input and output of commands: tables, cells, texts given as arguments, and pages of help in Chinese."""

from __future__ import annotations

import click
import pytest

from datingtoday.cli import help_formatter
from datingtoday.cli.help_formatter import ChineseFormatter, translated, wrapped
from datingtoday.cli.terminal import one_line, table
from datingtoday.cli.text_arguments import clean_text
from datingtoday.cli.text_width import columns
from datingtoday.cli.usage_errors import in_chinese


def test_columns_of_a_table_line_up() -> None:
    rows = [("id", "名称", "state"), ("100", "月卡", ""), ("7", "x", "on")]
    assert list(table(rows)) == ["id   名称  state", "100  月卡", "7    x     on"]
    assert list(table([("id", "name")])) == ["id  name"], "a heading without rows"


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("", ""),
        (" a\n b\tc ", "a b c"),
        ("长" * 40, "长" * 40),
        ("长" * 41, "长" * 39 + "…"),
        ("a" * 38 + " b" * 20, "a" * 38 + " …"),
    ],
)
def test_long_texts_are_cut_to_forty_characters(text: str, cell: str) -> None:
    assert one_line(text) == cell


@pytest.mark.parametrize(("text", "width"), [("", 0), ("ab", 2), ("名称", 4), ("ａ，", 4), ("é…", 2)])
def test_chinese_characters_take_two_columns(text: str, width: int) -> None:
    assert columns(text) == width


class TestTexts:
    @pytest.mark.parametrize(
        ("text", "least", "most"), [("ab", 2, 5), (" abcde ", 2, 5), ("", 0, 3), ("  ", 0, 3), ("x", 1, 1)]
    )
    def test_are_trimmed(self, text: str, least: int, most: int) -> None:
        assert clean_text("NAME", text, least, most) == text.strip()

    @pytest.mark.parametrize(("text", "least"), [("a", 2), ("abcdef", 2), ("a\nb", 2), ("a\x00", 0)])
    def test_of_another_length_are_refused(
        self, text: str, least: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        allowed = ("2 to 5 characters", "2 到 5 个字符") if least else ("up to 5 characters", "最多 5 个字符")
        for language, said in (
            ("C", f"NAME: allowed: {allowed[0]}, no control characters"),
            ("zh_CN", f"NAME：允许 {allowed[1]}，不含控制字符"),
        ):
            monkeypatch.setenv("LC_ALL", language)
            with pytest.raises(click.UsageError) as refused:
                clean_text("NAME", text, least, 5)
            assert refused.value.message == said


def command(*arguments: str) -> click.UsageError:
    """The usage error of a command line."""

    @click.group()
    def group() -> None:
        """A group."""

    @group.command()
    @click.argument("name")
    @click.option("--days", type=int)
    @click.option("--from", "-f", "since", type=float)
    @click.option("--on-sale", is_flag=True)
    def add(**_: object) -> None:
        """A command."""

    with pytest.raises(click.UsageError) as found:
        group.main([*arguments], prog_name="p", standalone_mode=False)
    return found.value


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nothing",), "没有命令 nothing"),
        (("add",), "缺少 NAME"),
        (("add", "x", "--bogus"), "没有选项 --bogus"),
        (("add", "x", "--dais"), "没有选项 --dais（是否指 --days？）"),
        (("add", "x", "--days"), "选项 --days 需要一个值。"),
        (("add", "x", "--days", "y"), "--days 的值无效：y 不是整数。"),
        (("add", "x", "-f", "y"), "--from / -f 的值无效：y 不是数字。"),
        (("add", "x", "--on-sale=1"), "选项 --on-sale 不带值。"),
        (("add", "x", "y", "z"), "多余的参数：y z"),
    ],
)
def test_wrong_usage_in_chinese(arguments: tuple[str, ...], said: str) -> None:
    assert in_chinese(command(*arguments)) == said


def test_what_commands_say_themselves_is_chinese_already() -> None:
    assert in_chinese(click.UsageError("没有要修改的内容")) == "没有要修改的内容"
    assert in_chinese(click.BadParameter("不行", param_hint="--url")) == "--url 的值无效：不行"
    assert in_chinese(click.BadParameter("不行", param_hint=["-a", "-b"])) == "-a / -b 的值无效：不行"
    assert in_chinese(click.BadParameter("不行", param=click.Option(["--days"]))) == "不行", "of no command"
    assert in_chinese(click.MissingParameter("缺一个")) == "缺少 缺一个"


class TestHelp:
    @pytest.fixture(autouse=True)
    def words(self, monkeypatch: pytest.MonkeyPatch) -> None:
        known = {
            "Run it. Twice.": "运行它。两次。",
            "Add a label; at once.": "添加标签；立即生效。",
            "Days.": "天数。",
            "All of the words of a long explanation.": "很长的说明，要分成两行才能显示完整。",
        }
        monkeypatch.setattr(help_formatter, "CHINESE", known)

    @pytest.mark.parametrize(
        ("text", "width", "lines"),
        [
            ("", 10, []),
            ("  ", 10, []),
            ("一二三四", 8, ["一二三四"]),
            ("一二三四五", 8, ["一二三四", "五"]),
            ("一二三四，五", 8, ["一二三四，", "五"]),
            ("ab cd ef", 5, ["ab cd", "ef"]),
            ("abcdefghij k", 4, ["abcdefghij", "k"]),
            ("一 ab", 4, ["一", "ab"]),
        ],
    )
    def test_lines_end_before_the_edge(self, text: str, width: int, lines: list[str]) -> None:
        assert list(wrapped(text, width)) == lines

    @pytest.mark.parametrize(
        ("english", "chinese"),
        [
            ("Run it.\n    Twice.", "运行它。两次。"),
            ("Run it...", "运行它。"),
            ("Add a label...", "添加标签。"),
            ("Unknown.", "Unknown."),
            ("", ""),
            ("...", "..."),
        ],
    )
    def test_paragraphs(self, english: str, chinese: str) -> None:
        assert translated(english) == chinese

    def test_a_page(self) -> None:
        formatter = ChineseFormatter(width=30)
        formatter.write_usage("p add", "[OPTIONS] NAME COMMAND [ARGS]")
        with formatter.indentation():
            formatter.write_text("Run it. Twice.\n\n\b\np add x\np add y\n\nUnknown words up to the edge.")
        with formatter.section("Options"):
            formatter.write_dl(
                [
                    ("--days INTEGER", "Days.  [default: 7; 1<=x<=9; required]"),
                    ("-x", "All of the words of a long explanation."),
                    ("--none", ""),
                ]
            )
        with formatter.section("Own"):
            formatter.write_dl([("-a", "Days."), ("--" + "l" * 29, "Days.")], col_max=10)
        assert formatter.getvalue().splitlines() == [
            "用法：p add [选项] NAME 命令 [参数]",
            "  运行它。两次。",
            "",
            "  p add x",
            "  p add y",
            "",
            "  Unknown words up to the",
            "  edge.",
            "",
            "选项：",
            "  --days INTEGER  天数。  [默",
            "                  认：7；",
            "                  1<=x<=9；必",
            "                  填]",
            "  -x              很长的说明，",
            "                  要分成两行才",
            "                  能显示完整。",
            "  --none",
            "",
            "Own：",
            "  -a          天数。",
            "  --lllllllllllllllllllllllllllll",
            "              天数。",
        ]

    def test_names_of_thirty_columns_stand_beside_their_text(self) -> None:
        formatter = ChineseFormatter(width=80)
        formatter.write_dl([("n" * 30, "Days."), ("n" * 31, "Days.")])
        assert formatter.getvalue().splitlines() == [f"{'n' * 30}  天数。", "n" * 31, f"{' ' * 32}天数。"]
