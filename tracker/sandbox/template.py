"""What a stored MMS and its pass template say about PASSDATA. Source: PROTOCOL 4.1."""

from dataclasses import dataclass
from typing import Literal

PassKind = Literal["Boarding Pass", "Coupon", "Event Ticket", "Generic", "Store Card"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """A stored MMS. A field neither dynamic nor fixed does not exist and is ignored when sent."""

    title: str
    kind: PassKind = "Event Ticket"
    dynamic: frozenset[str] = frozenset()
    fixed: frozenset[str] = frozenset()  # refused when sent
    dynamic_slots: frozenset[int] = frozenset()  # relevance slots, 1 to 10
    fixed_slots: frozenset[int] = frozenset()
    needs_barcode_value: bool = False  # barcode allowed, type dynamic, value source dynamic
    is_encoded: bool = True
    has_pass: bool = True
    is_pass_gone: bool = False  # the pass template was deleted or belongs to someone else

    def has_fixed(self, field: str) -> bool:
        """Say whether the field exists with fixed content.

        Source: PROTOCOL 2.3; the second primary field exists on boarding passes only.
        """
        if field in ("PRIMARYLABEL2", "PRIMARYVALUE2") and self.kind != "Boarding Pass":
            return False
        return field in self.fixed
