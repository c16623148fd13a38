"""The memory that a training needs, by part, from its arguments and the model's config alone."""
