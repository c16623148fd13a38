"""GGUF: weights, tokenizer and chat template in one file, for llama.cpp, Ollama and LM Studio."""
