"""For tests of applications: a cluster in one process, and a checker of the promise."""
