"""The last word before an order leaves: approved, or refused with a reason."""
