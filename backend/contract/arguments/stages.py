"""Groups of training stages: where their answers come from, and what scores these."""

TRL = ("rloo", "online_dpo", "distillation")  # carried by trl's own trainers
GROUPED = ("grpo", "rloo")  # several answers to a question are compared with each other
REWARDED = (*GROUPED, "online_dpo")  # reward functions judge answers
SCORED = ("ppo", *REWARDED)  # prompts are enough: answers are drawn, and judged
DRAWING = (*SCORED, "distillation")  # answers are drawn
