"""Floor 5: Feature, App, Context: all that business code sees."""

from groundplan.app.application import App
from groundplan.app.cached import cached
from groundplan.app.caching import Public
from groundplan.app.context import Context
from groundplan.app.feature import Feature, Objective
from groundplan.app.page import Page, Redirect
from groundplan.app.rate_limit import RateLimit
from groundplan.core.errors import Cancel, Snooze
from groundplan.core.retry import Retry
from groundplan.messaging.handlers import Rate, Unique
from groundplan.messaging.message import Event, Job
from groundplan.messaging.progress import Progress
from groundplan.messaging.schedules import Tick

__all__ = [
    "App",
    "Cancel",
    "Context",
    "Event",
    "Feature",
    "Job",
    "Objective",
    "Page",
    "Progress",
    "Public",
    "Rate",
    "RateLimit",
    "Redirect",
    "Retry",
    "Snooze",
    "Tick",
    "Unique",
    "cached",
]
