"""Floor 5: Feature, App, Context: all that business code sees."""

from groundplan.app.application import App
from groundplan.app.context import Context
from groundplan.app.feature import Feature, Objective
from groundplan.app.page import Page, Redirect
from groundplan.core.retry import Retry
from groundplan.messaging.message import Event, Job

__all__ = ["App", "Context", "Event", "Feature", "Job", "Objective", "Page", "Redirect", "Retry"]
