"""What the stages share around the Trainer of transformers: arguments, losses, resume."""
