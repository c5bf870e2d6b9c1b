"""What an operator sets: settings, how their text is read, and the files beside the code."""
