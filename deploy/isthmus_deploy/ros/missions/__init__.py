"""Operators' processes: what is asked of a robot in one mission, and whether it went well."""
