"""What the command draws."""

from limbeck.registry import Job, Verb

_JOBS = "limbeck.synthetic.jobs"

PEOPLE = Verb(
    "data make people",
    "draw visible and infrared pictures of people",
    Job(f"{_JOBS}:people", f"{_JOBS}:people_arguments"),
)
STREETS = Verb(
    "data make streets",
    "draw LiDAR scans and pictures of streets",
    Job(f"{_JOBS}:streets", f"{_JOBS}:streets_arguments"),
)
