"""Why: a doctor of training is only worth what it finds on broken networks and how rarely it alarms on sound ones.

In: five hosts, the faults put into them, and seven detectors. Out: tables of detection, naming, false alarms and repair.
"""
