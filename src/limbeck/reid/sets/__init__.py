"""The sets of people that limbeck reads, a file each."""
