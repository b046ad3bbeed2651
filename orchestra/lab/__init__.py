"""The lab: are these personas really different, and still themselves after the last edit?"""
