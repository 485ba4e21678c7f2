"""How far an attempt has come: limits and money act on it alone."""

from enum import Enum

__all__ = ["Outcome"]


class Outcome(Enum):
    """How far an attempt has come.

    | outcome   | it costs                                      | a place in a limit                |
    |-----------|-----------------------------------------------|-----------------------------------|
    | NOT_SENT  | nothing                                       | is given back                     |
    | REFUSED   | nothing                                       | counts as a request of no tokens  |
    | NO_ANSWER | its estimated input, flagged                  | counts with that                  |
    | PARTIAL   | its input, and what has arrived               | counts with that                  |
    | ANSWERED  | what the server has counted                   | counts with that                  |

    What was never seen is never assumed: a model may have written more than has arrived, and a
    server may bill it, but no one can say how much.
    """

    NOT_SENT = "the server has not seen the request"
    REFUSED = "the server has answered with an error"
    NO_ANSWER = "it was sent, and nothing came back"
    PARTIAL = "some of an answer has come"
    ANSWERED = "the answer is complete"
