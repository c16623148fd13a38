"""The worker: trains, evaluates, serves and exports models, in processes without the page."""
