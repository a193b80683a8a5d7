"""Floor 6: the operator's console, a feature that the platform ships. Its pages call its API like any other."""

from groundplan.app import Feature

feature = Feature(
    "console",
    owner="platform",
    modules=[
        "groundplan.console.api",
        "groundplan.console.queue_api",
        "groundplan.console.dead_letter_api",
        "groundplan.console.dead_letter_group_api",
        "groundplan.console.pages",
        "groundplan.console.queue_pages",
        "groundplan.console.dead_letter_pages",
        "groundplan.console.dead_letter_group_pages",
        "groundplan.console.event_api",
        "groundplan.console.event_pages",
    ],
    templates="groundplan.console",
)
