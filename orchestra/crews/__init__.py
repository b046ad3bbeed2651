"""Journey C: bigger work, by a crew, in the open.

`team` says who works, `workflow` tells the journey, `reviews` asks the persona, `agents` lets
crewai's agents work. `worker` does it all, durably; `records` keeps what happened, and `runs` is
what the doors see.
"""
