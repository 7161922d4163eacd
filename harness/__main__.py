"""`python -m harness` is the command `mpiolab`."""

from harness.cli import main

main()
