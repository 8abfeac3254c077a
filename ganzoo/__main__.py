"""``python -m ganzoo`` is the command ``ganzoo``."""

from ganzoo.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
