from groundplan.cli.output import print_json, print_table
from groundplan.cli.project import find_project


def show(*, as_json: bool) -> int:
    rows = find_project().settings().describe()
    if as_json:
        print_json([{"name": row.name, "value": row.value, "origin": row.origin} for row in rows])
    else:
        print_table(("Name", "Value", "From"), [(row.name, row.value, row.origin) for row in rows])
    return 0


def check() -> int:
    loaded = find_project().settings()
    print(f"The configuration for {loaded.settings.env} is valid.")
    return 0
