"""Programs, steps and traces, from the text of docs/spec.md (§11 to §13)."""
