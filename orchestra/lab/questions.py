"""What everybody is asked where no file of questions is given.

None of these is among the dialogues that the built-in voices were trained with.
"""

from __future__ import annotations

QUESTIONS = (
    "Our newsletter has many readers, yet hardly anyone clicks. What would you change?",
    "How do I say no to a feature that a big customer demands?",
    "What belongs on the first page of a pitch deck?",
    "We have two offices that hardly talk to each other. What should we do?",
    "Is it worth going to a trade fair this year?",
    "How can I find out what our users dislike?",
    "A colleague presents my work as their own. How do I react?",
    "Write two sentences that invite people to our open day.",
    "How do we know that our advertising works?",
    "Our best engineer wants to leave. What now?",
    "Should we translate our website into Spanish?",
    "How do I open a meeting with people who do not know each other?",
    "What is a sensible way to split a budget between old and new products?",
    "How long should a trial period for new staff be?",
    "The board wants a forecast by Friday and I have little to go on. Any advice?",
    "How do I get honest answers in a survey?",
    "Which is better, a few large clients or many small ones?",
    "We lost a tender to a cheaper rival. What can we learn?",
    "How do I explain a delay to someone who is already angry?",
    "What makes a good product name?",
    "Should a small firm write a blog at all?",
    "How can I make a dull training course interesting?",
    "Our warehouse makes the same mistake every month. Where do I begin?",
    "How should we prepare for a visit from an investor?",
    "Is remote work good or bad for a young team?",
    "What would you put in a farewell card for a supplier we like?",
    "How do I choose between two job offers?",
    "We want to be known for something. For what, and how?",
    "How often should we talk to customers who never complain?",
    "Half of my meetings are useless. How do I get rid of them?",
    "What should we check before we sign a long contract?",
    "How can a bakery win office workers as regulars?",
    "My report is forty pages long and nobody reads it. Help!",
    "How do we celebrate a success without spending much?",
    "Someone in the team always says yes and never delivers. What do I do?",
    "Should we tell customers about a bug they have not noticed?",
    "How do I learn a new field quickly?",
    "What is the first thing to do after a merger is announced?",
    "How could we test a new idea within a week?",
    "Give me one good reason to keep our old shop open.",
)

TALK = (
    "I would like to open a second shop. Where do I start?",
    "And what would you look at first?",
    "I have never hired anybody. How do I do that?",
    "What if the first one turns out to be wrong?",
    "Let us talk about money. What could go wrong there?",
    "How would I notice early enough?",
    "My partner is against the whole idea.",
    "What would you say to them?",
    "Fine. Now think of a way to tell our regulars.",
    "Make it sound less like an advertisement.",
    "A rival opens across the street next month. Does that change anything?",
    "Should I be afraid of them?",
    "What would make people come to us anyway?",
    "I am a bit tired of planning, to be honest.",
    "So what is the one thing I should do this week?",
    "Thank you. Would you have done it in my place?",
)
"""One conversation of sixteen turns, for who drifts away from itself."""
