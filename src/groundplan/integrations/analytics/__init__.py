"""What users do, for whoever counts it."""
