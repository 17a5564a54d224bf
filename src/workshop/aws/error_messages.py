"""What AWS, or the way to it, objected to, in our words. Terminal, notebook and doctor all ask here."""

from botocore import exceptions
from botocore.exceptions import BotoCoreError, ClientError

from workshop.aws.waiter import is_denied
from workshop.base.errors import WorkshopError

#: What to do where nothing has to be mended first.
AGAIN = "Run the same command again: it goes on where it stopped."
#: A value of ours that botocore refuses to send.
OUR_FAULT = "That is a fault of the workshop."

SIGN_IN = "Sign in again, with `aws sso login` or `aws login`, and then run it again."
CONFIGURATION = "See what AWS is configured with: aws configure list"
#: Errors of botocore that come before the first call: (kinds, what happened, what to do).
BEFORE_THE_CALL: tuple[tuple[tuple[type[BotoCoreError], ...], str, str], ...] = (
    (
        (exceptions.NoCredentialsError,),
        "There are no AWS credentials.",
        "Try: aws configure, or name a profile (--profile NAME).",
    ),
    (
        (exceptions.SSOError, exceptions.LoginError, exceptions.TokenRetrievalError, exceptions.NoAuthTokenError),
        "You are not signed in to AWS, or no longer: {error}",
        SIGN_IN,
    ),
    (
        (
            exceptions.PartialCredentialsError,
            exceptions.CredentialRetrievalError,
            exceptions.InvalidConfigError,
            exceptions.ProfileNotFound,
            exceptions.ConfigNotFound,
            exceptions.ConfigParseError,
            exceptions.RefreshWithMFAUnsupportedError,
            exceptions.UnknownCredentialError,
        ),
        "The AWS configuration cannot be used: {error}",
        CONFIGURATION,
    ),
    ((exceptions.ParamValidationError,), "A value cannot be sent to AWS: {error}", OUR_FAULT),
    ((BotoCoreError,), "AWS cannot be reached: {error}", ""),
)
#: Answers of AWS, by their code: (codes, what to do).
ANSWERS: tuple[tuple[set[str], str], ...] = (
    (
        {"ExpiredToken", "ExpiredTokenException", "RequestExpired"},
        "Your credentials have expired: renew them (aws sso login). {again}",
    ),
    (
        {"InvalidClientTokenId", "UnrecognizedClientException", "SignatureDoesNotMatch"},
        "AWS does not know these credentials: check --profile or AWS_ACCESS_KEY_ID.",
    ),
)


def explain(error: Exception, again: str = AGAIN) -> WorkshopError:
    """Say in one line what went wrong, and what to do.

    Args:
        error: ours, or one of boto3.
        again: how the same is tried again, as a sentence.

    Raises:
        Exception: the error itself, if it is neither.
    """
    if isinstance(error, WorkshopError):
        return error
    if isinstance(error, ClientError):
        return _answer(error, again)
    for kinds, problem, remedy in BEFORE_THE_CALL:
        if isinstance(error, kinds):
            said = " ".join(str(error).removeprefix("Parameter validation failed:").split()).rstrip(".")
            return WorkshopError(problem.format(error=f"{said}."), remedy or again)
    raise error


def _answer(error: ClientError, again: str) -> WorkshopError:
    """An answer of AWS that is no."""
    code, message = (" ".join(str(error.response["Error"].get(key, "")).split()) for key in ("Code", "Message"))
    where = f"AWS refused {error.operation_name}: {code} {message}".rstrip(". ") + "."
    for codes, remedy in ANSWERS:
        if code in codes:
            return WorkshopError(where, remedy.format(again=again))
    if code == "NoSuchEntity" and message.startswith("Scope ARN"):
        # A scope is what IAM calls a permissions boundary here.
        return WorkshopError(
            where, "Make that boundary first (`workshop policy --boundary` prints it), or check --boundary."
        )
    if is_denied(error):
        return WorkshopError(where, "Ask for this right; `workshop policy` prints all that are needed.")
    return WorkshopError(where, again)
