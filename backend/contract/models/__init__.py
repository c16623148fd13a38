"""Folders of models and adapters, as far as their JSON files say."""
