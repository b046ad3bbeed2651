"""Journey C: bigger work, by a crew, in the open.

`team` says who works, `workflow` tells the journey, `reviews` asks the persona, `agents` lets
crewai's agents work, with what the `toolbox` gives them. `worker` does it all, durably; `records`
keeps what happened, `files` what came of it and what was attached; `runs` is what doors see.
"""
