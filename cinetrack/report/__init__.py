"""Pictures of predictions for people: the HTML report, and films or contact sheets with outlines."""
