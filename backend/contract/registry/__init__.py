"""Registered data sets: dataset_info.json."""
