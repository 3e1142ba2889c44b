"""The package `jsonschema`: what `queues/schemas/` says of the examples there. Knows nothing of loa, whose own test judges the same examples."""

import json
from pathlib import Path

from jsonschema import Draft202012Validator

from stage import promise

SCHEMAS = Path("queues/schemas")


@promise
def the_schema_of_events_takes_and_refuses_what_the_service_does(_simulator):
    schema = json.loads((SCHEMAS / "feedback-event.v2.json").read_text())
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    for line in (SCHEMAS / "feedback-event.v2.examples.ndjson").read_text().splitlines():
        example = json.loads(line)
        takes, should = validator.is_valid(example["event"]), example["wrong"] is None
        assert takes == should, example
