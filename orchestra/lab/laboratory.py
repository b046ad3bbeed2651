"""All of the lab that the doors use."""

from __future__ import annotations

from orchestra.database import Database
from orchestra.lab.blind import BlindTest
from orchestra.lab.comparing import Comparer
from orchestra.lab.interview import Interviewer
from orchestra.personas.roster import Roster


class Lab:
    """Interviews, the blind test and comparisons, of one house."""

    def __init__(self, roster: Roster, interviewer: Interviewer, database: Database) -> None:
        self.interviewer = interviewer
        self.blind = BlindTest(roster, interviewer, database)
        self.comparer = Comparer(roster, interviewer, database)
