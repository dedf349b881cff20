"""The rules of the house that no other tool knows. Each takes one file and yields what it finds in it.

``python -m tests.house`` (part of `make check`) applies them; `test_rules.py` shows each of them a bad sample.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from typing import TypeGuard

from tests.house.source import Finding, Source, dotted, imported

Rule = Callable[[Source], Iterator[Finding]]

MAX_LINES = 400
MAX_ROUTE_STATEMENTS = 6
MAX_FUNCTION_LINES = 50
MAX_PARAMETERS = 8
FEATURES = tuple(
    f"src/datingtoday/{name}"
    for name in ("accounts", "chat", "discovery", "media", "profiles", "safety", "vip", "visitors")
)
_NO_NAMES = frozenset({"common", "helper", "helpers", "misc", "util", "utils"})
# The endpoint, commands, jobs, and what they call: everything else works in a transaction that it is given.
_MAY_COMMIT = re.compile(
    r"src/datingtoday/(infra/(db|packet_transaction|migrations)\.py|protocol/endpoint\.py|cli/|worker\.py|(.*/)?jobs(\.py|/))"
)
_IS_ROUTES = re.compile(r"(^|_)routes$|^routes_")
_IS_SCHEMAS = re.compile(r"(^|_)(schemas|parameters)$|^schemas_")
_ROUTE_DECORATORS = frozenset({"endpoint", "public_route", "route", "get", "post"})
_SQL_CALL = re.compile(r"session\.(execute|scalars?|query|get|add|add_all|delete|merge|flush)$")
_SQL_FUNCTIONS = frozenset({"select", "insert", "update", "delete", "text"})
_WEB = frozenset({"flask", "marshmallow", "werkzeug", "webargs"})
_CLOCKS = (
    "datetime.now",
    "datetime.utcnow",
    "datetime.today",
    "date.today",
    "time.time",
    "time.time_ns",
    "time.gmtime",
    "time.localtime",
)
_SLEEPS = frozenset({"time.sleep", "asyncio.sleep", "gevent.sleep", "sleep"})
_POLLING = "tests/plugins/polling.py"
_SKIPS = re.compile(
    r"(_?pytest|unittest|mark)\.(.*\.)?(skip|skipif|skipIf|skipUnless|xfail|importorskip|expectedFailure|SkipTest)$"
)


# `@endpoint` and `key()`: their parameters are what a route or a setting declares, each by its name.
_DECLARATIONS = frozenset({"endpoint", "key"})
_QUESTIONS = re.compile(r"(What|Who|Whom|Whose|How|Whether|Of|Which|Where|When|Why|That)\b")
_ODD_WORDS = re.compile(r"(?<![a-z])(one's|ones_own|oneself|somebody)(?![a-z])", re.IGNORECASE)
_OLD_LIMIT = re.compile(r"(^|_)MOST(_|$)")
_SWITCHES = {
    "dataclass": {"frozen", "slots", "kw_only"},
    "get": {"with_for_update"},
    "get_one": {"with_for_update"},
}
"""Arguments that are off unless they are given, by the name of what is called."""
_PRIVATE_PART = re.compile(r"(^|\.)parts\.[\w.]*\._[a-z]\w*$")


def init_files_are_empty(source: Source) -> Iterator[Finding]:
    """A package's name is a folder's; what it holds is imported from where it lies."""
    if source.path.name == "__init__.py" and source.text:
        yield source.finding(1, "an __init__.py stays empty")


def names_say_what(source: Source) -> Iterator[Finding]:
    """No collective names: a file is named for its contents."""
    if source.is_python:
        for part in (*source.path.parts[:-1], source.path.stem):
            if part in _NO_NAMES:
                yield source.finding(1, f"'{part}' says nothing; name it for what it does")


def files_are_short(source: Source) -> Iterator[Finding]:
    """Migrations are written once and never split."""
    lines = source.text.count("\n")
    if source.is_python and lines > MAX_LINES and not source.under("migrations"):
        yield source.finding(MAX_LINES, f"{lines} lines; {MAX_LINES} at most: split it")


def few_commit(source: Source) -> Iterator[Finding]:
    """One place for transactions."""
    if source.under("src") and not _MAY_COMMIT.match(str(source.path)):
        for node in source.nodes:
            if isinstance(node, ast.Call) and dotted(node.func).endswith(".commit"):
                yield source.finding(node, "only the endpoint, commands and jobs commit")


def routes_hold_no_logic(source: Source) -> Iterator[Finding]:
    """Parameters in, one service call, result out."""
    if not source.under("src") or not _IS_ROUTES.search(source.path.stem):
        return
    for node in source.nodes:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and _is_route(node):
            statements = _statements_in(node)
            if statements > MAX_ROUTE_STATEMENTS:
                yield source.finding(
                    node,
                    f"{statements} statements in {node.name}(), {MAX_ROUTE_STATEMENTS} at most: a service's work",
                )
        if isinstance(node, ast.Call) and _SQL_CALL.search(dotted(node.func)):
            yield source.finding(node, f"{dotted(node.func)}() is a service's work")
        if any(name in {f"sqlalchemy.{it}" for it in _SQL_FUNCTIONS} for name in imported(node)):
            yield source.finding(node, "SQL is a service's work")


def services_speak_plain_python(source: Source) -> Iterator[Finding]:
    """All of a feature but its routes, schemas and parts can be called from a command, a job and a test."""
    if not source.under(*FEATURES):
        return
    stem = source.path.stem
    if stem != "parts" and not _IS_ROUTES.search(stem) and not _IS_SCHEMAS.search(stem):
        for node in source.nodes:
            for name in imported(node):
                if name.split(".")[0] in _WEB:
                    yield source.finding(node, f"{name} belongs to routes and schemas")


def features_are_told_the_time(source: Source) -> Iterator[Finding]:
    """`now` is passed in: one request has one time, and tests choose it."""
    if not source.under(*FEATURES):
        return
    for node in source.nodes:
        if isinstance(node, ast.Call) and ("." + dotted(node.func)).endswith(
            tuple("." + it for it in _CLOCKS)
        ):
            yield source.finding(node, f"{dotted(node.func)}(): take `now` as a parameter")
        for name in imported(node):
            if name in _CLOCKS:
                yield source.finding(node, f"{name}: take `now` as a parameter")


def no_test_is_skipped(source: Source) -> Iterator[Finding]:
    """Tests that cannot run are deselected by their needs, and counted (tests/plugins/servers.py)."""
    if not source.under("tests", "benchmarks"):
        return
    for node in source.nodes:
        if isinstance(node, ast.Attribute) and _SKIPS.match(dotted(node)):
            yield source.finding(node, f"{dotted(node)}: mark what it needs instead")
        for name in imported(node):
            if _SKIPS.match(name):
                yield source.finding(node, f"{name}: mark what it needs instead")


def tests_do_not_sleep(source: Source) -> Iterator[Finding]:
    """A sleep is too short on a slow machine and too long on a fast one: wait for what is expected."""
    if not source.under("tests") or str(source.path) == _POLLING:
        return
    for node in source.nodes:
        if isinstance(node, ast.Call) and dotted(node.func) in _SLEEPS:
            yield source.finding(node, f"{dotted(node.func)}(): use wait_until() of {_POLLING}")
        for name in imported(node):
            if name in _SLEEPS:
                yield source.finding(node, f"{name}: use wait_until() of {_POLLING}")


def no_errors_are_swallowed(source: Source) -> Iterator[Finding]:
    """Whatever is caught is answered, logged or raised again."""
    for node in source.nodes:
        if isinstance(node, ast.ExceptHandler):
            if node.type is None:
                yield source.finding(node, "bare except")
            elif _is_everything(node.type) and all(_does_nothing(statement) for statement in node.body):
                yield source.finding(node, "every error is swallowed here")
        if isinstance(node, ast.Call) and dotted(node.func) in {"suppress", "contextlib.suppress"}:
            for _ in filter(_is_everything, node.args):
                yield source.finding(node, "every error is swallowed here")


def functions_are_short(source: Source) -> Iterator[Finding]:
    """A function does one thing.

    Declarations are exempt: of routes in their length; of commands' options, and of constructors that take nothing but
    settings by name, in their number.
    """
    if source.under("migrations"):
        return
    for node in source.nodes:
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or node.name in _DECLARATIONS:
            continue
        lines = (node.end_lineno or node.lineno) - node.lineno + 1
        if lines > MAX_FUNCTION_LINES and not _declares_routes(node):
            yield source.finding(node, f"{lines} lines in {node.name}(), {MAX_FUNCTION_LINES} at most")
        parameters = _parameters_of(node)
        if parameters > MAX_PARAMETERS and not (_is_command(node) or _takes_settings(node)):
            yield source.finding(node, f"{parameters} parameters of {node.name}(), {MAX_PARAMETERS} at most")


def docstrings_name_things(source: Source) -> Iterator[Finding]:
    """A docstring begins with a noun or a verb; a question would have to be answered first.

    Docstrings of fields count. Those of test functions are exempt: they are sentences about what is tested.
    """
    sentences = {id(node.body[0]) for node in source.nodes if _is_test(node)}
    for node in source.nodes:
        if id(node) in sentences:
            continue
        text = node.value if isinstance(node, ast.Expr) else None
        if isinstance(text, ast.Constant) and (match := _QUESTIONS.match(str(text.value))):
            yield source.finding(node, f"the docstring begins with '{match[0]}': begin with a noun or a verb")


def words_are_of_the_field(source: Source) -> Iterator[Finding]:
    """A user is "you", "the user" or "a person"; in names, too."""
    is_english = source.is_python or (source.path.suffix == ".md" and ".zh-CN" not in source.path.name)
    if is_english and source.under("src", "docs", "tests", "benchmarks") and not source.under("tests/house"):
        for number, line in enumerate(source.text.splitlines(), start=1):
            if match := _ODD_WORDS.search(line):
                yield source.finding(number, f"'{match[0]}': write 'you', 'the user' or 'a person'")


def limits_are_named_max(source: Source) -> Iterator[Finding]:
    """One word for one thing."""
    for node in source.nodes:
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and _OLD_LIMIT.search(node.id):
            yield source.finding(node, f"{node.id}: a limit is a MAX_*")


def defaults_are_left_out(source: Source) -> Iterator[Finding]:
    """``frozen=False`` or ``with_for_update=False`` says what holds anyway, and reads like a decision against it."""
    for node in source.nodes:
        if isinstance(node, ast.Call):
            switches = _SWITCHES.get(dotted(node.func).rpartition(".")[2], ())
            for given in node.keywords:
                if (
                    given.arg in switches
                    and isinstance(given.value, ast.Constant)
                    and given.value.value is False
                ):
                    yield source.finding(node, f"{given.arg}=False is the default: leave it out, or say True")


def tests_keep_out_of_services(source: Source) -> Iterator[Finding]:
    """Tests use services as features do; what only a test needs is a method with a name."""
    if source.under("tests"):
        for node in source.nodes:
            if isinstance(node, ast.Attribute) and _PRIVATE_PART.search(dotted(node)):
                yield source.finding(node, f"{dotted(node)} is private")


RULES: tuple[Rule, ...] = (
    init_files_are_empty,
    names_say_what,
    files_are_short,
    few_commit,
    routes_hold_no_logic,
    services_speak_plain_python,
    features_are_told_the_time,
    no_test_is_skipped,
    tests_do_not_sleep,
    no_errors_are_swallowed,
    functions_are_short,
    docstrings_name_things,
    words_are_of_the_field,
    limits_are_named_max,
    defaults_are_left_out,
    tests_keep_out_of_services,
)


def _is_test(node: ast.AST) -> TypeGuard[ast.FunctionDef]:
    return isinstance(node, ast.FunctionDef) and node.name.startswith("test_")


def _is_route(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    called = (it.func if isinstance(it, ast.Call) else it for it in function.decorator_list)
    return any(dotted(it).split(".")[-1] in _ROUTE_DECORATORS for it in called)


def _declares_routes(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    inner = (node for node in function.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return any(_is_route(node) for node in inner)


def _is_command(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    called = (it.func if isinstance(it, ast.Call) else it for it in function.decorator_list)
    return any(dotted(it).split(".")[-1] in {"command", "group"} for it in called)


def _takes_settings(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return function.name == "__init__" and [it.arg for it in function.args.args] == ["self"]


def _parameters_of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """All but ``self`` and ``cls``."""
    given = function.args
    named = [*given.posonlyargs, *given.args, *given.kwonlyargs]
    if named and named[0].arg in {"self", "cls"}:
        named = named[1:]
    return len(named) + (given.vararg is not None) + (given.kwarg is not None)


def _statements_in(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Number of statements at all depths, without the docstring."""
    count = sum(isinstance(node, ast.stmt) for node in ast.walk(function)) - 1
    return count - (ast.get_docstring(function, clean=False) is not None)


def _is_everything(kind: ast.expr) -> bool:
    kinds = kind.elts if isinstance(kind, ast.Tuple) else [kind]
    return any(dotted(it).split(".")[-1] in {"Exception", "BaseException"} for it in kinds)


def _does_nothing(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.Pass | ast.Continue | ast.Break):
        return True
    if isinstance(statement, ast.Return):
        return statement.value is None or isinstance(statement.value, ast.Constant)
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
