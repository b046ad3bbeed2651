"""What agents can do besides writing: one file per subject, each with its tools.

`tool` says what a tool is; `crews.toolbox` uses them. Nothing here knows of crewai.
"""
