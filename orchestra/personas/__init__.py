"""Who answers: read from a store, kept fresh by the roster, never half-loaded."""
