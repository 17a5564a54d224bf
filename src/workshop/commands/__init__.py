"""What one does with the built system: each command a module of its own, which knows no other command."""
