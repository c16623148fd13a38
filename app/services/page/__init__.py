"""Services of the page as a whole: saved arguments, and news about changes on the machine."""
