"""The system around us: files and who may open them, processes, clients of HTTP servers."""
