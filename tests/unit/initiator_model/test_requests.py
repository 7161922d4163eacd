"""Requests and completions describe themselves without addresses or payloads."""

from initiator_model.requests import Completion, CompletionKind, ScsiRequest


def test_request_shows_lengths_and_not_data() -> None:
    request = ScsiRequest(bytes.fromhex("2a0000000001000001000000"), 0, 0, bytes(512))
    assert repr(request) == "ScsiRequest(cdb=2a0000000001000001000000, lun=0, read_length=0, data_out=512 bytes)"


def test_completion_defaults_to_good_and_empty() -> None:
    completion = Completion(CompletionKind.COMPLETED)
    assert (completion.status, completion.sense, completion.data, completion.residual) == (0, b"", b"", 0)
    assert repr(completion) == "Completion(COMPLETED, status=0x00, sense=-, data=0 bytes, residual=0)"
