"""What a driver raises, in terms that the rest of the house understands."""

from sqlalchemy.exc import DBAPIError, StatementError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from groundplan.core.context import seconds_left
from groundplan.core.errors import DeadlineExceeded, GroundplanError, Invalid, Unavailable


def translated(error: BaseException) -> GroundplanError | BaseException:
    """What the rest of the house understands: the database is away, or a value does not fit. Else the error itself."""
    if isinstance(error, StatementError) and isinstance(error.orig, GroundplanError):
        return error.orig
    if isinstance(error, (PoolTimeout, ConnectionError)):
        return Unavailable("The database cannot be reached, or all its connections are in use.")
    if isinstance(error, OverflowError):
        return Invalid(_DOES_NOT_FIT)
    driver_error = error.orig if isinstance(error, DBAPIError) else error
    if not type(driver_error).__module__.startswith(_DRIVERS):
        return error
    if "file is not a database" in str(driver_error):
        return Unavailable("The file that DATABASE_URL names is not an SQLite database.")
    if str(driver_error) == "interrupted" and (seconds_left() or 0) <= 0:
        return DeadlineExceeded("The time for this request was over while the database was at work for it.")
    if any(words in str(driver_error) for words in _UNFIT_VALUE):
        return Invalid(_DOES_NOT_FIT)
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return Unavailable(_NO_ANSWER)
    # While it connects, SQLAlchemy keeps what kind of error it was in the cause alone.
    cause = driver_error and driver_error.__cause__
    kinds = {kind.__name__ for each in (driver_error, cause) for kind in type(each).__mro__}
    if _REFUSED & kinds:
        return Unavailable(f"The database refuses the connection: {driver_error}.")
    if "DiskFullError" in kinds or "disk is full" in str(driver_error):
        return Unavailable(_DISK_FULL)
    if _AWAY & kinds or "connection is closed" in str(driver_error):
        return Unavailable(_NO_ANSWER)
    return error


_DRIVERS = ("asyncpg", "sqlite3", "sqlalchemy.dialects")
_AWAY = {
    "OperationalError",
    "PostgresConnectionError",
    "OperatorInterventionError",
    "TooManyConnectionsError",
    "IdleInTransactionSessionTimeoutError",
    "InternalClientError",
}
_REFUSED = {"InvalidAuthorizationSpecificationError", "InvalidCatalogNameError"}
_NO_ANSWER = "The database did not answer."
_DISK_FULL = "The disk of the database is full, so nothing was written. Give it room; work goes on by itself then."
_DOES_NOT_FIT = "A value does not fit the database: a number too large, or text that is not valid."
_UNFIT_VALUE = ("invalid input for query argument", "out of range", "too large to convert", "invalid byte sequence")
