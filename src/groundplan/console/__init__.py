"""Floor 6: the operator's console, a feature that the platform ships. Its pages call its API like any other."""

from groundplan.app import Feature

feature = Feature(
    "console",
    owner="platform",
    modules=[
        "groundplan.console.api",
        "groundplan.console.work.queue_api",
        "groundplan.console.dead_letters.api",
        "groundplan.console.dead_letters.group_api",
        "groundplan.console.pages",
        "groundplan.console.work.queue_pages",
        "groundplan.console.dead_letters.pages",
        "groundplan.console.dead_letters.group_pages",
        "groundplan.console.work.key_api",
        "groundplan.console.work.key_pages",
        "groundplan.console.work.event_api",
        "groundplan.console.work.event_pages",
    ],
    templates="groundplan.console",
)
