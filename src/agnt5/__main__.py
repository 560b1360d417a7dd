"""`python -m agnt5`: the command line, for whoever hasn't its script on the path."""

from agnt5.cli.main import main

if __name__ == "__main__":
    main()
