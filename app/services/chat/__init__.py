"""Services of the Chat tab: the conversation, its model server, feedback."""
