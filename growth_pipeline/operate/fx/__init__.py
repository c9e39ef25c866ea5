"""Exchange rates at the terminal."""
