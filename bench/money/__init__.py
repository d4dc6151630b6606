"""What stored runs cost by any book, and what a contract on offer would save."""
