"""What the command draws."""

from limbeck.registry import Job, Verb

_JOBS = "limbeck.synthetic.jobs"

VERBS = Verb(
    "data make people",
    "draw visible and infrared pictures of people",
    Job(f"{_JOBS}:people", f"{_JOBS}:people_arguments"),
)
