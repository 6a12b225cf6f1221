"""What a fill earned: gross, fees, adverse selection; positive is good for us."""
