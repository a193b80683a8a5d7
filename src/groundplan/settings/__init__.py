"""Floor 1: one read-only snapshot at boot. defaults < config/<env>.yaml < environment < command line."""

from groundplan.settings.loading import Loaded, SettingRow, load
from groundplan.settings.snapshot import Environment, LogLevel, Settings
from groundplan.settings.urls import path_of

__all__ = ["Environment", "Loaded", "LogLevel", "SettingRow", "Settings", "load", "path_of"]
