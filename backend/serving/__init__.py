"""The OpenAI-compatible server: who may ask (guard), what (protocol), who answers (engine)."""
