"""The wallet: funds, admissions, minutes; never below zero, exact to the micro-dollar."""
