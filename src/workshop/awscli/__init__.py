"""Calls as lines of the AWS CLI, and a whole build as a script of them."""
