"""Imports point to a strictly lower floor, and never in a circle."""

from graphlib import CycleError, TopologicalSorter

from tests.architecture.source import floors, imported_modules, is_within, modules

ANY_FLOOR = {"testing"}
"""Tests' helpers stand beside the house and may lean on every room; no room leans on them."""


def test_every_room_has_a_floor() -> None:
    rooms = {module.room for module in modules("groundplan")} - {""} - ANY_FLOOR
    assert rooms <= floors().keys(), "give the new room its floor in pyproject.toml, [tool.importlinter]"


def test_imports_point_to_a_strictly_lower_floor() -> None:
    floor = floors()
    wrong = []
    for module in modules("groundplan"):
        if module.room in ANY_FLOOR:
            continue
        for statement in module.imports:
            if not is_within(statement.target, "groundplan"):
                continue
            targets = [statement.target] if "." in statement.target else [f"groundplan.{n}" for n in statement.names]
            for target in targets:
                room = target.split(".")[1]
                if room in (module.room, "__version__"):
                    continue
                if room in ANY_FLOOR or floor[room] >= floor.get(module.room, len(floor)):
                    wrong.append(f"{module.at(statement.line)}: {module.name} imports {target}")
    assert not wrong, "\n".join(["not on a lower floor:", *wrong])


def test_no_module_imports_itself_through_others() -> None:
    everything = modules()
    known = {module.name for module in everything}
    graph = {
        module.name: {
            target
            for target, statement in imported_modules(module, known)
            if not statement.for_types_only and target != module.name and not is_within(module.name, target)
        }
        for module in everything
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        raise AssertionError("a circle of imports: " + " <- ".join(error.args[1])) from None


def test_the_platform_does_not_know_the_applications_on_it() -> None:
    wrong = [
        f"{module.at(statement.line)}: imports {statement.target}"
        for module in modules("groundplan")
        for statement in module.imports
        if is_within(statement.target, "shop")
    ]
    assert not wrong, "\n".join(wrong)
