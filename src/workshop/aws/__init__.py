"""How AWS is reached and read: clients, options and credentials, what passes by itself, policies and what they mean."""
