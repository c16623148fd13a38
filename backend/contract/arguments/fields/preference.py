"""Preferences: DPO and its kin on pairs, KTO on judged answers, and what both are held against."""

from backend.contract.arguments.field import Field, Value, When

DPO: When = (("stage", ("dpo",)),)
KTO: When = (("stage", ("kto",)),)
BOTH: When = (("stage", ("dpo", "kto")),)
HELD: When = (("stage", ("dpo", "kto", "online_dpo")),)  # held near the start by pref_beta
ONLINE: When = (("stage", ("online_dpo",)),)
SIMPO: When = (*DPO, ("pref_loss", ("simpo",)))
# These compare sums over tokens, so that longer answers weigh more.
SUMS: When = (*DPO, ("pref_loss", ("sigmoid", "hinge", "kto_pair")))
LOSSES = ("sigmoid", "hinge", "ipo", "kto_pair", "orpo", "simpo")


def _row(name: str, kind: str, default: Value, when: When, **more: object) -> Field:
    given: dict[str, object] = {"group": "preference", "when": when, **more}
    return Field(name=name, kind=kind, default=default, **given)  # type: ignore[arg-type]


def _number(name: str, default: float | None, when: When, **more: object) -> Field:
    given: dict[str, object] = {"low": 0.0, "high": 100.0, **more}
    return _row(name, "float", default, when, **given)


ROWS = (
    _row("pref_loss", "choice", "sigmoid", DPO, choices=LOSSES),
    _number("pref_beta", 0.1, HELD, low=0.001),
    _row("online_dpo_loss", "choice", "sigmoid", ONLINE, choices=("sigmoid", "ipo")),
    _number("pref_ftx", 0.0, BOTH),
    _number("simpo_gamma", 0.5, SIMPO),
    _number("dpo_label_smoothing", 0.0, DPO, high=0.5),
    _number("ld_alpha", None, SUMS, high=1.0, optional=True),
    _number("kto_chosen_weight", 1.0, KTO),
    _number("kto_rejected_weight", 1.0, KTO),
    _row("ref_model", "path", None, BOTH, optional=True, widget="model"),
    _row("ref_model_adapters", "list", None, BOTH, optional=True, widget="adapter"),
    _row(
        "ref_model_quantization_bit",
        "choice",
        None,
        BOTH,
        choices=("4", "8"),
        optional=True,
    ),
)
