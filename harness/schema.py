"""The JSON schema of scenario files: what an editor needs to complete keys and to underline mistakes as one types."""

import json

from harness.scenario import Scenario


def schema_text() -> str:
    """The schema (JSON Schema 2020-12) as indented JSON, ending in a newline; the same text in every process."""
    schema = Scenario.model_json_schema(by_alias=True)
    document = {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
