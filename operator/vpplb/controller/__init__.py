"""The operator: objects are read into the store, decisions reported; and how its parts fit."""
