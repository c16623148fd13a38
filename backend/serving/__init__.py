"""The OpenAI-compatible server: what is asked (protocol), who may ask (guard), who answers (engine)."""
