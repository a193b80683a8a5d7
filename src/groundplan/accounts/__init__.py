"""Sign-up, sign-in, sign-out: a feature that the platform ships."""

from groundplan.app import Feature

feature = Feature("accounts", owner="platform", modules=["groundplan.accounts.api", "groundplan.accounts.pages"])
