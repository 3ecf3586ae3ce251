"""The preset for tables: a pack of networks with drawn settings, trained within a given time."""
