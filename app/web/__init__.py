"""Between a browser and the page: the server, its guards, and what it answers by itself."""
