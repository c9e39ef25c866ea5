"""The web app: webhook receiver and pages. It holds no rule, no SQL, and never imports Dagster."""
