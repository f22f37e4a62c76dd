"""Entry point: run the command line with `python -m fastnn`."""

import sys

if __name__ == "__main__":
    try:
        from fastnn.cli.options import main
    except KeyboardInterrupt:  # interrupted while the modules are imported
        print("fastnn: interrupted", file=sys.stderr)
        sys.exit(130)
    sys.exit(main())
