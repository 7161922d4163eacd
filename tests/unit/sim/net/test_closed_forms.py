"""What flows achieve is what the formulas of the field say, and what docs/tcp.md says they achieve."""

import pytest

from tests.unit.sim.net.closed_forms import FORMS, PAGE, Form, profile_table


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.what)
def test_the_model_agrees_with_the_formula_and_the_page_with_the_model(form: Form) -> None:
    measured = form.measure()
    assert measured == pytest.approx(form.expected, rel=form.within)
    assert form.row(measured) in PAGE.read_text(encoding="utf-8")


def test_the_page_has_the_profiles_as_they_are() -> None:
    assert profile_table() in PAGE.read_text(encoding="utf-8")
