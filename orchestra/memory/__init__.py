"""What each persona decided before, for each person: remembered, recalled, forgotten."""
