"""Features of the application know each other only through their front door, and only those listed before them."""

import ast

from tests.architecture.source import is_within, modules


def test_features_import_only_earlier_ones_and_only_their_front_door() -> None:
    order = _features_in_order()
    everything = modules("shop")
    known = {module.name for module in everything}
    wrong = []
    for module in everything:
        if module.room not in order:
            continue
        for statement in module.imports:
            if not is_within(statement.target, "shop"):
                continue
            targets = {statement.target} | {f"{statement.target}.{n}" for n in statement.names} & known
            for target in sorted(targets - {"shop"}):
                feature, _, inside = target.removeprefix("shop.").partition(".")
                if feature == module.room or feature not in order:
                    continue
                if inside:
                    wrong.append(f"{module.at(statement.line)}: reaches into {target}; import it from shop.{feature}")
                elif order.index(feature) > order.index(module.room):
                    wrong.append(f"{module.at(statement.line)}: {feature} is listed after {module.room} in app.py")
    assert not wrong, "\n".join(wrong)


def test_no_feature_imports_the_application() -> None:
    features = _features_in_order()
    wrong = [
        module.at(statement.line)
        for module in modules("shop")
        if module.room in features
        for statement in module.imports
        if statement.target == "shop.app" or (statement.target == "shop" and "app" in statement.names)
    ]
    assert not wrong, "\n".join(wrong)


def _features_in_order() -> list[str]:
    """The names in ``App(..., features=[...])`` of shop/app.py."""
    (app,) = modules("shop.app")
    (features,) = (
        keyword.value
        for node in ast.walk(app.tree)
        if isinstance(node, ast.Call)
        for keyword in node.keywords
        if keyword.arg == "features"
    )
    assert isinstance(features, ast.List), "shop/app.py lists its features"
    names = [ast.literal_eval(feature).removeprefix("shop.") for feature in features.elts]
    assert names
    return names
