"""The form of a tab: rows of the argument table as one component."""
