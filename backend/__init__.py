"""The worker: everything that trains, evaluates, serves and exports; it never sees the page."""
