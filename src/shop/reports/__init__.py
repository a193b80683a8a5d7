"""Figures for the staff of a store, made by a job and kept as files."""

from groundplan.app import Feature, Objective

feature = Feature(
    "reports",
    owner="analytics",
    objective=Objective(availability=0.99, latency_ms=500),
    modules=["shop.reports.api", "shop.reports.work", "shop.reports.pages"],
)
