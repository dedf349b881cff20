"""`datingtoday product`: the VIP products that people can buy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from datingtoday.cli.main import CommandFailed
from datingtoday.cli.options import settings_options
from datingtoday.cli.parts import reading, transaction
from datingtoday.cli.terminal import in_language, say, table
from datingtoday.cli.text_arguments import clean_text

NAME_CHARS, DESC_CHARS, APPLE_ID_CHARS = 50, 200, 100
MAX_DAYS, MAX_PRICE_FEN = 3660, 100_000_000
_DAYS = click.IntRange(1, MAX_DAYS)
_PRICE = click.IntRange(1, MAX_PRICE_FEN)


@click.group()
def command() -> None:
    """List, add, change and retire the VIP products."""


@command.command("list")
@settings_options
def list_(config_file: Path | None, data_dir: Path | None) -> None:
    """Show all products, retired ones too.

    Exit codes: 0 shown, 1 failed, 2 the settings are wrong.
    """
    with reading(config_file, data_dir) as (parts, session):
        rows = [
            (
                str(row.id),
                row.name,
                str(row.vip_time),
                f"{row.price_fen // 100}.{row.price_fen % 100:02d}",
                row.apple_id or "",
                in_language("on sale", "在售") if row.on_sale else in_language("retired", "已下架"),
                row.desc,
            )
            for row in parts.vip.products.all(session)
        ]
    header = (
        "id",
        in_language("name", "名称"),
        in_language("days", "天数"),
        in_language("yuan", "元"),
        "apple id",
        in_language("state", "状态"),
        in_language("description", "说明"),
    )
    for line in table([header, *rows]):
        click.echo(line)


@command.command()
@click.argument("name")
@click.option("--days", type=_DAYS, required=True, help="Days of VIP.")
@click.option("--price-fen", type=_PRICE, required=True, help="Price in fen: 3000 is 30 yuan.")
@click.option("--desc", default="", help=f"Description, up to {DESC_CHARS} characters.")
@click.option("--apple-id", default="", help="Product id in App Store Connect; left out: not sold there.")
@settings_options
def add(
    name: str,
    days: int,
    price_fen: int,
    desc: str,
    apple_id: str,
    config_file: Path | None,
    data_dir: Path | None,
) -> None:
    """Put a product on sale.

    Exit codes: 0 added, 1 failed (the Apple id is another product's), 2 wrong usage or settings.
    """
    values = _clean(name=name, desc=desc, apple_id=apple_id)
    product_id = _write(config_file, data_dir, None, vip_time=days, price_fen=price_fen, **values)
    say(f"product {product_id} added", f"已添加商品 {product_id}")


@command.command()
@click.argument("product_id", type=click.IntRange(min=1))
@click.option("--name", help="Name; left out, it stays. So for all options.")
@click.option("--days", type=_DAYS, help="Days of VIP.")
@click.option("--price-fen", type=_PRICE, help="Price in fen.")
@click.option("--desc", help="Description.")
@click.option("--apple-id", help="Product id in App Store Connect; empty: not sold there any more.")
@click.option("--on-sale", is_flag=True, help="Sell a retired product again.")
@settings_options
def change(
    product_id: int,
    name: str | None,
    days: int | None,
    price_fen: int | None,
    desc: str | None,
    apple_id: str | None,
    on_sale: bool,
    config_file: Path | None,
    data_dir: Path | None,
) -> None:
    """Change a product for orders to come; existing orders stay as they are.

    Exit codes: 0 done, 1 failed (no such product, or the Apple id is another's), 2 wrong usage or settings.
    """
    given = {"name": name, "desc": desc, "apple_id": apple_id}
    values = _clean(**{key: text for key, text in given.items() if text is not None})
    numbers = {"vip_time": days, "price_fen": price_fen, "on_sale": True if on_sale else None}
    values |= {key: number for key, number in numbers.items() if number is not None}
    if not values:
        raise click.UsageError(
            in_language("nothing to change: give at least one option", "没有要修改的内容：请至少给出一个选项")
        )
    _write(config_file, data_dir, product_id, **values)
    say(f"product {product_id} changed", f"已修改商品 {product_id}")


@command.command()
@click.argument("product_id", type=click.IntRange(min=1))
@settings_options
def retire(product_id: int, config_file: Path | None, data_dir: Path | None) -> None:
    """Sell a product no longer; its orders go on, unpaid ones can still be paid.

    Exit codes: 0 done, 1 failed (no such product), 2 wrong usage or settings.
    """
    _write(config_file, data_dir, product_id, on_sale=False)
    say(f"product {product_id} retired", f"已下架商品 {product_id}")


def _write(config_file: Path | None, data_dir: Path | None, product_id: int | None, **values: Any) -> int:
    """Add (None) or change a product; its id."""
    from datingtoday.vip.products import AppleIdTaken

    try:
        with transaction(config_file, data_dir) as (parts, session):
            products = parts.vip.products
            if product_id is None:
                return products.add(session, **values).id
            if products.change(session, product_id, **values) is None:
                raise CommandFailed(
                    f"there is no product {product_id}: see `datingtoday product list`",
                    f"没有商品 {product_id}：见 `datingtoday product list`",
                )
            return product_id
    except AppleIdTaken as error:
        raise CommandFailed(
            f"another product has the Apple id {values['apple_id']}",
            f"已有商品使用 Apple id {values['apple_id']}",
        ) from error


def _clean(**texts: str) -> dict[str, Any]:
    limits = {"name": (1, NAME_CHARS), "desc": (0, DESC_CHARS), "apple_id": (0, APPLE_ID_CHARS)}
    values: dict[str, Any] = {}
    for key, text in texts.items():
        least, most = limits[key]
        text = clean_text(key.replace("_", "-"), text, least, most)
        values[key] = (text or None) if key == "apple_id" else text
    return values
