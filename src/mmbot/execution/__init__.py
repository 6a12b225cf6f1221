"""Our side of the orders: what is working, what we hold, and which commands turn the one into the wanted."""
