"""What everything else stands on: settings and names, the state file, printing, errors, HTTP. It calls no AWS."""
