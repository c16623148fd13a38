"""The OpenAI-compatible server: access (guard), request and answer formats, model (engine)."""
