"""Language models and text embeddings; the only floor that talks to them."""
