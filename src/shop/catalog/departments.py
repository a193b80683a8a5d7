"""The nine departments. Their names are also the class names of their colours."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

Department = Literal["produce", "dairy", "bakery", "meat", "frozen", "pantry", "snacks", "drinks", "home"]

TITLES: Mapping[str, str] = MappingProxyType(
    {
        "produce": "Produce",
        "dairy": "Dairy and eggs",
        "bakery": "Bakery",
        "meat": "Meat and fish",
        "frozen": "Frozen",
        "pantry": "Pantry",
        "snacks": "Snacks",
        "drinks": "Drinks",
        "home": "Household",
    }
)
"""In the order of the shelves."""
