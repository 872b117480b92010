"""What four trainings leave in v and z."""
