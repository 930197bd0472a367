"""`python -m frameperfect`: the same as the command `frameperfect`."""

from frameperfect.cli import main

main()
