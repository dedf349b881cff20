"""The schema: from nothing to the newest, at once from several sides, as a script, and never half."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pymysql
import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, inspect, text
from sqlalchemy.engine import make_url

from datingtoday.infra import migrations
from datingtoday.infra.migrations import MigrationError, MigrationStopped
from tests.plugins.backend import Backend

ADD_TABLE = """
revision = "{revision}"
down_revision = {below!r}
import sqlalchemy as sa
from alembic import op

def upgrade():
    op.create_table("extra_{revision}", sa.Column("id", sa.Integer(), primary_key=True))
    {then}
"""


@pytest.fixture
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two small migrations instead of the product's."""
    folder = tmp_path / "migrations"
    (folder / "versions").mkdir(parents=True)
    for name in ("env.py", "script.py.mako"):
        shutil.copy(migrations.FOLDER / name, folder)
    monkeypatch.setattr(migrations, "FOLDER", folder)
    add(folder, "0001", None)
    add(folder, "0002", "0001")
    return folder


def add(folder: Path, revision: str, below: str | None, then: str = "pass") -> None:
    (folder / "versions" / f"{revision}_x.py").write_text(
        ADD_TABLE.format(revision=revision, below=below, then=then)
    )


def tables(uri: str) -> set[str]:
    engine = create_engine(uri)
    try:
        return set(inspect(engine).get_table_names())
    finally:
        engine.dispose()


def run(uri: str, statement: str) -> None:
    engine = create_engine(uri)
    try:
        with engine.begin() as connection:
            connection.execute(text(statement))
    finally:
        engine.dispose()


def test_the_head_is_the_one_that_alembic_finds() -> None:
    config = Config()
    config.set_main_option("script_location", str(migrations.FOLDER))
    assert migrations.head() == ScriptDirectory.from_config(config).get_current_head()


def test_a_new_database_is_brought_to_what_the_program_says(backend: Backend) -> None:
    uri = backend.database_uri
    assert migrations.current(uri) is None
    assert not migrations.is_current(uri)
    applied: list[str] = []
    migrations.upgrade(uri, applied.append)
    assert applied
    assert applied[-1].startswith(migrations.head())
    assert migrations.current(uri) == migrations.head()
    assert migrations.is_current(uri)
    assert migrations.differences(uri) == []
    again: list[str] = []
    migrations.upgrade(uri, again.append)
    assert again == []


def test_a_table_made_anew_keeps_rows_references_and_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite cannot alter a column: a number that was given to a user must not be given again."""
    uri = f"sqlite:///{tmp_path}/people.sqlite3"
    with monkeypatch.context() as older:
        older.setattr(migrations, "head", lambda: "0005")
        migrations.upgrade(uri)
    row = (
        "INSERT INTO user_info (id, nickname, gender, sexual, education, authority, intro, stealth, personal, status, "
        "last_active, create_time, update_time) "
        "VALUES ({}, '小明', 0, 0, 0, 1, '', 0, 1, 'active', '2026-01-01', '2026-01-01', '2026-01-01')"
    )
    run(uri, row.format(100800))
    run(uri, row.format(100900))
    run(uri, "DELETE FROM user_info WHERE id = 100900")
    migrations.upgrade(uri)
    run(uri, row.format("NULL"))
    engine = create_engine(uri)
    with engine.begin() as connection:
        found = connection.execute(text("SELECT id, nickname FROM user_info ORDER BY id")).all()
    engine.dispose()
    assert [tuple(person) for person in found] == [(100800, "小明"), (100901, "小明")]


def test_differences_are_found(backend: Backend) -> None:
    migrations.upgrade(backend.database_uri)
    run(backend.database_uri, "CREATE TABLE left_over (id INTEGER)")
    assert "left_over" in str(migrations.differences(backend.database_uri))


def test_several_at_once(backend: Backend, own_folder: Path) -> None:
    # Alembic itself is not for threads: processes, as hosts would be.
    script = (
        "import sys, pathlib\n"
        "from datingtoday.infra import migrations\n"
        "migrations.FOLDER = pathlib.Path(sys.argv[2])\n"
        "migrations.upgrade(sys.argv[1], print)\n"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", script, backend.database_uri, str(own_folder)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for _ in range(3)
    ]
    outputs = [process.communicate(timeout=60)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], outputs
    assert sorted(line.split()[0] for output in outputs for line in output.splitlines()) == ["0001", "0002"]
    assert {"extra_0001", "extra_0002"} <= tables(backend.database_uri)


def test_a_database_newer_than_the_program(backend: Backend, own_folder: Path) -> None:
    migrations.upgrade(backend.database_uri)
    run(backend.database_uri, "UPDATE alembic_version SET version_num = '0009'")
    with pytest.raises(MigrationError, match="at revision 0009, this program knows up to 0002") as refused:
        migrations.upgrade(backend.database_uri)
    assert "0009" in refused.value.zh


def test_a_program_asks_for_its_own_schema(own_folder: Path, tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/x.sqlite3"

    def refused(**options: bool) -> tuple[str, str]:
        with pytest.raises(MigrationError) as caught:
            migrations.require_current(uri, **options)
        return caught.value.en, caught.value.zh

    expected = (
        "the database is at revision {}, this program needs 0002: run `datingtoday db upgrade`",
        "数据库处于版本 {}，本程序需要 0002：请运行 `datingtoday db upgrade`",
    )
    assert refused(newer_too=True) == (expected[0].format("none"), expected[1].format("无"))
    migrations.upgrade(uri)
    migrations.require_current(uri)
    run(uri, "UPDATE alembic_version SET version_num = '0001'")
    assert refused(newer_too=True) == tuple(it.format("0001") for it in expected)
    run(uri, "UPDATE alembic_version SET version_num = '0003'")
    migrations.require_current(uri, newer_too=True)
    assert refused() == (
        "the database is at revision 0003, this program knows up to 0002: install the newer program, or after a "
        "rollback set [DATABASE] newer_schema = true",
        "数据库处于版本 0003，本程序只到 0002：请安装更新的程序；若是回滚，请设置 [DATABASE] newer_schema = true",
    )
    assert [migrations.is_newer(it) for it in (None, "0001", "0002", "0003")] == [False, False, False, True]


def test_an_upgrade_is_stopped_between_two_revisions_and_goes_on_later(
    own_folder: Path, tmp_path: Path
) -> None:
    uri = f"sqlite:///{tmp_path}/x.sqlite3"
    add(own_folder, "0003", "0002")
    applied: list[str] = []
    with pytest.raises(MigrationStopped) as stopped:
        migrations.upgrade(uri, applied.append, should_stop=lambda: len(applied) == 2)
    assert [line.split()[0] for line in applied] == ["0001", "0002"]
    assert stopped.value.text == (
        "stopped between two revisions: run `datingtoday db upgrade` again to go on",
        "已在两个版本之间停止：再次运行 `datingtoday db upgrade` 即可继续",
    )
    assert migrations.current(uri) is None, "on SQLite all or nothing"
    applied.clear()
    migrations.upgrade(uri, applied.append, should_stop=lambda: False)
    assert [line.split()[0] for line in applied] == ["0001", "0002", "0003"]
    add(own_folder, "0004", "0003")
    applied.clear()
    migrations.upgrade(uri, applied.append, should_stop=lambda: False)
    assert [line.split()[0] for line in applied] == ["0004"]


def test_a_failed_migration_leaves_nothing_on_sqlite(own_folder: Path, tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/x.sqlite3"
    add(own_folder, "0003", "0002", then='op.execute("NONSENSE")')
    with pytest.raises(MigrationError, match=r"a migration failed: .*NONSENSE"):
        migrations.upgrade(uri)
    assert tables(uri) == set()
    assert migrations.current(uri) is None


@pytest.mark.parametrize("backend", ["real"], indirect=True)
def test_a_failed_migration_on_mariadb_is_tried_again_from_there(backend: Backend, own_folder: Path) -> None:
    add(own_folder, "0003", "0002", then='op.execute("NONSENSE")')
    with pytest.raises(MigrationError, match="a migration failed"):
        migrations.upgrade(backend.database_uri)
    assert migrations.current(backend.database_uri) == "0002"
    run(backend.database_uri, "DROP TABLE extra_0003")
    add(own_folder, "0003", "0002")
    migrations.upgrade(backend.database_uri)
    assert migrations.is_current(backend.database_uri)


def test_a_new_revision_has_what_the_tables_have_and_the_migrations_do_not(own_folder: Path) -> None:
    path = migrations.new_revision("people and all else")
    assert path.parent == own_folder / "versions"
    assert path.name.startswith("0003_")
    written = path.read_text()
    assert re.search(r"^revision = ['\"]0003['\"]$", written, re.MULTILINE)
    assert re.search(r"^down_revision = ['\"]0002['\"]$", written, re.MULTILINE)
    assert re.search(r"create_table\(\s*['\"]user_info['\"]", written)
    assert "uq_user_info_phone" in written
    # What the two have is theirs and in no table of the program.
    assert "drop_table" in written or "extra_0001" not in written
    assert migrations.head() == "0003"


def test_a_new_revision_knows_tables_that_nobody_has_imported(own_folder: Path) -> None:
    script = (
        "import sys\nfrom pathlib import Path\nfrom datingtoday.infra import migrations\n"
        "migrations.FOLDER = Path(sys.argv[1])\nmigrations.new_revision('all')\n"
    )
    subprocess.run([sys.executable, "-c", script, own_folder], check=True)
    (written,) = (own_folder / "versions").glob("0003_*.py")
    assert re.search(r"create_table\(\s*['\"]user_info['\"]", written.read_text())


def test_references_may_not_dangle_after_a_migration(own_folder: Path, tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/x.sqlite3"
    run(uri, "CREATE TABLE parent (id INTEGER PRIMARY KEY)")
    run(uri, "CREATE TABLE child (id INTEGER PRIMARY KEY, parent INTEGER REFERENCES parent (id))")
    run(uri, "INSERT INTO parent VALUES (1)")
    run(uri, "INSERT INTO child VALUES (1, 1)")
    add(own_folder, "0003", "0002", then='op.execute("DELETE FROM parent")')
    with pytest.raises(MigrationError, match="dangling references in child"):
        migrations.upgrade(uri)
    assert tables(uri) == {"parent", "child"}


def test_a_look_at_the_revision_makes_no_file(tmp_path: Path) -> None:
    assert migrations.current(f"sqlite:///{tmp_path}/none.sqlite3") is None
    assert list(tmp_path.iterdir()) == []


def test_a_look_at_the_revision_needs_no_alembic(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/x.sqlite3"
    migrations.upgrade(uri)
    script = (
        "import sys\nfrom datingtoday.infra import migrations\n"
        "assert migrations.is_current(sys.argv[1])\nassert 'alembic' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script, uri], check=True)


def test_a_database_that_is_not_there() -> None:
    uri = "mysql+pymysql://app:hunter2secret@127.0.0.1:1/nowhere"
    for act in (migrations.is_current, migrations.upgrade):
        with pytest.raises(
            MigrationError, match=r"^\[DATABASE\] uri: the database cannot be used"
        ) as refused:
            act(uri)
        assert "hunter2secret" not in refused.value.en + refused.value.zh


def test_constants_may_be_annotated(own_folder: Path) -> None:
    """As Alembic's own template writes them."""
    file = own_folder / "versions" / "0003_x.py"
    file.write_text("note: int\nrevision: str = '0003'\ndown_revision: Union[str, None] = '0002'\n")
    assert migrations.head() == "0003"


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ("revision = '0003'\ndown_revision = None\n", "exactly one newest revision; found: 0002, 0003"),
        ("revision = '0003'\n", "does not say revision and down_revision"),
        ("down_revision = '0002'\n", "does not say revision and down_revision"),
    ],
)
def test_confused_files(own_folder: Path, broken: str, message: str) -> None:
    (own_folder / "versions" / "0003_x.py").write_text(broken)
    with pytest.raises(MigrationError, match=message):
        migrations.head()


@pytest.mark.parametrize("backend", ["real"], indirect=True)
def test_the_script_makes_the_same_schema_on_mariadb(backend: Backend) -> None:
    script = migrations.mysql_script()
    url = make_url(backend.database_uri)
    connection = pymysql.connect(
        host=url.host,
        port=url.port or 3306,
        user=url.username,
        password=url.password or "",
        database=url.database,
        client_flag=pymysql.constants.CLIENT.MULTI_STATEMENTS,
    )
    with connection, connection.cursor() as cursor:
        cursor.execute(script)
        while cursor.nextset():
            pass
        connection.commit()
    assert migrations.is_current(backend.database_uri)
    assert migrations.differences(backend.database_uri) == []


def test_the_script_names_no_engine_but_innodb_and_no_text_but_utf8mb4() -> None:
    script = migrations.mysql_script()
    made = [block for block in script.split("CREATE TABLE ")[1:] if not block.startswith("alembic_version")]
    assert made
    for block in made:
        assert re.search(r"ENGINE=InnoDB\b.*\bCHARSET=utf8mb4 COLLATE utf8mb4_bin;", block), block
