"""Journey C: bigger work, by a crew, in the open.

`team` says who works, `workflow` tells the journey, `reviews` asks the persona, `agents` lets
crewai's agents work, `records` keeps tasks and their events, `runs` makes all of it durable.
"""
