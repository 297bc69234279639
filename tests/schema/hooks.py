"""What schemathesis cannot be told in its configuration; schemathesis.toml says why."""

import re
import uuid

import schemathesis
from schemathesis.specs.openapi.checks import use_after_free

KEY = "Idempotency-Key"

# The refusals of valid bodies that are about what else there is, or about two fields together.
ABOUT_OTHERS = {
    "The source belongs to another cluster.",
    "source_ref and authentication name different clusters.",
}


@schemathesis.hook
def before_call(context, case, kwargs):
    """Make every valid key one of its own."""
    key = case.headers.get(KEY)
    if isinstance(key, str) and re.fullmatch("[!-~]([ -~]{0,253}[!-~])?", key):
        case.headers[KEY] = key[:200] + str(uuid.uuid4())


@schemathesis.check
def refused_for_a_known_reason(ctx, response, case):
    """Hold what positive_data_acceptance lets pass to the reasons that it is let pass for."""
    if response.status_code != 400 or case.meta is None or not case.meta.generation.mode.is_positive:
        return
    error = response.json()["errors"][0]
    if error["source"] == "source_id" and isinstance(case.body["source_id"], float):
        return  # to JSON Schema 2.0 is an integer, to the API it is no id
    if error["source"] != "source.duplicate" and error["detail"] not in ABOUT_OTHERS:
        raise AssertionError(f"A valid request was refused: {error}")


@schemathesis.check
def gone_unless_asked_for(ctx, response, case):
    """Hold a deleted source to be gone, but for whoever asks for the deleted."""
    if "deleted" not in str(case.query.get("include")):
        return use_after_free(ctx, response, case)
