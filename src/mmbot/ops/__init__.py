"""What an operator does with the bot: prepare a release, press the red button, leave a trace of both."""
