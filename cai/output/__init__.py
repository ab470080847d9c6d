"""The only place that writes for people: progress, plan, summary, health report, errors."""

from cai.output.base import console, error, print_json
from cai.output.pages import health, plan, status, summary
from cai.output.progress import View

__all__ = ["View", "console", "error", "health", "plan", "print_json", "status", "summary"]
