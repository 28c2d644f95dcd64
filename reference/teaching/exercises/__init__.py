"""One exercise a file; reference.teaching.exercise says how one is made."""
