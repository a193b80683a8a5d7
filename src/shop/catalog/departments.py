"""The nine departments. Their names are also the class names of their colours."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, get_args

Department = Literal["produce", "dairy", "bakery", "meat", "frozen", "pantry", "snacks", "drinks", "home"]

DEPARTMENTS: tuple[Department, ...] = get_args(Department)
"""In the order of the shelves."""

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
