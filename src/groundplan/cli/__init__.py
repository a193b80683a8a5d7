"""Floor 8: the ``groundplan`` command. Exit codes: 0 fine, 1 a finding, 2 wrong usage or configuration."""

import os
import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command line. Commands are imported when they are asked for, so that each starts fast."""
    from groundplan.cli.commands import build
    from groundplan.core.errors import GroundplanError
    from groundplan.data.database.failures import translated

    os.umask(os.umask(0o077) | 0o077)  # databases, mails and objects are nobody else's to read

    try:
        result = build()(
            list(sys.argv[1:] if arguments is None else arguments), result_action="return_value", exit_on_error=True
        )
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as raised:
        error = translated(raised)
        if not isinstance(error, GroundplanError):
            raise
        print(f"groundplan: {error}", file=sys.stderr)
        sys.exit(2 if error.status in (400, 404, 409, 422) or type(error).__name__ == "ConfigurationError" else 1)
    sys.exit(result if isinstance(result, int) else 0)
