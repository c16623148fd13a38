"""Behind the Chat tab: the conversation, its server, feedback."""
