"""Rules that have parameters or change shapes, one file each."""
