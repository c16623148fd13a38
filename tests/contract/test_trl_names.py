"""Private names of trl that training.trl_run reads or overrides, as trl 1.16 has them."""

import importlib.util
from pathlib import Path

SPEC = importlib.util.find_spec("trl")
assert SPEC is not None
assert SPEC.origin is not None
FOLDER = Path(SPEC.origin).parent
NAMES = {
    "trainer/base_trainer.py": ("def _send_telemetry(", "def create_model_card("),
    "trainer/distillation_trainer.py": (
        "self._step = 0",
        "self._buffered_inputs = None",
        "self.teacher_model = None",
        "def _generate(self, prompts",
        "def _generate_single_turn(self, prompt_ids",
        "def _generate_and_score_completions(self, inputs",
        "def _compute_loss(self, unwrapped_student, inputs, num_items_in_batch)",
        "student_lm_head = unwrapped_student.get_output_embeddings()",
    ),
    "experimental/server_distillation/server_distillation_trainer.py": (
        "self.teacher_client.get_sequence_logprobs(",
        "self.reverse_kl_top_1_mode = ",
        "self.loss_top_k = ",
        "self.loss_add_tail = ",
    ),
    "experimental/online_dpo/online_dpo_trainer.py": (
        "self.stats = {",
        "self.accelerator.backward(loss",
        "def _generate(self, model, prompts",
        "return prompt_ids, prompt_mask, completion_ids, completion_mask",
    ),
    "trainer/rloo_trainer.py": (
        "self._step = 0",
        "self._buffered_inputs = None",
        "self._metrics = {",
        "self._tokenizer = processing_class",
        "self.generation_config = GenerationConfig(",
        "self.generation_kwargs = generation_kwargs",
        "self.eos_token_ids = eos_token_ids",
        "self.ref_model = None",
        'model.add_adapter("ref"',
        "def _generate(self, prompts",
    ),
}


def test_the_names_are_there() -> None:
    seen = 0
    for file, names in NAMES.items():
        text = (FOLDER / file).read_text(encoding="utf-8")
        for name in names:
            assert name in text, (file, name)
            seen += 1
    assert seen == sum(map(len, NAMES.values())) >= 26
