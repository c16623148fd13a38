"""How the tabs wire events: no sign of progress."""

QUIET = {"show_progress": "hidden", "api_visibility": "private"}
