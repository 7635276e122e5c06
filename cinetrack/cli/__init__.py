"""The `cinetrack` command: one module a subcommand, all of them parse, call the library and write."""
