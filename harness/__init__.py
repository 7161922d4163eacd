"""A scenario goes in, a verdict comes out: model, world, run, checks, captures and the command line."""
