"""Floor 3: feature flags and kill switches, through OpenFeature."""
