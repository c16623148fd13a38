"""The Data tab: bring data in, see what is registered and what is in it."""

from app.form.form import Form
from app.tabs.data import data_clean, data_in, data_register, data_rows, data_sets, data_words
from app.tabs.shared.context import Context


def build(context: Context, train: Form) -> None:
    """Draw the tab and wire it; `train`: the form of the Train tab, which takes a set over."""
    brought = data_in.draw(context.texts)
    form, listed = data_sets.draw(context)
    dataset, dataset_dir = listed["dataset"], listed["folder"]
    data_clean.build(context, dataset, dataset_dir)
    data_rows.build(context.texts, context.lang, dataset, dataset_dir)
    data_words.build(context, train)
    place = data_in.Place(context.texts, context.lang, dataset_dir, dataset)
    data_in.wire(brought, place)
    data_register.wire(brought, place)
    data_sets.wire(context, form, listed, train, [brought["train"]])
