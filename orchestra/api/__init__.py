"""The HTTP door: JSON, server-sent events, the OpenAI wire, health, and the mounted screen."""
