"""`python -m fastnn` is the command `fastnn`."""

import sys

if __name__ == "__main__":
    try:
        from fastnn.cli.options import main
    except KeyboardInterrupt:  # while the modules are read
        print("fastnn: interrupted", file=sys.stderr)
        sys.exit(130)
    sys.exit(main())
