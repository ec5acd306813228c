"""The page in a browser at which a person demonstrates, with devices, operators and calibration."""
