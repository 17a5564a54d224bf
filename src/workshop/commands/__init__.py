"""What one does with the built thing, a command a module. They know the hall (`workshop.step`), not each other."""
