"""The reference application: three grocery stores on one Groundplan."""
