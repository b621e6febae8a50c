"""Taking up a run that broke: whether it may be, what of it stands, and who the devices prove to be."""
