"""The library of scenarios: a YAML file each."""
