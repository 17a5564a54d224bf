"""Building and judging: steps, their resources and checks, and what stands for a participant."""
