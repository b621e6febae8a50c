"""Redfish resources: what they are worth, how many are read at little cost, and how they are changed and read back."""
