"""How the embedded model's voices are made: dialogues, one script, a blind rating."""
