"""Real or fake? A trial (what is shown), two judges (a machine, people), and a verdict (what the answers are worth)."""
