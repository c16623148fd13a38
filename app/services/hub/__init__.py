"""Services for hubs: searches, downloads that go on, what was downloaded."""
