"""All of the lab that the doors use."""

from __future__ import annotations

from orchestra.database import Database
from orchestra.lab.blind import BlindTest
from orchestra.lab.comparing import Comparer
from orchestra.lab.feedback import FeedbackReport
from orchestra.lab.interview import Interviewer
from orchestra.personas.roster import Roster


class Lab:
    """Interviews, the blind test, comparisons and what people liked, of one house."""

    def __init__(self, roster: Roster, interviewer: Interviewer, database: Database) -> None:
        self.interviewer = interviewer
        self.blind = BlindTest(roster, interviewer, database)
        self.feedback = FeedbackReport(database)
        self.comparer = Comparer(roster, interviewer, database)
