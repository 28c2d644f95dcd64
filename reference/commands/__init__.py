"""The subcommands of `purefw`, one file each."""
