"""Preferences: DPO and its variants on pairs, KTO on rated answers, and their reference model."""

from backend.contract.arguments.field import When
from backend.contract.arguments.field_group import FieldGroup

DPO: When = (("stage", ("dpo",)),)
KTO: When = (("stage", ("kto",)),)
BOTH: When = (("stage", ("dpo", "kto")),)
HELD: When = (("stage", ("dpo", "kto", "online_dpo")),)  # held near the start by pref_beta
ONLINE: When = (("stage", ("online_dpo",)),)
SIMPO: When = (*DPO, ("pref_loss", ("simpo",)))
# These compare sums over tokens, so that longer answers weigh more.
SUMS: When = (*DPO, ("pref_loss", ("sigmoid", "hinge", "kto_pair")))
LOSSES = ("sigmoid", "hinge", "ipo", "kto_pair", "orpo", "simpo")
PREFERENCE = FieldGroup("preference")


FIELDS = (
    PREFERENCE.field("pref_loss", "choice", "sigmoid", DPO, choices=LOSSES),
    PREFERENCE.number("pref_beta", 0.1, 0.001, 100.0, HELD),
    PREFERENCE.field("online_dpo_loss", "choice", "sigmoid", ONLINE, choices=("sigmoid", "ipo")),
    PREFERENCE.number("pref_ftx", 0.0, 0.0, 100.0, BOTH),
    PREFERENCE.number("simpo_gamma", 0.5, 0.0, 100.0, SIMPO),
    PREFERENCE.number("dpo_label_smoothing", 0.0, 0.0, 0.5, DPO),
    PREFERENCE.number("ld_alpha", None, 0.0, 1.0, SUMS),
    PREFERENCE.number("kto_chosen_weight", 1.0, 0.0, 100.0, KTO),
    PREFERENCE.number("kto_rejected_weight", 1.0, 0.0, 100.0, KTO),
    PREFERENCE.field("ref_model", "path", None, BOTH, widget="model"),
    PREFERENCE.field("ref_model_adapters", "list", None, BOTH, widget="adapter"),
    PREFERENCE.field(
        "ref_model_quantization_bit",
        "choice",
        None,
        BOTH,
        choices=("4", "8"),
        optional=True,
    ),
)
