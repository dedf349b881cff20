"""Products: what is on sale, and the changes that operators make."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from datingtoday.vip.models import Product


class AppleIdTaken(Exception):
    """Another product has this id in App Store Connect."""


class Products:
    """The rules of products."""

    def on_sale(self, session: Session) -> list[dict[str, Any]]:
        """Products as clients see them, the shortest first."""
        rows = session.scalars(select(Product).where(Product.on_sale).order_by(Product.vip_time, Product.id))
        return [
            {
                "product_id": row.id,
                "name": row.name,
                "desc": row.desc,
                "vip_days": row.vip_time,
                "price_fen": row.price_fen,
            }
            for row in rows
        ]

    def find(self, session: Session, product_id: int) -> Product | None:
        """A product that can be bought; None if there is none of this id, or it is retired."""
        product = session.get(Product, product_id)
        return product if product is not None and product.on_sale else None

    def all(self, session: Session) -> Sequence[Product]:
        """Every product, retired ones too, for the command."""
        return session.scalars(select(Product).order_by(Product.id)).all()

    def add(self, session: Session, **values: Any) -> Product:
        """A new product. :raises AppleIdTaken: the transaction is lost."""
        product = Product(**values)
        session.add(product)
        self._write(session)
        return product

    def change(self, session: Session, product_id: int, **values: Any) -> Product | None:
        """Change a product for orders to come; None if there is none. :raises AppleIdTaken: the transaction is lost."""
        product = session.get(Product, product_id, with_for_update=True)
        if product is None:
            return None
        for name, value in values.items():
            setattr(product, name, value)
        self._write(session)
        return product

    @staticmethod
    def _write(session: Session) -> None:
        try:
            session.flush()
        except IntegrityError as error:
            raise AppleIdTaken from error
